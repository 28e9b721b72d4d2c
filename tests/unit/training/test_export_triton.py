import json
import subprocess
import sys

import pytest

from training.signature import Signature, TensorSignature
from training.triton_config import triton_config, write_triton_files

PIXELS = TensorSignature("image", "uint8", (28, 28, 1))


def test_the_config_states_tensors_without_the_axis_of_rows():
    signature = Signature(PIXELS, TensorSignature("probabilities", "float32", (2,)))
    assert (
        triton_config("coins", signature, ["head", "tail"])
        == """\
name: "coins"
platform: "onnxruntime_onnx"
max_batch_size: 256
input [
  {
    name: "image"
    data_type: TYPE_UINT8
    dims: [ 28, 28, 1 ]
  }
]
output [
  {
    name: "probabilities"
    data_type: TYPE_FP32
    dims: [ 2 ]
    label_filename: "labels.txt"
  }
]
dynamic_batching { }
"""
    )


def test_a_sigmoid_output_gets_no_label_file_since_line_0_would_name_the_wrong_class():
    signature = Signature(PIXELS, TensorSignature("probability", "float32", (1,)))
    assert "label_filename" not in triton_config("coins", signature, ["head", "tail"])


def test_labels_stand_a_line_each_in_the_order_of_their_index(tmp_path):
    (tmp_path / "coins").mkdir()
    signature = Signature(PIXELS, TensorSignature("probability", "float32", (1,)))
    write_triton_files(tmp_path / "coins", signature, ["head", "tail"])
    assert (tmp_path / "coins" / "labels.txt").read_text() == "head\ntail\n"
    assert sorted(path.name for path in (tmp_path / "coins").iterdir()) == ["config.pbtxt", "labels.txt"]


# In a process of its own: these messages would collide with others of the same names.
PARSE = """
import json, sys
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
config = text_format.Parse(sys.stdin.read(), model_config_pb2.ModelConfig())
json.dump({
    "name": config.name,
    "platform": config.platform,
    "most": config.max_batch_size,
    "batches": config.HasField("dynamic_batching"),
    "tensors": [
        [tensor.name, model_config_pb2.DataType.Name(tensor.data_type), list(tensor.dims)]
        for tensor in (*config.input, *config.output)
    ],
    "labels": config.output[0].label_filename,
}, sys.stdout)
"""


@pytest.mark.parametrize(("width", "labels"), [(2, "labels.txt"), (1, "")], ids=["softmax", "sigmoid"])
def test_triton_reads_the_config_as_it_is_meant(width, labels):
    signature = Signature(PIXELS, TensorSignature("probabilities", "float32", (width,)))
    text = triton_config("coins", signature, ["head", 'tail "reversed"'])
    parsed = subprocess.run(
        [sys.executable, "-c", PARSE], input=text, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(parsed.stdout) == {
        "name": "coins",
        "platform": "onnxruntime_onnx",
        "most": 256,
        "batches": True,
        "tensors": [["image", "TYPE_UINT8", [28, 28, 1]], ["probabilities", "TYPE_FP32", [width]]],
        "labels": labels,
    }
