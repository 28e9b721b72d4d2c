"""The usual answer, written from parts that were serialised once, is the message that protobuf would write."""

from pathlib import Path

import numpy as np
import pytest

from protos.signet.v1.prediction_pb2 import PredictResponse
from serving.inference.labels import DECISIONS
from serving.inference.session import SessionSettings
from serving.metrics import Metrics
from serving.repository.loading import Loader, LoadSettings
from serving.repository.served_model import ServedModel
from serving.rpc.answer_encoding import AnswerEncoder
from tests import tiny_models as tiny

LONG_LABEL = "a label of more than 127 bytes, so that its length takes two bytes to write: " + "x" * 100


def load(folder: Path) -> ServedModel:
    loader = Loader(LoadSettings(SessionSettings(intra_op_threads=1), max_batch_rows=8, queue_rows=8), Metrics())
    return loader.load(folder, folder.parent.name, int(folder.name))


@pytest.fixture(scope="module")
def classes(tmp_path_factory) -> ServedModel:
    """Scores go through unchanged, for three labels."""
    root = tmp_path_factory.mktemp("classes")
    model = tiny.identity_model(shape=(None, 3))
    return load(tiny.put_bare(root, "classes", model, version=300, labels=["T-shirt/top", "b", LONG_LABEL]))


@pytest.fixture(scope="module")
def careful(tmp_path_factory) -> ServedModel:
    """A sigmoid that says yes from 0.875 on."""
    manifest = {**tiny.SIGMOID_MANIFEST, "decision": {"kind": "sigmoid", "threshold": 0.875}}
    return load(tiny.put_package(tmp_path_factory.mktemp("careful"), "careful", tiny.sigmoid_model(), manifest))


def answer(model: ServedModel, output: np.ndarray, *, top_k: int = 1, **wanted: bool) -> PredictResponse:
    assert model.labeller is not None
    outputs = {model.labeller.output: output, DECISIONS: model.labeller.decide(output)}
    flags = {"return_scores": False, "return_outputs": False, **wanted}
    return PredictResponse.FromString(AnswerEncoder(model).encode(outputs, "an id", top_k, **flags))


SCORES = np.array(
    [[0.75, 0.125, 0.125], [0, 0, 1], [0, 0, 0], [-0.0, -1e-30, -7], [np.nan, 0.25, 0.5], [np.nan] * 3, [1, np.inf, 2]],
    np.float32,
)
PROBABILITIES = np.array([[0.0], [0.25], [0.5], [0.6], [0.875], [0.9], [1.0], [np.nan]], np.float32)


@pytest.mark.parametrize(("name", "output"), [("classes", SCORES), ("careful", PROBABILITIES)])
def test_the_usual_answer_says_what_its_message_says(name, output, request):
    model = request.getfixturevalue(name)
    usual, with_scores = answer(model, output), answer(model, output, return_scores=True)
    for row in with_scores.predictions:
        del row.scores[:]
    # Texts, since NaN is not equal to itself.
    assert str(usual) == str(with_scores)
    assert (usual.model, usual.version, usual.id) == (name, model.version, "an id")
    assert len(usual.predictions) == len(output)


def test_outputs_come_beside_the_rows(classes):
    both = answer(classes, SCORES[:1], return_outputs=True)
    assert [row.label for row in both.predictions] == ["T-shirt/top"]
    assert [tensor.name for tensor in both.outputs] == ["y"]


def test_the_best_classes_are_listed_in_order(classes):
    top = answer(classes, SCORES[:1], top_k=2).predictions[0].top
    assert [(one.label, one.class_index, one.score) for one in top] == [("T-shirt/top", 0, 0.75), ("b", 1, 0.125)]
