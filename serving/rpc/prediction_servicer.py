"""signet.v1.Prediction: labelled answers.

Owns the way from a PredictRequest to the model's inputs and from its outputs to rows with labels. Does not know
statuses, queues, or files.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from protos.signet.v1 import prediction_pb2
from serving.errors import InvalidInput
from serving.inference.inputs import (
    FeaturePreprocessing,
    ImagePreprocessing,
    arrange_features,
    check_finite,
    decode_images,
)
from serving.inference.labels import Labelled, Labeller
from serving.inference.signature import Tensors
from serving.metrics import Metrics
from serving.repository.repository import ModelRepository
from serving.repository.served_model import ServedModel
from serving.rpc.methods import Call, Run, RunMethod, StreamMethod, UnaryMethod
from serving.rpc.tensor_codec import decode_tensors, encode_tensor

SERVICE = prediction_pb2.DESCRIPTOR.services_by_name["Prediction"].full_name
MAX_TOP_K = 1000
INLINE_IMAGE_BYTES = 65_536
"""Image files of more bytes in all are decoded in a thread, so that other calls go on."""


class PredictionServicer:
    """Answers Predict and PredictStream. `max_rows`: of a request; `max_image_pixels`: of one image before resizing."""

    def __init__(self, repository: ModelRepository, metrics: Metrics, max_rows: int, max_image_pixels: int) -> None:
        self._repository = repository
        self._metrics = metrics
        self._max_rows = max_rows
        self._max_image_pixels = max_image_pixels
        self._predict = RunMethod("Predict", prediction_pb2.PredictRequest, self.prepare, has_large_images)

    @property
    def methods(self) -> Sequence[UnaryMethod | StreamMethod[Any]]:
        """What the boundary wraps."""
        return (
            self._predict,
            StreamMethod("PredictStream", prediction_pb2.PredictStreamRequest, self.predict_in_stream, stream_error),
        )

    def prepare(self, request: prediction_pb2.PredictRequest, call: Call) -> Run[prediction_pb2.PredictResponse]:
        """What to run for one request; raises the errors of `serving.errors`."""
        version = request.version if request.HasField("version") else None
        model = call.served = self._repository.get(request.model, version)
        top_k = checked_top_k(request.top_k)
        return Run(model, self._inputs(request, model), lambda outputs: self._encode(request, model, outputs, top_k))

    async def predict_in_stream(
        self, request: prediction_pb2.PredictStreamRequest, call: Call
    ) -> prediction_pb2.PredictStreamResponse:
        """Answer one request of a stream."""
        response = await self._predict.answer(request.request, call)
        return prediction_pb2.PredictStreamResponse(id=request.request.id, response=response)

    def _inputs(self, request: prediction_pb2.PredictRequest, model: ServedModel) -> Tensors:
        kinds = {"tensors": request.tensors, "images": request.images, "features": request.features}
        came = [name for name, rows in kinds.items() if len(rows)]
        if len(came) != 1:
            raise InvalidInput(f"{' and '.join(came) or 'no rows'} came; one of tensors, images, features was expected")
        if came == ["tensors"]:
            inputs = decode_tensors(request.tensors, model.signature, self._max_rows)
            to = model.manifest.preprocessing
            if isinstance(to, FeaturePreprocessing):
                check_finite(inputs[to.input], [feature.name for feature in to.features])
            return inputs
        rows = len(kinds[came[0]])
        if rows > self._max_rows:
            raise InvalidInput(f"{came[0]}: {rows} rows came; at most {self._max_rows} are allowed")
        return self._images(request, model) if came == ["images"] else self._features(request, model)

    def _images(self, request: prediction_pb2.PredictRequest, model: ServedModel) -> Tensors:
        to = model.manifest.preprocessing
        if not isinstance(to, ImagePreprocessing):
            raise InvalidInput(f"images: model {model.name} takes no images; it takes {_takes(model)}")
        return {to.input: decode_images(request.images, to, self._max_image_pixels)}

    def _features(self, request: prediction_pb2.PredictRequest, model: ServedModel) -> Tensors:
        to = model.manifest.preprocessing
        if not isinstance(to, FeaturePreprocessing):
            raise InvalidInput(f"features: model {model.name} has no named features; it takes {_takes(model)}")
        rows = [row.values for row in request.features]
        return {to.input: arrange_features(rows, to, model.signature.inputs[0].dtype)}

    def _encode(
        self, request: prediction_pb2.PredictRequest, model: ServedModel, outputs: Tensors, top_k: int
    ) -> prediction_pb2.PredictResponse:
        response = prediction_pb2.PredictResponse(model=model.name, version=model.version, id=request.id)
        labeller = model.labeller
        if labeller is not None:
            labelled = labeller.label(outputs[labeller.output], top_k)
            _encode_rows(response, labeller, labelled, return_scores=request.return_scores)
            self._count(model, labeller, labelled)
        if labeller is None or request.return_outputs:
            response.outputs.extend(encode_tensor(name, array) for name, array in outputs.items())
        return response

    def _count(self, model: ServedModel, labeller: Labeller, labelled: Labelled) -> None:
        indices, rows = np.unique(labelled.class_indices, return_counts=True)
        by_label = {labeller.labels[index]: int(count) for index, count in zip(indices, rows, strict=True)}
        self._metrics.count_predictions(model.name, str(model.version), by_label)


def has_large_images(request: prediction_pb2.PredictRequest) -> bool:
    """Whether another thread should decode the images of a request, so that no other caller waits for that."""
    return sum(map(len, request.images)) > INLINE_IMAGE_BYTES


def checked_top_k(top_k: int) -> int:
    """How many classes to list: 0 means 1. Raises InvalidInput below 0 and above MAX_TOP_K."""
    if not 0 <= top_k <= MAX_TOP_K:
        raise InvalidInput(f"top_k: {top_k} came; 0 to {MAX_TOP_K} was expected")
    return top_k or 1


def stream_error(
    request: prediction_pb2.PredictStreamRequest | None, code: int, text: str
) -> prediction_pb2.PredictStreamResponse:
    """The answer to a request of a stream that failed; `request` is None if it did not parse."""
    return prediction_pb2.PredictStreamResponse(
        id=request.request.id if request else "", error=prediction_pb2.StreamError(code=code, message=text)
    )


def _encode_rows(
    response: prediction_pb2.PredictResponse, labeller: Labeller, labelled: Labelled, *, return_scores: bool
) -> None:
    labels = labeller.labels
    decided = labelled.class_indices.tolist()
    for row, (index, top) in enumerate(zip(decided, labelled.top.tolist(), strict=True)):
        scores = labelled.scores[row]
        prediction = response.predictions.add(label=labels[index], class_index=index, score=scores[index])
        for best in top:
            prediction.top.add(label=labels[best], class_index=best, score=scores[best])
        if return_scores:
            prediction.scores.extend(scores.tolist())
        if labelled.probability is not None:
            prediction.probability = labelled.probability[row]
            prediction.threshold = labeller.decision.threshold


def _takes(model: ServedModel) -> str:
    return ", ".join(map(str, model.signature.inputs))
