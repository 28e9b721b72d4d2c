"""MLServer's stubs and codecs, as its own gRPC clients use them. Nothing of this project is imported here."""
# requirements: mlserver==1.7.1

import sys

import grpc
import numpy as np
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.grpc import dataplane_pb2 as messages
from mlserver.grpc import model_repository_pb2
from mlserver.grpc.converters import (
    ModelInferRequestConverter,
    ModelInferResponseConverter,
    ModelMetadataResponseConverter,
    ServerMetadataResponseConverter,
)
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.types import InferenceRequest

ROWS = np.array([[1, 3, 2], [9, 0, 0]], np.float32)


def check(what: str, found: object, expected: object) -> None:
    """Say what was checked, or end."""
    if found != expected:
        sys.exit(f"{what}: {found!r} came, {expected!r} was expected")
    print(f"  {what}")


def main() -> None:
    """Metadata, raw and typed contents, streams, index."""
    with grpc.insecure_channel(sys.argv[1]) as channel:
        stub = GRPCInferenceServiceStub(channel)
        check("ServerLive", stub.ServerLive(messages.ServerLiveRequest()).live, True)
        check("ServerReady", stub.ServerReady(messages.ServerReadyRequest()).ready, True)
        check("ModelReady", stub.ModelReady(messages.ModelReadyRequest(name="letters")).ready, True)
        metadata = ServerMetadataResponseConverter.to_types(stub.ServerMetadata(messages.ServerMetadataRequest()))
        check("ServerMetadata", metadata.name, "signet")
        model = ModelMetadataResponseConverter.to_types(
            stub.ModelMetadata(messages.ModelMetadataRequest(name="letters"))
        )
        check("ModelMetadata", [one.name for one in model.inputs or []], ["x"])
        for raw in (True, False):
            # Anew, since the conversion to raw contents takes the data out.
            asked = InferenceRequest(id="an id", inputs=[NumpyCodec.encode_input("x", ROWS)])
            request = ModelInferRequestConverter.from_types(asked, model_name="letters", use_raw=raw)
            answer = ModelInferResponseConverter.to_types(stub.ModelInfer(request))
            classes = NumpyCodec.decode_output(answer.outputs[0]).argmax(axis=1).tolist()
            kind = "raw" if raw else "typed"
            check(f"ModelInfer {kind}", (answer.id, classes), ("an id", [1, 0]))
            texts = InferenceRequest(inputs=[StringCodec.encode_input("x", ["a", "ÿ"])])
            request = ModelInferRequestConverter.from_types(texts, model_name="identity_bytes", use_raw=raw)
            request.inputs[0].shape[:] = [1, 2]
            answer = ModelInferResponseConverter.to_types(stub.ModelInfer(request))
            check(f"ModelInfer {kind}: texts", StringCodec.decode_output(answer.outputs[0]), ["a", "ÿ"])
        request = model_repository_pb2.RepositoryIndexRequest(ready=True)
        index = channel.unary_unary(
            "/inference.GRPCInferenceService/RepositoryIndex",
            request_serializer=model_repository_pb2.RepositoryIndexRequest.SerializeToString,
            response_deserializer=model_repository_pb2.RepositoryIndexResponse.FromString,
        )(request)
        check("RepositoryIndex", "letters" in {one.name for one in index.models}, True)


main()
