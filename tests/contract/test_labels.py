"""Every row gets its label, by class_indices."""

import numpy as np
import pytest

from protos.signet.v1.prediction_pb2 import PredictRequest, Tensor
from tests.contract.requests import array_of, letters, sums


def test_each_row_of_raw_tensors_gets_label_index_and_score(signet):
    answer = signet.prediction.Predict(letters([[9, 0, 0], [0, 0, 9]]))
    assert [(row.label, row.class_index) for row in answer.predictions] == [("a", 0), ("c", 2)]
    assert answer.predictions[0].score == pytest.approx(1.0, abs=1e-3)


def test_typed_values_are_answered_as_raw_bytes_are(signet):
    typed = Tensor(name="x", datatype="FP32", shape=[2, 3], float_values=[0, 9, 0, 9, 0, 0])
    answer = signet.prediction.Predict(PredictRequest(model="letters", tensors=[typed]))
    assert answer == signet.prediction.Predict(letters([[0, 9, 0], [9, 0, 0]]))


def test_named_features_may_come_in_any_order(signet):
    answer = signet.prediction.Predict(sums({"c": 0.5, "a": 1, "b": 1}, {"b": -3, "c": 0, "a": 1}))
    assert [row.label for row in answer.predictions] == ["positive", "negative"]


def test_a_sigmoid_model_tells_probability_and_threshold(signet):
    row = signet.prediction.Predict(sums({"a": -1, "b": 0, "c": 0})).predictions[0]
    assert row.probability == pytest.approx(1 / (1 + np.e), abs=1e-6)
    assert row.threshold == 0.5
    assert row.score == pytest.approx(1 - row.probability)


def test_a_sigmoid_model_decides_by_the_threshold_of_its_manifest(signet):
    request = sums({"a": 1.9, "b": 0, "c": 0}, {"a": 2, "b": 0, "c": 0})
    request.model = "careful"
    rows = signet.prediction.Predict(request).predictions
    assert [row.label for row in rows] == ["negative", "positive"]
    assert [row.threshold for row in rows] == [0.875, 0.875]


def test_top_k_lists_the_best_classes_by_falling_score(signet):
    row = signet.prediction.Predict(letters([[1, 3, 2]], top_k=2)).predictions[0]
    assert [best.label for best in row.top] == ["b", "c"]
    assert row.top[0].score > row.top[1].score


def test_top_k_over_the_number_of_classes_lists_all_of_them(signet):
    row = signet.prediction.Predict(letters([[1, 3, 2]], top_k=10)).predictions[0]
    assert [best.label for best in row.top] == ["b", "c", "a"]


def test_equal_scores_rank_by_class_index(signet):
    row = signet.prediction.Predict(letters([[5, 5, 5]], top_k=3)).predictions[0]
    assert [best.class_index for best in row.top] == [0, 1, 2]


def test_scores_of_all_classes_come_only_when_asked_for(signet):
    asked = signet.prediction.Predict(letters([[1, 3, 2]], return_scores=True)).predictions[0]
    assert len(asked.scores) == 3
    assert sum(asked.scores) == pytest.approx(1.0)
    assert not signet.prediction.Predict(letters([[1, 3, 2]])).predictions[0].scores


def test_raw_outputs_come_only_when_asked_for(signet):
    answer = signet.prediction.Predict(letters([[1, 3, 2]], return_outputs=True))
    assert answer.outputs[0].name == "y"
    assert array_of(answer.outputs[0]).argmax() == 1
    assert not signet.prediction.Predict(letters([[1, 3, 2]])).outputs


def test_the_answer_names_model_version_and_the_callers_id(signet):
    answer = signet.prediction.Predict(letters([[1, 3, 2]], id="mine", version=1))
    assert (answer.model, answer.version, answer.id) == ("letters", 1, "mine")
