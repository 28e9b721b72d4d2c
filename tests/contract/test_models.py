"""What is served can be asked for: every version with its state, and everything about one."""

import pytest

from protos.signet.v1 import models_pb2
from protos.signet.v1.models_pb2 import GetModelRequest, GetModelResponse, ListModelsRequest
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.running_server import running_server

READY = models_pb2.MODEL_STATE_READY
CPU = "CPUExecutionProvider"


def get(connection, model: str) -> GetModelResponse:
    return connection.models.GetModel(GetModelRequest(model=model))


def test_a_version_that_failed_is_listed_with_its_reason_beside_those_that_serve(signet):
    listed = {one.model: one for one in signet.models.ListModels(ListModelsRequest()).models}
    assert listed["corrupt"].state == models_pb2.MODEL_STATE_FAILED
    assert listed["corrupt"].reason == "model.onnx: onnxruntime cannot load it (INVALID_PROTOBUF)"
    assert listed["shades"].state == READY
    assert listed["shades"].is_default


def test_everything_about_an_image_model_is_told(signet):
    told = get(signet, "shades")
    assert told.intra_op_threads >= 1
    assert told.load_seconds > 0
    assert told.runs.one_row_seconds > 0
    assert told.runs.full_run_seconds > 0
    assert told.runs.thread_rows >= 1
    assert told.runs.inline == (told.runs.thread_rows > told.runs.max_batch_rows)
    for name in ("one_row_seconds", "full_run_seconds", "full_run_intra_op_threads", "inline", "thread_rows"):
        told.runs.ClearField(name)
    told.ClearField("intra_op_threads")
    told.ClearField("load_seconds")
    assert told == GetModelResponse(
        status=models_pb2.ModelStatus(model="shades", version=1, state=READY, is_default=True),
        inputs=[models_pb2.TensorSpec(name="image", datatype="UINT8", shape=[-1, 4, 4, 3])],
        outputs=[models_pb2.TensorSpec(name="probabilities", datatype="FP32", shape=[-1, 3])],
        class_indices=tiny.SHADES,
        decision=models_pb2.Decision(kind="argmax"),
        image=models_pb2.ImagePreprocessing(
            input="image",
            height=4,
            width=4,
            color_mode="rgb",
            other_size="resize",
            alpha_background=255,
            exif_orientation=True,
        ),
        provider=CPU,
        runs=models_pb2.RunPlan(max_batch_rows=64),
        batched=True,
        created="2026-01-01T00:00:00Z",
    )


def test_the_features_and_the_threshold_of_a_sigmoid_model_are_told(signet):
    told = get(signet, "sums")
    assert told.features == models_pb2.FeaturePreprocessing(
        input="features",
        features=[models_pb2.Feature(name=name, minimum=0, maximum=1) for name in ("a", "b", "c")],
    )
    assert told.decision == models_pb2.Decision(kind="sigmoid", threshold=0.5)
    assert dict(told.class_indices) == {"negative": 0, "positive": 1}


def test_metrics_golden_result_task_and_recipe_of_the_training_are_told(tmp_path):
    tiny.put_golden_letters(tmp_path, metrics={"accuracy": 0.75}, task="reading", recipe="quick")
    with running_server(tmp_path) as server:
        connection = connect(server)
        told = get(connection, "letters")
        connection.channel.close()
    assert (told.task, told.recipe, dict(told.metrics)) == ("reading", "quick", {"accuracy": 0.75})
    assert (told.golden.rows, told.golden.tolerance) == (4, 1e-5)
    assert 0 <= told.golden.max_abs_difference <= 1e-5


def test_a_model_without_golden_outputs_tells_none(signet):
    assert not get(signet, "shades").HasField("golden")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("centred", "output y of a row depends on the rows beside it"),
        ("detection", "axis 0 of count INT64 [1] is not free"),
        ("fixed", "axis 0 of x FP32 [1, 2] is not free"),
        ("scalar", "axis 0 of x FP32 [] is not free"),
    ],
    ids=["rows that depend on each other", "an output of other rows", "a fixed batch axis", "no axis"],
)
def test_why_a_model_is_not_batched_is_told(signet, model, reason):
    told = get(signet, model)
    assert (told.batched, told.unbatched_reason) == (False, reason)


def test_a_bare_model_tells_its_signature_and_no_labels(signet):
    told = get(signet, "pairs")
    assert [(one.name, one.datatype, list(one.shape)) for one in told.inputs] == [
        ("a", "FP32", [-1, 2]),
        ("b", "FP32", [-1, 2]),
    ]
    assert [one.name for one in told.outputs] == ["sum", "difference"]
    assert not told.class_indices
    assert not told.HasField("decision")
    assert told.WhichOneof("preprocessing") is None


def test_of_a_failed_version_the_status_is_told_alone(signet):
    told = get(signet, "corrupt")
    assert told.status.state == models_pb2.MODEL_STATE_FAILED
    assert told == GetModelResponse(status=told.status)
