"""What files and flags state → checked values, with every fault named.

Owns the words of a fault: where, what came, what was expected. Does not know which files and flags there are.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import inspect

AnyStruct = TypeVar("AnyStruct", bound=msgspec.Struct)

CAME_CHARACTERS = 64
"""Of what came, in a fault."""

_WORDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
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
        raise Misstated(Fault("", f"no JSON: {error}")) from error
    if not isinstance(stated, dict):
        raise Misstated(Fault("", "an object was expected"))
    return stated


def read_struct(
    kind: type[AnyStruct], stated: Mapping[str, Any], place: str = "", faults: Iterable[Fault] = ()
) -> AnyStruct:
    """What is stated at `place`, as a `kind`.

    Raises Misstated with `faults`, the first fault of each field, and that of each value of a field that is a dict.
    """
    fields = {one.encode_name: one for one in msgspec.structs.fields(kind)}
    missing = [name for name, field in fields.items() if field.required and name not in stated]
    found = [*faults, *(Fault(_under(place, name), "it is missing") for name in missing)]
    values = {}
    for name, value in stated.items():
        if name in fields:
            try:
                values[fields[name].name] = read_value(fields[name].type, value, _under(place, name))
            except Misstated as error:
                found += error.faults
        elif kind.__struct_config__.forbid_unknown_fields:
            found.append(Fault(_under(place, name), "nobody knows such a field"))
    if found:
        raise Misstated(*found)
    try:
        return kind(**values)
    except ValueError as error:
        raise Misstated(Fault(place, str(error))) from error


def read_value(kind: Any, stated: Any, place: str = "", *, strict: bool = True) -> Any:  # noqa: ANN401 - of that kind
    """What is stated at `place`, as a `kind`. Not `strict`: numbers and switches may be text. Raises Misstated."""
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(plain) is dict and isinstance(stated, dict):
        faults = list(_faults_of_values(get_args(plain)[1], stated, place))
        if faults:
            raise Misstated(*faults)
    try:
        return msgspec.convert(stated, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise Misstated(_fault(kind, stated, place, str(error))) from error


def _faults_of_values(kind: Any, stated: Mapping[str, Any], place: str) -> Iterator[Fault]:  # noqa: ANN401
    for name, value in stated.items():
        try:
            read_value(kind, value, _under(place, name))
        except Misstated as error:
            yield from error.faults


def _under(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _fault(kind: Any, stated: Any, place: str, said: str) -> Fault:  # noqa: ANN401
    """What msgspec said of `stated`: where below it, what stands there, and what should."""
    text, _, where = said.partition(" - at `$")
    way = re.findall(r"\w+|\.\.\.", where)
    for key in way:
        place = _under(place, key)
        if isinstance(stated, dict):
            stated = stated.get(key)
        elif isinstance(stated, list):
            stated = stated[int(key)]
    if text.startswith("Invalid "):
        choices = [repr(one) for one in _choices(inspect.type_info(kind), way)]
        text = f"{' or '.join(filter(None, (', '.join(choices[:-1]), *choices[-1:])))} was expected"
    elif expected := re.fullmatch(r"Expected (.+?)(, got .+)?", text):
        text = f"{_in_words(expected[1])} was expected"
    else:
        return Fault(place, text[0].lower() + text[1:])
    came = "null" if stated is None else f"{stated!r:.{CAME_CHARACTERS}}"
    return Fault(place, text if isinstance(stated, dict | list) else f"{came} came; {text}")


def _in_words(types: str) -> str:
    """`int` | `null` and the like, said."""
    said = re.sub(r"`(\w+)`", lambda name: _WORDS.get(name[1], name[1]), types)
    return re.sub(r"(\d)\.0\b", r"\1", said.replace(" | ", " or "))


def _choices(kind: inspect.Type, way: list[str]) -> Iterator[Any]:
    """The constants that may stand at the end of `way` through a value of the type `kind`."""
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _choices(one, way)
    elif isinstance(kind, inspect.Metadata):
        yield from _choices(kind.type, way)
    elif isinstance(kind, inspect.LiteralType) and not way:
        yield from kind.values
    elif isinstance(kind, inspect.StructType) and way == [kind.tag_field]:
        yield kind.tag
    elif isinstance(kind, inspect.StructType) and way:
        for field in kind.fields:
            if field.encode_name == way[0]:
                yield from _choices(field.type, way[1:])
    elif isinstance(kind, inspect.VarTupleType | inspect.ListType) and way:
        yield from _choices(kind.item_type, way[1:])
