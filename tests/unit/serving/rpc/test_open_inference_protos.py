"""Our messages of the Open Inference Protocol are those of its clients, field by field: the bytes are the same."""

import json
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2

from protos.inference import (
    metadata_pb2,
    model_config_pb2,
    repository_pb2,
    service_pb2,
    statistics_pb2,
    tensors_pb2,
)
from protos.inference.tensors_pb2 import InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse

FILES = (metadata_pb2, model_config_pb2, repository_pb2, service_pb2, statistics_pb2, tensors_pb2)

# Two files that define the same names cannot be in one process.
PRINT_THEIRS = """
import json
from tritonclient.grpc import model_config_pb2, service_pb2

print(json.dumps([one.DESCRIPTOR.serialized_pb.hex() for one in (model_config_pb2, service_pb2)]))
"""

Fields = dict[str, tuple[int, int, int, str, str]]


def described(files) -> dict[str, Fields]:
    """Number, type, label, type's name and oneof by field, by message; enums as messages of their values."""
    found: dict[str, Fields] = {}

    def enter(prefix: str, messages, enums) -> None:
        for enum in enums:
            found[prefix + enum.name] = {value.name: (value.number, 0, 0, "", "") for value in enum.value}
        for message in messages:
            oneofs = [one.name for one in message.oneof_decl]
            found[prefix + message.name] = {
                field.name: (
                    field.number,
                    field.type,
                    field.label,
                    field.type_name,
                    oneofs[field.oneof_index] if field.HasField("oneof_index") else "",
                )
                for field in message.field
            }
            enter(f"{prefix}{message.name}.", message.nested_type, message.enum_type)

    for data in files:
        file = descriptor_pb2.FileDescriptorProto.FromString(data)
        enter("", file.message_type, file.enum_type)
        for service in file.service:
            found[service.name] = {
                one.name: (0, one.client_streaming, one.server_streaming, one.input_type, one.output_type)
                for one in service.method
            }
    return found


OURS = described([one.DESCRIPTOR.serialized_pb for one in FILES])


@pytest.fixture(scope="module")
def theirs() -> dict[str, Fields]:
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRINT_THEIRS], capture_output=True, check=True, timeout=60
    )
    return described(bytes.fromhex(one) for one in json.loads(answer.stdout))


@pytest.mark.parametrize("name", OURS)
def test_each_field_has_the_number_the_type_and_the_name_that_clients_know(theirs, name):
    known = theirs[name]
    assert {field: known.get(field) for field in OURS[name]} == OURS[name]


def test_a_request_is_these_bytes():
    contents = InferTensorContents(fp32_contents=[1.0])
    tensor = ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1, 1], contents=contents)
    request = ModelInferRequest(
        model_name="m",
        model_version="2",
        id="i",
        parameters={"priority": InferParameter(uint64_param=1)},
        inputs=[tensor],
        outputs=[ModelInferRequest.InferRequestedOutputTensor(name="y")],
        raw_input_contents=[b"\x07"],
    )
    assert request.SerializeToString() == (
        b"\x0a\x01m\x12\x012\x1a\x01i"
        b"\x22\x0e\x0a\x08priority\x12\x02\x28\x01"
        b"\x2a\x15\x0a\x01x\x12\x04FP32\x1a\x02\x01\x01\x2a\x06\x32\x04\x00\x00\x80\x3f"
        b"\x32\x03\x0a\x01y"
        b"\x3a\x01\x07"
    )


def test_an_answer_is_these_bytes():
    tensor = ModelInferResponse.InferOutputTensor(name="y", datatype="UINT8", shape=[1])
    answer = ModelInferResponse(
        model_name="m", model_version="2", id="i", outputs=[tensor], raw_output_contents=[b"\x07"]
    )
    assert answer.SerializeToString() == (
        b"\x0a\x01m\x12\x012\x1a\x01i\x2a\x0d\x0a\x01y\x12\x05UINT8\x1a\x01\x01\x32\x01\x07"
    )
