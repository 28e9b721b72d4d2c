"""config.pbtxt and labels.txt beside the versions, so that the same repository opens in Triton.

Owns Triton's words for a model. Does not know how the model was made.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from training.signature import Signature, TensorSignature
from training.staging import writing

MAX_BATCH_ROWS = 256
"""The largest number of rows that the export was compared with."""


def write_triton_files(model_folder: Path, signature: Signature, labels: Sequence[str]) -> None:
    """Write both files, each replaced in one step; `labels` in the order of their class index."""
    _replace(model_folder / "labels.txt", "".join(f"{label}\n" for label in labels))
    _replace(model_folder / "config.pbtxt", triton_config(model_folder.name, signature, labels))


def triton_config(name: str, signature: Signature, labels: Sequence[str]) -> str:
    """Give the text of config.pbtxt."""
    return f"""\
name: "{name}"
platform: "onnxruntime_onnx"
max_batch_size: {MAX_BATCH_ROWS}
input [
  {{
{_tensor(signature.input)}
  }}
]
output [
  {{
{_tensor(signature.output)}
{_label_lines(signature.output, labels)}
  }}
]
dynamic_batching {{ }}
"""


def _label_lines(output: TensorSignature, labels: Sequence[str]) -> str:
    if output.shape == (len(labels),):
        return '    label_filename: "labels.txt"'
    # Triton names element i of the output by line i. A sigmoid's only element is the probability of class 1, which
    # line 0 would name by the label of class 0: no name is better than the wrong one.
    return f'    # Element 0 is the probability of "{labels[-1]}"; Triton would name it by line 0 of labels.txt.'


def _tensor(tensor: TensorSignature) -> str:
    dims = ", ".join(str(size) for size in tensor.shape)
    return f'    name: "{tensor.name}"\n    data_type: TYPE_{tensor.datatype}\n    dims: [ {dims} ]'


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    try:
        with writing(path):
            beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)  # noqa: PTH105 - the pair of names reads in the order of the act
    finally:
        beside.unlink(missing_ok=True)
