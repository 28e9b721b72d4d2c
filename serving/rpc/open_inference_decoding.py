"""A ModelInferRequest → the inputs of a model.

Owns where the Open Inference Protocol keeps the contents of a tensor, raw and typed. Does not know runs nor answers;
the checks that all protocols share are those of tensor_codec.
"""

from typing import Any

from numpy.typing import NDArray

from protos.inference.tensors_pb2 import InferTensorContents, ModelInferRequest
from serving.errors import InvalidInput
from serving.inference.signature import Signature, Tensors, TensorSpec
from serving.rpc.open_inference_parameters import refuse_shared_memory
from serving.rpc.tensor_codec import check_complete, check_shape, decode_raw, decode_values, input_spec

CONTENTS_FIELD = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Datatype to the list that holds its typed elements; FP16 and BF16 travel raw alone."""

INLINE_BYTES = 65_536
"""Of a request whose elements are Python objects on their way: more are decoded in a thread, so that others go on."""

_LISTS = sorted(set(CONTENTS_FIELD.values()))


def decode_inputs(request: ModelInferRequest, signature: Signature, max_rows: int) -> Tensors:
    """The inputs of a model by name. Raises InvalidInput naming the input, what came and what was expected."""
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidInput(
            f"raw_input_contents: {len(raw)} entries came for {len(request.inputs)} inputs; one for each was expected"
        )
    decoded: Tensors = {}
    for index, tensor in enumerate(request.inputs):
        spec = input_spec(tensor.name, signature, decoded, "inputs")
        if tensor.parameters:
            refuse_shared_memory(f"input {spec.name}", tensor.parameters)
        shape = tuple(tensor.shape)
        check_shape(spec, tensor.datatype, shape, max_rows)
        if not raw:
            decoded[spec.name] = _decode_contents(tensor.contents, spec, shape)
        elif tensor.HasField("contents") and tensor.contents.ByteSize():
            raise InvalidInput(f"input {spec.name}: contents came beside raw_input_contents; one of them was expected")
        else:
            decoded[spec.name] = decode_raw(spec, shape, raw[index])
    check_complete(signature, decoded, "inputs")
    return decoded


def is_heavy(request: ModelInferRequest) -> bool:
    """Whether another thread should decode a request."""
    if not request.raw_input_contents:
        return request.ByteSize() > INLINE_BYTES
    texts = any(tensor.datatype == "BYTES" for tensor in request.inputs)
    return texts and sum(map(len, request.raw_input_contents)) > INLINE_BYTES


def _decode_contents(contents: InferTensorContents, spec: TensorSpec, shape: tuple[int, ...]) -> NDArray[Any]:
    wanted = CONTENTS_FIELD.get(spec.datatype)
    filled = [name for name in _LISTS if len(getattr(contents, name))]
    if wanted is None or filled not in ([], [wanted]):
        places = "raw_input_contents" + (f" or in {wanted}" if wanted else " alone")
        raise InvalidInput(
            f"input {spec.name}: {', '.join(filled) or 'no contents'} came; {spec.datatype} goes in {places}"
        )
    return decode_values(spec, shape, getattr(contents, wanted))
