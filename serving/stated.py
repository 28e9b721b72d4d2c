"""What files and flags state → checked values, with every fault named.

Owns the words of a fault: where, what came, what was expected. Does not know which files and flags there are.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

AnyStruct = TypeVar("AnyStruct", bound=Struct)

CAME_CHARACTERS = 64
"""Of what came, in a fault."""

_WORDS = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}
_SWITCHES = dict.fromkeys(("true", "1", "yes", "on", "y", "t"), True) | dict.fromkeys(
    ("false", "0", "no", "off", "n", "f"), False
)
_FROM_TEXT: dict[Any, Callable[[str], Any]] = {
    int: int,
    float: float,
    bool: lambda text: _SWITCHES[text.strip().lower()],
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at `place`, dotted; "" is the whole."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


class Misstated(ValueError):
    """What is wrong with all that was stated."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


def read_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`, unchecked. Raises Misstated, which does not repeat it."""
    try:
        stated = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        reason = str(error).partition(" - at ")[0]
        raise Misstated(Fault("", f"it cannot be read as JSON: {reason}")) from error
    if not isinstance(stated, dict):
        raise Misstated(Fault("", "an object was expected"))
    return stated


def read_struct(
    kind: type[AnyStruct], stated: Mapping[str, Any], place: str = "", faults: Iterable[Fault] = ()
) -> AnyStruct:
    """What is stated at `place`, as a `kind`. Raises Misstated with `faults` and all others."""
    fields = {one.encode_name: one for one in msgspec.structs.fields(kind)}
    tag = kind.__struct_config__.tag_field
    missing = [name for name, field in fields.items() if field.required and name not in stated]
    found = [*faults, *(Fault(_under(place, name), "it is missing") for name in missing)]
    values = {}
    for name, value in stated.items():
        if name in fields:
            try:
                values[fields[name].name] = read_value(fields[name].type, value, _under(place, name))
            except Misstated as error:
                found += error.faults
        elif kind.__struct_config__.forbid_unknown_fields and name != tag:
            found.append(Fault(_under(place, name), "nobody knows such a field"))
    if found:
        raise Misstated(*found)
    try:
        return kind(**values)
    except ValueError as error:
        raise Misstated(Fault(place, str(error))) from error


def read_value(kind: Any, stated: Any, place: str = "") -> Any:  # noqa: ANN401 - of that kind
    """What is stated at `place`, as a `kind`. Raises Misstated with all faults."""
    plain = _plain(kind)
    if isinstance(stated, dict) and (structs := _structs(plain)):
        return read_struct(_chosen(structs, stated, place), stated, place)
    if faults := list(_faults_of_parts(plain, stated, place)):
        raise Misstated(*faults)
    try:
        return msgspec.convert(stated, kind)
    except msgspec.ValidationError as error:
        raise Misstated(Fault(place, _refusal(kind, stated))) from error


def read_text(kind: Any, text: str) -> Any:  # noqa: ANN401 - of that kind
    """The number, switch or text that is written so. Raises Misstated."""
    try:
        value = _FROM_TEXT.get(_plain(kind), str)(text)
    except (ValueError, KeyError) as error:
        raise Misstated(Fault("", _refusal(kind, text))) from error
    try:
        return read_value(kind, value)
    except Misstated as error:
        raise Misstated(Fault("", _refusal(kind, text))) from error


def expected(kind: Any) -> str:  # noqa: ANN401
    """What a value of `kind` is, in words, but for null: the description of its Meta, if there is one."""
    plain = _plain(kind)
    for meta in kind.__metadata__ if get_origin(kind) is Annotated else ():
        if isinstance(meta, Meta):
            return meta.description or f"{expected(plain)}{_limits(meta)}"
    if get_origin(plain) is Literal:
        return _either([repr(one) for one in get_args(plain)])
    if len(kinds := _kinds(plain)) > 1:
        return _either(list(dict.fromkeys(expected(one) for one in kinds if one is not NoneType)))
    if get_origin(plain) in (list, tuple):
        return "a list"
    return _WORDS.get(plain, "an object")


def _faults_of_parts(plain: Any, stated: Any, place: str) -> Iterator[Fault]:  # noqa: ANN401
    """Those of each value of a dict, and of each item of a list."""
    parts: Iterable[tuple[Any, Any]] = ()
    if get_origin(plain) is dict and isinstance(stated, dict):
        kind, parts = get_args(plain)[1], stated.items()
    elif get_origin(plain) in (list, tuple) and isinstance(stated, list):
        kind, parts = get_args(plain)[0], enumerate(stated)
    for name, value in parts:
        try:
            read_value(kind, value, _under(place, str(name)))
        except Misstated as error:
            yield from error.faults


def _plain(kind: Any) -> Any:  # noqa: ANN401
    """Without limits, and without null beside one other kind."""
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    others = [one for one in _kinds(kind) if one is not NoneType]
    return _plain(others[0]) if len(others) == 1 and others[0] is not kind else kind


def _kinds(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Those of a union, or the one."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _structs(plain: Any) -> list[type[Struct]]:  # noqa: ANN401
    """The Structs that a value of this kind may be."""
    return [one for one in _kinds(plain) if isinstance(one, type) and issubclass(one, Struct)]


def _chosen(structs: list[type[Struct]], stated: Mapping[str, Any], place: str) -> type[Struct]:
    """That of which the tag is stated, where there are several."""
    name = structs[0].__struct_config__.tag_field
    if name is None:
        return structs[0]
    by_tag = {one.__struct_config__.tag: one for one in structs}
    if name not in stated:
        raise Misstated(Fault(_under(place, name), f"it is missing; {_either(list(map(repr, by_tag)))} was expected"))
    tag = stated[name]
    if not isinstance(tag, str) or tag not in by_tag:
        raise Misstated(Fault(_under(place, name), f"{_came(tag)}{_either(list(map(repr, by_tag)))} was expected"))
    return by_tag[tag]


def _refusal(kind: Any, stated: Any) -> str:  # noqa: ANN401
    return f"{_came(stated)}{expected(kind)} was expected"


def _came(stated: Any) -> str:  # noqa: ANN401
    if isinstance(stated, dict | list):
        return ""
    return f"{'null' if stated is None else repr(stated)[:CAME_CHARACTERS]} came; "


def _limits(meta: Meta) -> str:
    limits = ((">=", meta.ge), (">", meta.gt), ("<=", meta.le), ("<", meta.lt))
    told = " and ".join(f"{sign} {limit}" for sign, limit in limits if limit is not None)
    return f" {told}" if told else f" of at least {meta.min_length}" if meta.min_length else ""


def _either(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _under(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
