"""Identity models as ONNX files, for servers that read those: `signet conformance --write-identity-model`.

Owns the bytes: a graph of Identity nodes, written by ONNX's field numbers, since the client does without onnx. Does not
know repositories beyond <model>/<version>/model.onnx.
"""

from pathlib import Path

from serving.client.conformance.tensor_forms import DATATYPES
from serving.errors import InvalidInput

MODEL = "identity"
IR_VERSION = 9
OPSET = 18

_ELEMENT_TYPES = {
    "FP32": 1,
    "UINT8": 2,
    "INT8": 3,
    "UINT16": 4,
    "INT16": 5,
    "INT32": 6,
    "INT64": 7,
    "BYTES": 8,
    "BOOL": 9,
    "FP16": 10,
    "FP64": 11,
    "UINT32": 12,
    "UINT64": 13,
    "BF16": 16,
}


def write_identity_models(folder: Path) -> list[Path]:
    """Write `identity`, two inputs and outputs, and an `identity_<datatype>` for each datatype; the files' paths.

    Every tensor is [rows, 2]. Raises InvalidInput if `folder` cannot be written.
    """
    models = {MODEL: onnx_file({"a": "FP32", "b": "INT64"})}
    models |= {f"{MODEL}_{datatype.lower()}": onnx_file({"x": datatype}) for datatype in DATATYPES}
    paths = []
    try:
        for name, model in models.items():
            path = folder / name / "1" / "model.onnx"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(model)
            paths.append(path)
    except OSError as error:
        raise InvalidInput(f"--write-identity-model {folder}: cannot be written: {error.strerror}") from error
    return paths


def onnx_file(inputs: dict[str, str]) -> bytes:
    """A model that gives each input NAME back as NAME_out; `inputs` is name to datatype."""
    nodes = [
        _field(1, _text(1, name) + _text(2, f"{name}_out") + _text(3, f"give_{name}") + _text(4, "Identity"))
        for name in inputs
    ]
    values = [
        _field(number, _value(name + suffix, datatype))
        for number, suffix in ((11, ""), (12, "_out"))
        for name, datatype in inputs.items()
    ]
    graph = b"".join(nodes) + _text(2, "identity") + b"".join(values)
    return _number(1, IR_VERSION) + _field(7, graph) + _field(8, _text(1, "") + _number(2, OPSET))


def _value(name: str, datatype: str) -> bytes:
    shape = _field(1, _text(2, "rows")) + _field(1, _number(1, 2))
    return _text(1, name) + _field(2, _field(1, _number(1, _ELEMENT_TYPES[datatype]) + _field(2, shape)))


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
