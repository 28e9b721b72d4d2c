"""Messages → the dataclasses of `answers`.

Owns what an unset field becomes. Does not know calls: pure functions.
"""

from protos.signet.v1 import models_pb2, prediction_pb2
from serving.client import answers
from serving.client.tensors import decode_tensor


def answer(message: prediction_pb2.PredictResponse) -> answers.Answer:
    """The answer to one request."""
    return answers.Answer(
        model=message.model,
        version=message.version,
        id=message.id,
        predictions=tuple(map(_row, message.predictions)),
        outputs={tensor.name: decode_tensor(tensor) for tensor in message.outputs},
    )


def status(message: models_pb2.ModelStatus) -> answers.ModelStatus:
    """The status of one version."""
    return answers.ModelStatus(
        model=message.model,
        version=message.version,
        state=models_pb2.ModelState.Name(message.state).removeprefix("MODEL_STATE_"),
        reason=message.reason,
        is_default=message.is_default,
        labels=tuple(message.labels),
        split_percent=message.split_percent,
    )


def traffic(message: models_pb2.Traffic) -> answers.Traffic:
    """The labels and the split of a model."""
    return answers.Traffic(dict(message.labels), dict(message.percent))


def details(message: models_pb2.GetModelResponse) -> answers.ModelDetails:
    """All about one version."""
    return answers.ModelDetails(
        status=status(message.status),
        inputs=tuple(map(_spec, message.inputs)),
        outputs=tuple(map(_spec, message.outputs)),
        class_indices=dict(message.class_indices),
        decision=_decision(message.decision) if message.HasField("decision") else None,
        preprocessing=_preprocessing(message),
        metrics=dict(message.metrics),
        provider=message.provider,
        intra_op_threads=message.intra_op_threads,
        runs=_runs(message.runs) if message.HasField("runs") else None,
        golden=_golden(message.golden) if message.HasField("golden") else None,
        batched=message.batched,
        unbatched_reason=message.unbatched_reason,
        task=message.task,
        recipe=message.recipe,
        created=message.created,
        load_seconds=message.load_seconds,
    )


def _row(message: prediction_pb2.RowPrediction) -> answers.RowPrediction:
    return answers.RowPrediction(
        label=message.label,
        class_index=message.class_index,
        score=message.score,
        top=tuple(answers.ClassScore(one.label, one.class_index, one.score) for one in message.top),
        scores=tuple(message.scores),
        probability=message.probability if message.HasField("probability") else None,
        threshold=message.threshold if message.HasField("threshold") else None,
    )


def _runs(message: models_pb2.RunPlan) -> answers.RunPlan:
    return answers.RunPlan(
        max_batch_rows=message.max_batch_rows,
        full_run_intra_op_threads=message.full_run_intra_op_threads,
        inline=message.inline,
        one_row_seconds=message.one_row_seconds if message.HasField("one_row_seconds") else None,
        full_run_seconds=message.full_run_seconds if message.HasField("full_run_seconds") else None,
        thread_rows=message.thread_rows,
    )


def _spec(message: models_pb2.TensorSpec) -> answers.TensorSpec:
    return answers.TensorSpec(message.name, message.datatype, tuple(message.shape))


def _decision(message: models_pb2.Decision) -> answers.Decision:
    return answers.Decision(message.kind, message.threshold if message.HasField("threshold") else None)


def _golden(message: models_pb2.GoldenResult) -> answers.GoldenResult:
    return answers.GoldenResult(message.rows, message.max_abs_difference, message.tolerance)


def _preprocessing(
    message: models_pb2.GetModelResponse,
) -> answers.ImagePreprocessing | answers.FeaturePreprocessing | None:
    kind = message.WhichOneof("preprocessing")
    if kind == "image":
        image = message.image
        return answers.ImagePreprocessing(
            input=image.input,
            height=image.height,
            width=image.width,
            color_mode=image.color_mode,
            other_size=image.other_size,
            alpha_background=image.alpha_background,
            exif_orientation=image.exif_orientation,
        )
    if kind == "features":
        return answers.FeaturePreprocessing(
            input=message.features.input,
            features=tuple(answers.Feature(one.name, one.minimum, one.maximum) for one in message.features.features),
        )
    return None
