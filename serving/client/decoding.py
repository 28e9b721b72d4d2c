"""Messages → what the client hands back.

Owns the reading of responses. Does not know how they came.
"""

from protos.signet.v1 import models_pb2, prediction_pb2
from serving.client.answers import (
    Answer,
    ClassScore,
    Decision,
    Feature,
    FeaturePreprocessing,
    GoldenResult,
    ImagePreprocessing,
    ModelDetails,
    ModelStatus,
    RowPrediction,
    TensorSpec,
)
from serving.client.calls import error_of_number
from serving.client.tensors import decode_tensor
from serving.errors import ServingError


def decode_answer(response: prediction_pb2.PredictResponse) -> Answer:
    """The answer to one request."""
    return Answer(
        model=response.model,
        version=response.version,
        id=response.id,
        predictions=tuple(map(_prediction, response.predictions)),
        outputs={tensor.name: decode_tensor(tensor) for tensor in response.outputs},
    )


def decode_stream_answer(response: prediction_pb2.PredictStreamResponse) -> Answer | ServingError:
    """The answer to one request of a stream, or the error that it failed with."""
    if response.HasField("error"):
        return error_of_number(response.error.code, response.error.message)
    return decode_answer(response.response)


def decode_status(status: models_pb2.ModelStatus) -> ModelStatus:
    """One version's status."""
    return ModelStatus(
        model=status.model,
        version=status.version,
        state=models_pb2.ModelState.Name(status.state).removeprefix("MODEL_STATE_"),
        reason=status.reason,
        is_default=status.is_default,
    )


def decode_details(response: models_pb2.GetModelResponse) -> ModelDetails:
    """All about one version."""
    return ModelDetails(
        status=decode_status(response.status),
        inputs=tuple(map(_spec, response.inputs)),
        outputs=tuple(map(_spec, response.outputs)),
        class_indices=dict(response.class_indices),
        decision=_decision(response.decision) if response.HasField("decision") else None,
        preprocessing=_preprocessing(response),
        metrics=dict(response.metrics),
        provider=response.provider,
        intra_op_threads=response.intra_op_threads,
        golden=_golden(response.golden) if response.HasField("golden") else None,
        batched=response.batched,
        unbatched_reason=response.unbatched_reason,
        task=response.task,
        recipe=response.recipe,
        created=response.created,
        load_seconds=response.load_seconds,
    )


def _prediction(row: prediction_pb2.RowPrediction) -> RowPrediction:
    return RowPrediction(
        label=row.label,
        class_index=row.class_index,
        score=row.score,
        top=tuple(ClassScore(one.label, one.class_index, one.score) for one in row.top),
        scores=tuple(row.scores),
        probability=row.probability if row.HasField("probability") else None,
        threshold=row.threshold if row.HasField("threshold") else None,
    )


def _spec(spec: models_pb2.TensorSpec) -> TensorSpec:
    return TensorSpec(spec.name, spec.datatype, tuple(spec.shape))


def _decision(decision: models_pb2.Decision) -> Decision:
    return Decision(decision.kind, decision.threshold if decision.HasField("threshold") else None)


def _golden(golden: models_pb2.GoldenResult) -> GoldenResult:
    return GoldenResult(golden.rows, golden.max_abs_difference, golden.tolerance)


def _preprocessing(response: models_pb2.GetModelResponse) -> ImagePreprocessing | FeaturePreprocessing | None:
    if response.HasField("image"):
        image = response.image
        return ImagePreprocessing(
            input=image.input,
            height=image.height,
            width=image.width,
            color_mode=image.color_mode,
            other_size=image.other_size,
            alpha_background=image.alpha_background,
            exif_orientation=image.exif_orientation,
        )
    if response.HasField("features"):
        features = tuple(Feature(one.name, one.minimum, one.maximum) for one in response.features.features)
        return FeaturePreprocessing(response.features.input, features)
    return None
