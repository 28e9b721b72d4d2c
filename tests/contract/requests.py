"""Requests that contract tests send, and what they get for them."""

import io
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from protos.signet.v1.prediction_pb2 import FeatureRow, PredictRequest, Tensor

DATATYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
}


def raw_tensor(name: str, array: np.ndarray) -> Tensor:
    """A wire tensor with raw contents."""
    datatype = next(key for key, dtype in DATATYPES.items() if dtype == array.dtype)
    return Tensor(name=name, datatype=datatype, shape=array.shape, raw=array.tobytes())


def letters(rows: Any, **fields: Any) -> PredictRequest:
    """Ask `letters`, whose label is the place of the largest number of a row."""
    return PredictRequest(model="letters", tensors=[raw_tensor("x", np.array(rows, np.float32))], **fields)


def sums(*rows: dict[str, float], **fields: Any) -> PredictRequest:
    """Ask `sums`, whose probability is the sigmoid of a + b + c."""
    return PredictRequest(model="sums", features=[FeatureRow(values=row) for row in rows], **fields)


def shades(*greys: int, file_format: str = "PNG", size: tuple[int, int] = (4, 4)) -> PredictRequest:
    """Ask `shades`, which tells dark, middle and bright apart, with an image of one grey a row."""
    return PredictRequest(model="shades", images=[image_file(grey, file_format, size) for grey in greys])


def image_file(grey: int, file_format: str = "PNG", size: tuple[int, int] = (4, 4)) -> bytes:
    """An image file of one grey."""
    file = io.BytesIO()
    Image.new("RGB", size, (grey, grey, grey)).save(file, file_format)
    return file.getvalue()


def array_of(tensor: Tensor) -> np.ndarray:
    """The contents of an output tensor."""
    return np.frombuffer(tensor.raw, DATATYPES[tensor.datatype]).reshape(tensor.shape)


def status_of(call: Any, *arguments: Any, **options: Any) -> tuple[grpc.StatusCode, str]:
    """The status and text that a call fails with."""
    with pytest.raises(grpc.RpcError) as failure:
        call(*arguments, **options)
    failed: Any = failure.value  # an RpcError of a call has both
    return failed.code(), failed.details()
