"""signet.v1.Prediction: labelled answers.

Owns the way from a PredictRequest to the model's inputs and from its outputs to rows with labels. Does not know
statuses, queues, or files.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, ref

import numpy as np

from protos.signet.v1 import prediction_pb2
from serving.errors import InvalidInput
from serving.inference.images import decode_images
from serving.inference.inputs import (
    FeaturePreprocessing,
    ImagePreprocessing,
    arrange_features,
    check_finite,
)
from serving.inference.signature import Tensors
from serving.repository.repository import ModelRepository
from serving.repository.served_model import ServedModel
from serving.rpc.answer_encoding import AnswerEncoder
from serving.rpc.methods import Call, Run, RunMethod, StreamMethod, UnaryMethod
from serving.rpc.request_heads import RequestHeads
from serving.rpc.tensor_codec import decode_tensors

SERVICE = prediction_pb2.DESCRIPTOR.services_by_name["Prediction"].full_name
MAX_TOP_K = 1000
INLINE_IMAGE_BYTES = 65_536
"""Image files of more bytes in all are decoded in a thread, so that other calls go on."""


class Asked(NamedTuple):
    """The model that a request names, and its version or a label of it."""

    model: str
    version: int | None
    label: str | None


class KnownRequest(NamedTuple):
    """What a request with raw contents means: whom it asks, where they go, and what becomes of outputs."""

    asked: Asked
    model: ref[ServedModel]
    input: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    finish: Callable[[Tensors], bytes]


class PredictionServicer:
    """Answers Predict and PredictStream. `max_rows`: of a request; `max_image_pixels`: of one image before resizing."""

    def __init__(self, repository: ModelRepository, max_rows: int, max_image_pixels: int) -> None:
        self._repository = repository
        self._max_rows = max_rows
        self._max_image_pixels = max_image_pixels
        self._encoders: WeakKeyDictionary[ServedModel, AnswerEncoder] = WeakKeyDictionary()
        self._known = RequestHeads[prediction_pb2.PredictRequest, KnownRequest](prediction_pb2.PredictRequest, with_raw)
        self._predict = RunMethod(
            "Predict", prediction_pb2.PredictRequest, self.prepare, has_large_images, self.recall, self.learn
        )

    @property
    def methods(self) -> Sequence[UnaryMethod | StreamMethod[Any]]:
        """What the boundary wraps."""
        return (
            self._predict,
            StreamMethod("PredictStream", prediction_pb2.PredictStreamRequest, self.predict_in_stream, stream_error),
        )

    def prepare(self, request: prediction_pb2.PredictRequest, call: Call) -> Run:
        """What to run for one request; raises the errors of `serving.errors`."""
        call.request_id = request.id
        model = self._find(_asked(request), call)
        top_k = checked_top_k(request.top_k)
        finish = partial(
            self._encoder(model).encode,
            request_id=request.id,
            top_k=top_k,
            return_scores=request.return_scores,
            return_outputs=request.return_outputs,
        )
        return Run(model, self._inputs(request, model), finish)

    def recall(self, data: bytes, call: Call) -> Run | None:
        """What to run for a request like one that `learn` was told of, for the same version; else None."""
        recalled = self._known.recall(data)
        if recalled is None:
            return None
        known, start = recalled
        model = self._find(known.asked, call)
        if model is not known.model():
            return None
        array = np.frombuffer(data[start:], known.dtype).reshape(known.shape)
        inputs = {known.input: array}
        check_finite(inputs, model.manifest.preprocessing)
        return Run(model, inputs, known.finish)

    def learn(self, data: bytes, request: prediction_pb2.PredictRequest, run: Run) -> None:
        """Remember a request of one raw tensor, unless its id makes it one of its kind."""
        if request.id or len(request.tensors) != 1:
            return
        raw = request.tensors[0].raw
        ((name, array),) = run.inputs.items()
        if array.dtype.hasobject:
            return
        known = KnownRequest(_asked(request), ref(run.model), name, array.dtype, array.shape, run.finish)
        self._known.learn(data, request, raw, known)

    async def predict_in_stream(self, request: prediction_pb2.PredictStreamRequest, call: Call) -> bytes:
        """Answer one request of a stream."""
        answer = prediction_pb2.PredictResponse.FromString(await self._predict.answer(request.request, call))
        return prediction_pb2.PredictStreamResponse(id=request.request.id, response=answer).SerializeToString()

    def _find(self, asked: Asked, call: Call) -> ServedModel:
        # Not twice for one call: a split that is drawn again for what could not be recalled has other shares.
        if call.served is None:
            call.served = self._repository.get(asked.model, asked.version, asked.label, call.key)
        return call.served

    def _inputs(self, request: prediction_pb2.PredictRequest, model: ServedModel) -> Tensors:
        tensors, images, features = len(request.tensors), len(request.images), len(request.features)
        if bool(tensors) + bool(images) + bool(features) != 1:
            came = [name for name, rows in (("tensors", tensors), ("images", images), ("features", features)) if rows]
            raise InvalidInput(f"{' and '.join(came) or 'no rows'} came; one of tensors, images, features was expected")
        if tensors:
            inputs = decode_tensors(request.tensors, model.signature, self._max_rows)
            check_finite(inputs, model.manifest.preprocessing)
            return inputs
        if images + features > self._max_rows:
            name = "images" if images else "features"
            raise InvalidInput(f"{name}: {images + features} rows came; at most {self._max_rows} are allowed")
        return self._images(request, model) if images else self._features(request, model)

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

    def _encoder(self, model: ServedModel) -> AnswerEncoder:
        encoder = self._encoders.get(model)
        if encoder is None:
            encoder = self._encoders[model] = AnswerEncoder(model)
        return encoder


def with_raw(request: prediction_pb2.PredictRequest, raw: bytes) -> prediction_pb2.PredictRequest:
    """A copy of `request` whose first tensor has other raw contents."""
    other = prediction_pb2.PredictRequest()
    other.CopyFrom(request)
    other.tensors[0].raw = raw
    return other


def has_large_images(request: prediction_pb2.PredictRequest) -> bool:
    """Whether another thread should decode the images of a request, so that no other caller waits for that."""
    return bool(request.images) and sum(map(len, request.images)) > INLINE_IMAGE_BYTES


def checked_top_k(top_k: int) -> int:
    """How many classes to list: 0 means 1. Raises InvalidInput below 0 and above MAX_TOP_K."""
    if not 0 <= top_k <= MAX_TOP_K:
        raise InvalidInput(f"top_k: {top_k} came; 0 to {MAX_TOP_K} was expected")
    return top_k or 1


def stream_error(request: prediction_pb2.PredictStreamRequest | None, code: int, text: str) -> bytes:
    """The answer to a request of a stream that failed; `request` is None if it did not parse."""
    error = prediction_pb2.StreamError(code=code, message=text)
    answer = prediction_pb2.PredictStreamResponse(id=request.request.id if request else "", error=error)
    return answer.SerializeToString()


def _asked(request: prediction_pb2.PredictRequest) -> Asked:
    return Asked(
        request.model,
        request.version if request.HasField("version") else None,
        request.version_label if request.HasField("version_label") else None,
    )


def _takes(model: ServedModel) -> str:
    return ", ".join(map(str, model.signature.inputs))
