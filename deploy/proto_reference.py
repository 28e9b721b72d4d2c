"""`make reference`: the reference of the three APIs, protos/REFERENCE.md, from the comments in the protos.

Owns the page: its order, its tables and its anchors. Does not know what the APIs say. `--check` compares and writes
nothing.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "protos" / "REFERENCE.md"

APIS = {
    "signet/v1": (
        "Signet's own API",
        "Labelled answers, models and the control over them. Within v1 nothing is renamed, renumbered or removed.",
    ),
    "inference": (
        "The Open Inference Protocol",
        "Version 2, with the extensions that Triton's clients use: what its clients send and read here.",
    ),
    "tensorflow_serving": (
        "TensorFlow Serving's API",
        "What its clients send and read here; fields that are left out are those that mean nothing here.",
    ),
}
"""Folder below protos to title and first sentence; in the page's order."""

HEAD = """\
# Reference of the APIs

All three are served on one port, and beside them `grpc.health.v1` and reflection. Which status a call ends with, and
when to call again, stands in [README.md](../README.md#what-comes-back).

Written by `make reference` from the comments in the `.proto` files: change it there.
"""

# Numbers of the paths in a SourceCodeInfo, which are the field numbers in descriptor.proto.
MESSAGE, ENUM, SERVICE = 4, 5, 6
FIELD, NESTED, NESTED_ENUM, ONEOF, METHOD, VALUE = 2, 3, 4, 8, 2, 2

PathIn = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class File:
    """A proto file and its comments by the path of what they belong to."""

    proto: FileDescriptorProto
    comments: dict[PathIn, str]

    def comment(self, *path: int) -> str:
        """In one line; empty if there is none."""
        return self.comments.get(path, "")


def main() -> int:
    """Write the page; with --check, 1 if it differs from what would be written."""
    page = reference()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page
    if not current:
        print("protos/REFERENCE.md differs from the protos: run `make reference` and commit what it writes")
    return int(not current)


def reference() -> str:
    """The page."""
    files = [_file(proto) for proto in _descriptors()]
    parts = [HEAD]
    for folder, (title, text) in APIS.items():
        of_api = [file for file in files if Path(file.proto.name).parent == Path("protos", folder)]
        parts.append(f"## {title}\n\n{text}\n")
        parts += [part for file in of_api for part in _services(file)]
        parts += [part for file in of_api for part in _types(file)]
    return "\n".join(parts)


def _descriptors() -> Sequence[FileDescriptorProto]:
    names = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "protos").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "image"
        command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--descriptor_set_out={out}"]
        subprocess.run([*command, "--include_source_info", *names], cwd=ROOT, check=True, timeout=120)
        return FileDescriptorSet.FromString(out.read_bytes()).file


def _file(proto: FileDescriptorProto) -> File:
    places = proto.source_code_info.location
    return File(proto, {tuple(one.path): " ".join(one.leading_comments.split()) for one in places})


def _services(file: File) -> Iterator[str]:
    for index, service in enumerate(file.proto.service):
        yield f"### {file.proto.package}.{service.name}\n\n{file.comment(SERVICE, index)}\n"
        yield _table(("method", "takes", "gives", ""), _methods(file, index, service))


def _methods(file: File, index: int, service: ServiceDescriptorProto) -> Iterator[tuple[str, ...]]:
    for number, method in enumerate(service.method):
        takes = ("stream of " if method.client_streaming else "") + _link(method.input_type)
        gives = ("stream of " if method.server_streaming else "") + _link(method.output_type)
        yield f"`{method.name}`", takes, gives, file.comment(SERVICE, index, METHOD, number)


def _types(file: File) -> Iterator[str]:
    package = file.proto.package
    for index, message in enumerate(file.proto.message_type):
        yield from _message(file, f"{package}.{message.name}", message, (MESSAGE, index))
    for index, enum in enumerate(file.proto.enum_type):
        yield from _enum(file, f"{package}.{enum.name}", enum, (ENUM, index))


def _message(file: File, name: str, message: DescriptorProto, path: PathIn) -> Iterator[str]:
    if message.options.map_entry:
        return
    yield _heading(file, name, path)
    if message.field:
        yield _table(("no.", "field", "type", ""), _fields(file, message, path))
    for index, nested in enumerate(message.nested_type):
        yield from _message(file, f"{name}.{nested.name}", nested, (*path, NESTED, index))
    for index, enum in enumerate(message.enum_type):
        yield from _enum(file, f"{name}.{enum.name}", enum, (*path, NESTED_ENUM, index))


def _fields(file: File, message: DescriptorProto, path: PathIn) -> Iterator[tuple[str, ...]]:
    entries = {entry.name: entry for entry in message.nested_type if entry.options.map_entry}
    for index, field in enumerate(message.field):
        comment = file.comment(*path, FIELD, index)
        choice = ""
        if field.HasField("oneof_index") and not field.proto3_optional:
            choice = f"`{message.oneof_decl[field.oneof_index].name}`: {file.comment(*path, ONEOF, field.oneof_index)} "
        yield str(field.number), f"`{field.name}`", _type(field, entries), f"{choice}{comment}".strip()


def _type(field: FieldDescriptorProto, entries: dict[str, DescriptorProto]) -> str:
    entry = entries.get(field.type_name.rpartition(".")[2])
    if entry is not None:
        key, value = (_type(one, {}) for one in entry.field)
        return f"map of {key} to {value}"
    if field.type_name:
        name = _link(field.type_name)
    else:
        name = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    if field.proto3_optional:
        return f"{name}, optional"
    return f"repeated {name}" if field.label == FieldDescriptorProto.LABEL_REPEATED else name


def _enum(file: File, name: str, enum: EnumDescriptorProto, path: PathIn) -> Iterator[str]:
    yield _heading(file, name, path)
    rows = [
        (str(value.number), f"`{value.name}`", file.comment(*path, VALUE, index))
        for index, value in enumerate(enum.value)
    ]
    yield _table(("no.", "value", ""), rows)


def _heading(file: File, name: str, path: PathIn) -> str:
    comment = file.comment(*path)
    return f'#### <a id="{_anchor(name)}"></a>{name}\n' + (f"\n{comment}\n" if comment else "")


def _link(type_name: str) -> str:
    name = type_name.removeprefix(".")
    short = name.rpartition(".")[2]
    return f"`{name}`" if name.startswith("google.") else f"[{short}](#{_anchor(name)})"


def _anchor(name: str) -> str:
    return f"type-{name.lower().replace('.', '-')}"


def _table(columns: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    return "\n".join([line(columns), f"|{'---|' * len(columns)}", *map(line, rows)]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
