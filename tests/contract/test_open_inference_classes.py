"""The classification extension: classes as texts, as Triton writes them."""

import grpc
import numpy as np
import pytest

from tests.contract.open_inference import classified, raw, stub, texts, typed
from tests.contract.requests import status_of

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def infer(signet):
    return stub(signet).ModelInfer


def test_classes_come_by_falling_score_as_text_with_their_labels(infer):
    answer = infer(raw("letters", [[1, 3, 2], [9, 0, 0]], outputs=[classified("y", 2)]))
    (tensor,) = answer.outputs
    assert (tensor.name, tensor.datatype, tensor.shape) == ("y", "BYTES", [2, 2])
    exponentials = np.exp(np.array([1, 3, 2]))
    b, c = (exponentials / exponentials.sum())[[1, 2]]
    found = texts(answer.raw_output_contents[0])
    assert found[:2] == [f"{b:f}:1:b", f"{c:f}:2:c"]
    assert [one.partition(":")[2] for one in found[2:]] == ["0:a", "1:b"]


def test_more_classes_than_there_are_means_all_and_a_tie_goes_to_the_lower_index(infer):
    answer = infer(raw("letters", [[0, 0, 0]], outputs=[classified("y", 1000)]))
    assert answer.outputs[0].shape == [1, 3]
    assert texts(answer.raw_output_contents[0]) == ["0.333333:0:a", "0.333333:1:b", "0.333333:2:c"]


def test_a_sigmoid_has_two_classes(infer):
    answer = infer(raw("sums", [[0, 0, 0], [9, 9, 9]], name="features", outputs=[classified("probability", 2)]))
    assert texts(answer.raw_output_contents[0]) == [
        "0.500000:0:negative",
        "0.500000:1:positive",
        "1.000000:1:positive",
        "0.000000:0:negative",
    ]


def test_classes_come_raw_though_the_request_came_typed(infer):
    answer = infer(typed("letters", [1, 3], [0, 9, 0], outputs=[classified("y", 1)]))
    assert texts(answer.raw_output_contents[0])[0].endswith(":1:b")


def test_classes_of_a_tensor_are_counted_over_all_that_is_not_rows(infer):
    answer = infer(raw("free", [[[1], [3], [2]]], outputs=[classified("y", 2)]))
    assert texts(answer.raw_output_contents[0]) == ["3.000000:1", "2.000000:2"]


def test_more_classes_than_an_answer_should_hold_are_refused(infer):
    code, text = status_of(infer, raw("free", np.zeros((500, 600, 1)), outputs=[classified("y", 600)]))
    assert code == INVALID
    assert "500 rows of 600 classes were asked for; at most 65536 classes" in text
