"""Tiny ONNX models, and repositories and packages made of them, for every test that needs a real model.

Each graph has one or two nodes; their weights are chosen so that a test can say what the answer must be.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from protos.signet.v1.prediction_pb2 import PredictRequest, Tensor

FLOAT = TensorProto.FLOAT


def model_bytes(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, np.ndarray] | None = None,
) -> bytes:
    """An ONNX file of these nodes, opset 19."""
    initializers = [onnx.numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def value(name: str, shape: list[int | str | None], datatype: int = FLOAT) -> onnx.ValueInfoProto:
    """An input or output; None or text in `shape` is a free dimension."""
    return helper.make_tensor_value_info(name, datatype, shape)


def linear_model(width: int = 3) -> bytes:
    """`x` [rows, width] → `y` [rows, width] = softmax(x): the label is the largest input."""
    return model_bytes(
        [helper.make_node("Softmax", ["x"], ["y"], axis=1)],
        [value("x", [None, width])],
        [value("y", [None, width])],
    )


def identity_model(datatype: int = FLOAT, shape: tuple[int | None, ...] = (None, 2)) -> bytes:
    """`x` → `y`, equal, of any datatype and shape."""
    return model_bytes(
        [helper.make_node("Identity", ["x"], ["y"])],
        [value("x", list(shape), datatype)],
        [value("y", list(shape), datatype)],
    )


def sigmoid_model(width: int = 3) -> bytes:
    """`features` [rows, width] → `probability` [rows, 1] = sigmoid(sum of the row)."""
    return model_bytes(
        [
            helper.make_node("MatMul", ["features", "ones"], ["sum"]),
            helper.make_node("Sigmoid", ["sum"], ["probability"]),
        ],
        [value("features", [None, width])],
        [value("probability", [None, 1])],
        {"ones": np.ones((width, 1), np.float32)},
    )


def image_model(size: int = 4, channels: int = 3) -> bytes:
    """`image` [rows, size, size, channels] uint8 → `probabilities` [rows, 3]: dark, middle or bright on average."""
    return model_bytes(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=FLOAT),
            helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
            helper.make_node("Sub", ["column", "centres"], ["distance"]),
            helper.make_node("Abs", ["distance"], ["far"]),
            helper.make_node("Mul", ["far", "scale"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        [value("image", [None, size, size, channels], TensorProto.UINT8)],
        [value("probabilities", [None, 3])],
        {
            "axes": np.array([1, 2, 3], np.int64),
            "last": np.array([1], np.int64),
            "centres": np.array([[0, 128, 255]], np.float32),
            "scale": np.array([[-0.1]], np.float32),
        },
    )


def gather_model() -> bytes:
    """`index` [rows, 1] int64 → `y` [rows, 1]: fails in onnxruntime for an index that is not 0 to 2."""
    return model_bytes(
        [helper.make_node("Gather", ["table", "index"], ["y"], axis=0)],
        [value("index", [None, 1], TensorProto.INT64)],
        [value("y", [None, 1])],
        {"table": np.array([10, 20, 30], np.float32)},
    )


def fixed_batch_model(rows: int = 1) -> bytes:
    """`x` [rows, 2] → `y` = 2 x, for exactly so many rows."""
    return model_bytes([helper.make_node("Add", ["x", "x"], ["y"])], [value("x", [rows, 2])], [value("y", [rows, 2])])


def mean_over_rows_model() -> bytes:
    """`x` [rows, 2] → `y` [rows, 2] = x - mean over the rows: an answer depends on the rows beside it."""
    return model_bytes(
        [
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=1),
            helper.make_node("Sub", ["x", "mean"], ["y"]),
        ],
        [value("x", [None, 2])],
        [value("y", [None, 2])],
        {"axes": np.array([0], np.int64)},
    )


def detection_model() -> bytes:
    """`x` [rows, 2] → `count` [1] and `found` [n, 2]: the indices of what is not zero, so other rows than the input."""
    return model_bytes(
        [
            helper.make_node("NonZero", ["x"], ["indices"]),
            helper.make_node("Transpose", ["indices"], ["found"]),
            helper.make_node("Shape", ["found"], ["shape"]),
            helper.make_node("Slice", ["shape", "zero", "one"], ["count"]),
        ],
        [value("x", [None, 2])],
        [value("found", ["n", 2], TensorProto.INT64), value("count", [1], TensorProto.INT64)],
        {"zero": np.array([0], np.int64), "one": np.array([1], np.int64)},
    )


def two_outputs_model() -> bytes:
    """`a` and `b` [rows, 2] → `sum` and `difference` [rows, 2]."""
    return model_bytes(
        [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])],
        [value("a", [None, 2]), value("b", [None, 2])],
        [value("sum", [None, 2]), value("difference", [None, 2])],
    )


def slow_model() -> bytes:
    """`x` [rows, 2] → `y` [rows, 1]: milliseconds a row, by multiplying a large matrix many times."""
    size, times = 512, 12
    products = [helper.make_node("MatMul", [f"m{n}", "matrix"], [f"m{n + 1}"]) for n in range(times)]
    return model_bytes(
        [
            helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=1),
            helper.make_node("Unsqueeze", ["sum", "axes"], ["scalar"]),
            helper.make_node("Mul", ["scalar", "matrix"], ["m0"]),
            *products,
            helper.make_node("ReduceMean", [f"m{times}", "both"], ["y3"], keepdims=1),
            helper.make_node("Squeeze", ["y3", "axes"], ["y"]),
        ],
        [value("x", [None, 2])],
        [value("y", [None, 1])],
        {
            "axes": np.array([1], np.int64),
            "both": np.array([1, 2], np.int64),
            "matrix": np.full((size, size), 1 / size, np.float32),
        },
    )


def slow_request() -> PredictRequest:
    """One row for `slow`."""
    row = np.ones((1, 2), np.float32)
    return PredictRequest(model="slow", tensors=[Tensor(name="x", datatype="FP32", shape=[1, 2], raw=row.tobytes())])


def put_bare(repository: Path, name: str, model: bytes, version: int = 1, labels: list[str] | None = None) -> Path:
    """Write a bare model.onnx, with a labels.txt if there are labels; the version's folder."""
    folder = repository / name / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    if labels:
        (folder / "labels.txt").write_text("\n".join(labels) + "\n")
    return folder


def put_package(repository: Path, name: str, model: bytes, manifest: dict[str, Any], version: int = 1) -> Path:
    """Write a package: `manifest` is what differs from a valid one for `model`; the version's folder."""
    folder = put_bare(repository, name, model, version)
    whole: dict[str, Any] = {
        "schema_version": 1,
        "model": name,
        "version": version,
        "created": "2026-01-01T00:00:00Z",
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())},
        **manifest,
    }
    (folder / "manifest.json").write_text(json.dumps(whole))
    return folder


SHADES = {"dark": 0, "middle": 1, "bright": 2}

IMAGE_MANIFEST: dict[str, Any] = {
    "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 4, 4, 3]}],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}],
    "class_indices": SHADES,
    "decision": {"kind": "argmax"},
    "preprocessing": {
        "kind": "image",
        "input": "image",
        "height": 4,
        "width": 4,
        "color_mode": "rgb",
        "other_size": "resize",
        "alpha_background": 255,
        "exif_orientation": True,
    },
}

SIGMOID_MANIFEST: dict[str, Any] = {
    "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [{"name": "probability", "datatype": "FP32", "shape": [-1, 1]}],
    "class_indices": {"negative": 0, "positive": 1},
    "decision": {"kind": "sigmoid", "threshold": 0.5},
    "preprocessing": {
        "kind": "features",
        "input": "features",
        "features": [{"name": name, "minimum": 0.0, "maximum": 1.0} for name in ("a", "b", "c")],
    },
}


def put_shades(repository: Path, version: int = 1) -> Path:
    """The package `shades`: images to dark, middle, bright."""
    return put_package(repository, "shades", image_model(), dict(IMAGE_MANIFEST), version)


def put_sums(repository: Path, version: int = 1) -> Path:
    """The package `sums`: features a, b, c to negative or positive by their sum."""
    return put_package(repository, "sums", sigmoid_model(), dict(SIGMOID_MANIFEST), version)


def put_golden_letters(repository: Path, tolerance: float = 1e-5, error: float = 0.0, **manifest: Any) -> Path:
    """The package `letters` with four golden rows, whose recorded outputs are off by `error`."""
    rows = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 1, 0]], np.float32)
    exponentials = np.exp(rows)
    outputs = exponentials / exponentials.sum(axis=1, keepdims=True) + np.float32(error)
    folder = repository / "letters" / "1"
    folder.mkdir(parents=True)
    arrays: dict[str, Any] = {"input.x": rows, "output.y": outputs}
    np.savez(folder / "golden.npz", **arrays)
    stated = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
        "class_indices": {"a": 0, "b": 1, "c": 2},
        "decision": {"kind": "argmax"},
        "golden": {"rows": len(rows), "tolerance": {"cpu": tolerance, "cuda": tolerance}},
    }
    return put_package(repository, "letters", linear_model(), {**stated, **manifest})
