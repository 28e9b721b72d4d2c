"""The valid messages that fuzzing begins with, for every method of the three APIs, and the models that they ask.

Owns which methods there are to ask, and how often: a seed that stands twice is drawn twice as often. Does not know the
mutations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from onnx import TensorProto

from protos.inference import metadata_pb2, model_config_pb2, repository_pb2, statistics_pb2
from protos.inference.tensors_pb2 import ModelInferRequest
from protos.signet.v1 import models_pb2
from protos.signet.v1.prediction_pb2 import PredictRequest, PredictStreamRequest, Tensor
from protos.tensorflow_serving import model_service_pb2, session_service_pb2, tensor_pb2
from protos.tensorflow_serving import prediction_service_pb2 as tensorflow_pb2
from serving.rpc.tensorflow_serving_codec import shape_of
from tests import tiny_models as tiny
from tests.contract import open_inference as inference
from tests.contract import tensorflow_serving_requests as tensorflow
from tests.contract.requests import image_file, letters, raw_tensor, shades, sums

IDENTITIES = {
    "text": TensorProto.STRING,
    "half": TensorProto.FLOAT16,
    "brain": TensorProto.BFLOAT16,
    "double": TensorProto.DOUBLE,
    "bool": TensorProto.BOOL,
    "byte": TensorProto.INT8,
    "long": TensorProto.INT64,
    "unsigned": TensorProto.UINT64,
}


@dataclass(frozen=True)
class Seed:
    """A method and a message that it answers; streams get several messages."""

    method: str
    message: Message
    stream: bool = False


def put_models(repository: Path) -> None:
    """What the seeds ask, and a model that is broken."""
    tiny.put_shades(repository)
    tiny.put_sums(repository)
    tiny.put_bare(repository, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    tiny.put_bare(repository, "pairs", tiny.two_outputs_model())
    tiny.put_bare(repository, "gather", tiny.gather_model())
    tiny.put_bare(repository, "scalar", tiny.identity_model(shape=()))
    tiny.put_bare(repository, "fixed", tiny.fixed_batch_model())
    tiny.put_bare(repository, "detection", tiny.detection_model())
    tiny.put_bare(repository, "free", tiny.identity_model(shape=(None, None, None)))
    tiny.put_bare(repository, "corrupt", b"no model")
    for name, datatype in IDENTITIES.items():
        tiny.put_bare(repository, name, tiny.identity_model(datatype))


def signet_seeds() -> Sequence[Seed]:
    """signet.v1: Prediction, Models."""
    pairs = PredictRequest(
        model="pairs",
        tensors=[raw_tensor(name, np.ones((2, 2), np.float32)) for name in ("a", "b")],
        return_outputs=True,
    )
    predictions = [
        letters([[1, 2, 3]] * 3, version=1, id="one", top_k=2, return_scores=True),
        letters([[1, 2, 3]], version_label="canary"),
        sums({"a": 1, "b": 2, "c": 3}, {"a": 0, "b": 0, "c": 0}),
        shades(0, 255),
        pairs,
        PredictRequest(model="gather", tensors=[raw_tensor("index", np.array([[1], [2]]))]),
        PredictRequest(model="scalar", tensors=[raw_tensor("x", np.array(1, np.float32))]),
        PredictRequest(model="detection", tensors=[raw_tensor("x", np.eye(2, dtype=np.float32))]),
        PredictRequest(model="free", tensors=[raw_tensor("x", np.ones((2, 3, 0), np.float32))]),
        PredictRequest(
            model="text", tensors=[Tensor(name="x", datatype="BYTES", shape=[1, 2], bytes_values=[b"a", b""])]
        ),
        PredictRequest(
            model="text", tensors=[Tensor(name="x", datatype="BYTES", shape=[1, 2], raw=b"\1\0\0\0a\0\0\0\0")]
        ),
        PredictRequest(model="brain", tensors=[Tensor(name="x", datatype="BF16", shape=[1, 2], raw=b"\x80\x3f\0\0")]),
        PredictRequest(model="byte", tensors=[Tensor(name="x", datatype="INT8", shape=[1, 2], int32_values=[1, -1])]),
    ]
    labels: dict[str, Message] = {
        "SetVersionLabel": models_pb2.SetVersionLabelRequest(model="letters", label="canary", version=1),
        "RemoveVersionLabel": models_pb2.RemoveVersionLabelRequest(model="letters", label="canary"),
        "SetTrafficSplit": models_pb2.SetTrafficSplitRequest(model="letters", percent={"canary": 10}),
    }
    return (
        *(Seed("signet.v1.Prediction/Predict", one) for one in predictions),
        *(
            Seed("signet.v1.Prediction/PredictStream", PredictStreamRequest(request=one), stream=True)
            for one in predictions
        ),
        Seed("signet.v1.Models/GetModel", models_pb2.GetModelRequest(model="shades", version=1)),
        Seed("signet.v1.Models/ListModels", models_pb2.ListModelsRequest()),
        Seed("signet.v1.Models/LoadModel", models_pb2.LoadModelRequest(model="sums", version=1)),
        Seed("signet.v1.Models/UnloadModel", models_pb2.UnloadModelRequest(model="sums", version=1)),
        *(Seed(f"signet.v1.Models/{name}", one) for name, one in labels.items()),
    )


def inference_seeds() -> Sequence[Seed]:
    """inference.GRPCInferenceService."""
    classes = [inference.classified("y", 2)]
    asked: dict[str, Any] = {"id": "one", "parameters": inference.dict_of({"timeout": 5_000_000, "priority": 1})}
    questions = [
        inference.raw("letters", [[1, 2, 3]] * 2, model_version="1", outputs=classes, **asked),
        inference.typed("letters", [1, 3], [1, 2, 3], outputs=[inference.output("y")]),
        inference.raw("gather", [[1], [2]], "INT64", name="index"),
        inference.raw("free", np.ones((2, 3, 0)), "FP32"),
        inference.raw("scalar", 1.0),
        inference.raw("detection", [[0, 5], [7, 7]]),
        inference.raw("half", [[1, 2]], "FP16"),
        inference.typed("double", [1, 2], [1, 2], "FP64"),
        inference.typed("bool", [1, 2], [True, False], "BOOL"),
        inference.typed("byte", [1, 2], [1, -1], "INT8"),
        inference.typed("unsigned", [1, 2], [1, 2**63], "UINT64"),
        inference.typed("text", [1, 2], [b"a", b""], "BYTES"),
        ModelInferRequest(
            model_name="pairs",
            inputs=[
                ModelInferRequest.InferInputTensor(name=name, datatype="FP32", shape=[1, 2]) for name in ("a", "b")
            ],
            raw_input_contents=[bytes(8), bytes(8)],
        ),
    ]
    others: dict[str, Message] = {
        "ServerLive": metadata_pb2.ServerLiveRequest(),
        "ServerReady": metadata_pb2.ServerReadyRequest(),
        "ServerMetadata": metadata_pb2.ServerMetadataRequest(),
        "ModelReady": metadata_pb2.ModelReadyRequest(name="letters", version="1"),
        "ModelMetadata": metadata_pb2.ModelMetadataRequest(name="pairs", version="1"),
        "ModelConfig": model_config_pb2.ModelConfigRequest(name="shades", version="1"),
        "ModelStatistics": statistics_pb2.ModelStatisticsRequest(name="letters", version="1"),
        "RepositoryIndex": repository_pb2.RepositoryIndexRequest(ready=True),
        "RepositoryModelLoad": repository_pb2.RepositoryModelLoadRequest(model_name="sums"),
        "RepositoryModelUnload": repository_pb2.RepositoryModelUnloadRequest(model_name="sums"),
        "SystemSharedMemoryStatus": Empty(),
    }
    service = "inference.GRPCInferenceService"
    return (
        *(Seed(f"{service}/ModelInfer", one) for one in questions),
        *(Seed(f"{service}/ModelStreamInfer", one, stream=True) for one in questions),
        *(Seed(f"{service}/{name}", one) for name, one in others.items()),
    )


def tensorflow_seeds() -> Sequence[Seed]:
    """tensorflow.serving: PredictionService, ModelService, SessionService."""
    asked, example = tensorflow.asked, tensorflow.example
    predictions = [
        tensorflow.letters([[1, 2, 3]] * 3, version=1, signature_name="serving_default"),
        _predict("text", tensor_pb2.DT_STRING, [2, 2], string_val=[b"abc", b"d"]),
        _predict("half", tensor_pb2.DT_HALF, [2, 2], half_val=[1, 2, 3, 4]),
        _predict("free", tensor_pb2.DT_FLOAT, [2, 2, 3], float_val=[1, 2]),
        _predict("long", tensor_pb2.DT_INT64, [1, 2], int64_val=[1, -1]),
        _predict("unsigned", tensor_pb2.DT_UINT64, [1, 2], uint64_val=[1, 2**63]),
        _predict("scalar", tensor_pb2.DT_FLOAT, [], float_val=[1]),
    ]
    classifications = [
        tensorflow.classify("sums", example(a=1.0, b=2, c=3.0), example(a=1, b=2, c=3)),
        tensorflow.classify("letters", example(x=[1.0, 2.0, 3.0])),
        tensorflow.classify("shades", example(image=image_file(3))),
        tensorflow.classify_in_context("sums", example(a=1.0), example(b=2, c=3)),
    ]
    others: dict[str, Message] = {
        "PredictionService/GetModelMetadata": tensorflow_pb2.GetModelMetadataRequest(
            model_spec=asked("shades"), metadata_field=["signature_def"]
        ),
        "PredictionService/Regress": tensorflow_pb2.RegressionRequest(),
        "PredictionService/MultiInference": tensorflow_pb2.MultiInferenceRequest(),
        "ModelService/GetModelStatus": model_service_pb2.GetModelStatusRequest(model_spec=asked("shades", 1)),
        "ModelService/HandleReloadConfigRequest": model_service_pb2.ReloadConfigRequest(),
        "SessionService/SessionRun": session_service_pb2.SessionRunRequest(),
    }
    return (
        *(Seed("tensorflow.serving.PredictionService/Predict", one) for one in predictions * 2),
        *(Seed("tensorflow.serving.PredictionService/Classify", one) for one in classifications * 2),
        *(Seed(f"tensorflow.serving.{name}", one) for name, one in others.items()),
    )


APIS = {"signet": signet_seeds, "inference": inference_seeds, "tensorflow": tensorflow_seeds}


def _predict(model: str, datatype: int, shape: Sequence[int], **values: object) -> tensorflow_pb2.PredictRequest:
    tensor = tensor_pb2.TensorProto(dtype=datatype, tensor_shape=shape_of(shape), **values)  # type: ignore[arg-type]
    return tensorflow_pb2.PredictRequest(model_spec=tensorflow.asked(model), inputs={"x": tensor}, output_filter=["y"])
