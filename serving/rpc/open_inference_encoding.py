"""A model's outputs → the bytes of a ModelInferResponse.

Owns how an answer is written, raw or typed, and which outputs are in it. Does not know requests, nor how classes are
told.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protos.inference.tensors_pb2 import InferTensorContents, ModelInferRequest, ModelInferResponse
from serving.errors import InvalidInput
from serving.inference.signature import Tensors, TensorSpec
from serving.repository.served_model import ServedModel
from serving.rpc.open_inference_classification import check_classified, class_texts
from serving.rpc.open_inference_decoding import CONTENTS_FIELD
from serving.rpc.open_inference_parameters import class_count, refuse_shared_memory
from serving.rpc.tensor_codec import pack_bytes

_PACKED_AS_RAW = frozenset({"BOOL", "FP32", "FP64"})
"""Datatypes whose packed list on the wire is the bytes of the array."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output of the answer; `classes`: how many to tell instead of its numbers, 0 for the numbers."""

    spec: TensorSpec
    classes: int = 0


class OpenInferenceEncoder:
    """Writes the answers of one version."""

    def __init__(self, model: ServedModel) -> None:
        self._head = ModelInferResponse(model_name=model.name, model_version=str(model.version)).SerializeToString()
        self._outputs = {spec.name: spec for spec in model.signature.outputs}
        self._labeller = model.labeller
        self._all = tuple(Wanted(spec) for spec in model.signature.outputs)

    def wanted(self, asked: Sequence[ModelInferRequest.InferRequestedOutputTensor]) -> tuple[Wanted, ...]:
        """The outputs asked for, in that order; all if none is. Raises InvalidInput, NotOffered."""
        if not asked:
            return self._all
        names = [one.name for one in asked]
        if len(set(names)) < len(names):
            raise InvalidInput(f"outputs: {max(names, key=names.count)[:128]} is asked for twice")
        return tuple(map(self._wanted, asked))

    def encode(self, outputs: Tensors, request_id: str, wanted: tuple[Wanted, ...], *, raw: bool) -> bytes:
        """The answer for `outputs`, those of the model; typed unless `raw`, if every output can be."""
        # Messages set end to end are one message with the fields of all.
        parts = [self._head]
        if request_id:
            parts.append(ModelInferResponse(id=request_id).SerializeToString())
        if raw or any(one.classes or one.spec.datatype not in CONTENTS_FIELD for one in wanted):
            for one in wanted:
                parts += self._raw(one, outputs[one.spec.name])
        else:
            parts.append(_typed((one.spec, outputs[one.spec.name]) for one in wanted))
        return b"".join(parts)

    def _wanted(self, asked: ModelInferRequest.InferRequestedOutputTensor) -> Wanted:
        spec = self._outputs.get(asked.name)
        if spec is None:
            gives = ", ".join(map(str, self._outputs.values()))
            raise InvalidInput(f"outputs: no output is named {asked.name[:128]!r}; the model gives {gives}")
        if not asked.parameters:
            return Wanted(spec)
        refuse_shared_memory(f"output {spec.name}", asked.parameters)
        classes = class_count(spec.name, asked.parameters)
        if classes:
            check_classified(spec)
        return Wanted(spec, classes)

    def _raw(self, wanted: Wanted, array: NDArray[Any]) -> tuple[bytes, bytes]:
        datatype = wanted.spec.datatype
        if wanted.classes:
            datatype, array = "BYTES", class_texts(array, wanted.spec, wanted.classes, self._labeller)
        contents = pack_bytes(array) if datatype == "BYTES" else np.ascontiguousarray(array).tobytes()
        return (
            _described(wanted.spec.name, datatype, array.shape),
            ModelInferResponse(raw_output_contents=[contents]).SerializeToString(),
        )


@lru_cache(maxsize=4096)
def _described(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    response = ModelInferResponse()
    response.outputs.add(name=name, datatype=datatype, shape=shape)
    return response.SerializeToString()


def _typed(outputs: Iterable[tuple[TensorSpec, NDArray[Any]]]) -> bytes:
    response = ModelInferResponse()
    for spec, array in outputs:
        response.outputs.add(
            name=spec.name, datatype=spec.datatype, shape=array.shape, contents=_contents(spec.datatype, array)
        )
    return response.SerializeToString()


def _contents(datatype: str, array: NDArray[Any]) -> InferTensorContents:
    field = CONTENTS_FIELD[datatype]
    if datatype in _PACKED_AS_RAW and array.size:
        # Packed elements and a bytes field differ by their tag, the first byte.
        data = InferTensorContents(bytes_contents=[np.ascontiguousarray(array).tobytes()]).SerializeToString()
        number = InferTensorContents.DESCRIPTOR.fields_by_name[field].number
        return InferTensorContents.FromString(bytes([number << 3 | data[0] & 7]) + data[1:])
    values: list[Any] = array.ravel().tolist()
    if datatype == "BYTES":
        values = [one.encode() for one in values]
    contents = InferTensorContents()
    getattr(contents, field).extend(values)
    return contents
