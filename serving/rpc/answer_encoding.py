"""A model's outputs → the bytes of a PredictResponse.

Owns how an answer is written: the usual one, a label and its score for each row, from parts that are the same for every
row with that label and so are serialised once; any other through its message. Does not know requests or how labels are
decided.
"""

import struct
from typing import Any

from protos.signet.v1.prediction_pb2 import ClassScore, PredictResponse, RowPrediction
from serving.inference.labels import DECISIONS, Labeller, top_k_classes
from serving.inference.signature import Tensors
from serving.repository.served_model import ServedModel
from serving.rpc.tensor_codec import encode_tensor

_LENGTH_DELIMITED = 2
_FIXED32 = 5
_CONTINUES = 0x80
"""The bit of a byte of a varint that says that another one follows."""

_DECISION_FIELDS = struct.Struct("<ii4s4s4s")
"""A DECISION, its floats as the wire has them."""


class AnswerEncoder:
    """Writes the answers of one version."""

    def __init__(self, model: ServedModel) -> None:
        self._head = PredictResponse(model=model.name, version=model.version).SerializeToString()
        self._output_names = [spec.name for spec in model.signature.outputs]
        self._labeller = model.labeller
        self._parts: dict[tuple[int, int], tuple[bytes, bytes]] = {}
        self._probability = b""
        self._threshold = b""
        if model.labeller is not None and model.labeller.decision.kind == "sigmoid":
            self._probability = _tag(RowPrediction, "probability", _FIXED32)
            self._threshold = RowPrediction(threshold=model.labeller.decision.threshold).SerializeToString()

    def encode(
        self, outputs: Tensors, request_id: str, top_k: int, *, return_scores: bool, return_outputs: bool
    ) -> bytes:
        """The answer for `outputs`, those of the model and its DECISIONS; at most `top_k` classes are listed."""
        # Messages set end to end are one message with the fields of all.
        parts = [self._head]
        if request_id:
            parts.append(PredictResponse(id=request_id).SerializeToString())
        if self._labeller is None:
            return_outputs = True
        elif top_k == 1 and not return_scores:
            self._append_rows(parts, outputs[DECISIONS].tobytes())
        else:
            parts.append(_rows(self._labeller, outputs, top_k, return_scores=return_scores).SerializeToString())
        if return_outputs:
            tensors = [encode_tensor(name, outputs[name]) for name in self._output_names]
            parts.append(PredictResponse(outputs=tensors).SerializeToString())
        return b"".join(parts)

    def _append_rows(self, parts: list[bytes], decisions: bytes) -> None:
        for class_index, best, score, best_score, probability in _DECISION_FIELDS.iter_unpack(decisions):
            known = self._parts.get((class_index, best))
            if known is None:
                known = self._parts[class_index, best] = self._constant_parts(class_index, best)
            parts += (known[0], score, known[1], best_score)
            if self._probability:
                parts += (self._probability, probability, self._threshold)

    def _constant_parts(self, class_index: int, best: int) -> tuple[bytes, bytes]:
        """What stands before the score of a row and between it and the best score."""
        if self._labeller is None:
            raise RuntimeError("rows are labelled by a model without labels")
        labels = self._labeller.labels
        head = RowPrediction(label=labels[class_index], class_index=class_index).SerializeToString()
        head += _tag(RowPrediction, "score", _FIXED32)
        top = ClassScore(label=labels[best], class_index=best).SerializeToString()
        top += _tag(ClassScore, "score", _FIXED32)
        between = _tag(RowPrediction, "top", _LENGTH_DELIMITED) + _varint(len(top) + 4) + top
        sigmoid = len(self._probability) + 4 + len(self._threshold) if self._probability else 0
        length = len(head) + 4 + len(between) + 4 + sigmoid
        return _tag(PredictResponse, "predictions", _LENGTH_DELIMITED) + _varint(length) + head, between


def _rows(labeller: Labeller, outputs: Tensors, top_k: int, *, return_scores: bool) -> PredictResponse:
    response = PredictResponse()
    scores = labeller.scores(outputs[labeller.output])
    for decision, row, top in zip(outputs[DECISIONS], scores, top_k_classes(scores, top_k).tolist(), strict=True):
        index = int(decision["class_index"])
        prediction = response.predictions.add(label=labeller.labels[index], class_index=index, score=row[index])
        for best in top:
            prediction.top.add(label=labeller.labels[best], class_index=best, score=row[best])
        if return_scores:
            prediction.scores.extend(row.tolist())
        if labeller.decision.kind == "sigmoid":
            prediction.probability = decision["probability"]
            prediction.threshold = labeller.decision.threshold
    return response


def _tag(message: Any, field: str, wire_type: int) -> bytes:  # noqa: ANN401 - a message class
    return _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | wire_type)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= _CONTINUES:
        encoded.append(number % _CONTINUES | _CONTINUES)
        number //= _CONTINUES
    encoded.append(number)
    return bytes(encoded)
