"""ModelStreamInfer: answers in order, errors inside the stream."""

import queue
from typing import TYPE_CHECKING

from tests.contract.open_inference import arrays, raw, stub

if TYPE_CHECKING:
    from protos.inference.tensors_pb2 import (
        ModelInferRequest,
    )


def test_a_stream_answers_in_order_and_an_error_leaves_it_open(signet):
    good = [raw("letters", [[0, 9, 0]], id=str(n)) for n in range(100)]
    bad = raw("nobody", [[0, 9, 0]], id="bad")
    answers = list(stub(signet).ModelStreamInfer(iter([*good, bad, *good])))
    assert [one.infer_response.id for one in answers] == [one.id for one in [*good, bad, *good]]
    assert [one.error_message for one in answers if one.error_message] == ["no model named nobody"]
    assert all(one.infer_response.parameters["triton_final_response"].bool_param for one in answers)
    assert arrays(answers[0].infer_response)["y"].argmax() == 1


def test_a_stream_answers_before_it_ends(signet):
    more: queue.SimpleQueue[ModelInferRequest | None] = queue.SimpleQueue()
    stream = stub(signet).ModelStreamInfer(iter(more.get, None))
    for n in range(3):
        more.put(raw("letters", [[0, 9, 0]], id=str(n)))
        assert next(stream).infer_response.id == str(n)
    more.put(None)
    assert list(stream) == []
