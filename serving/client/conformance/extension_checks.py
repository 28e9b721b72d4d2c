"""Promises of the extensions that Triton's clients use, tried where a server has the method.

None is part of the specification: a server without them, or with others of the same name, does not fail.
"""

from typing import TypeVar

import grpc
from google.protobuf.message import Message

from protos.inference import model_config_pb2, repository_pb2, statistics_pb2
from protos.inference.tensors_pb2 import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse
from serving.client.conformance import mistakes
from serving.client.conformance.check import BrokenPromise, Check, NotTried, convention
from serving.client.conformance.subject import Subject, broken_if, expect_equal
from serving.client.conformance.target import Reply

TRITON = "Triton's extension, not in the specification"
STREAMED = 8

M = TypeVar("M", bound=Message)


@convention(
    "extensions.stream", "Each request of a stream gets its answer, in their order", f"ModelStreamInfer: {TRITON}"
)
def _stream(subject: Subject) -> None:
    asked = [subject.main.arrays(seed=seed) for seed in range(STREAMED)]
    requests = [subject.main.request(arrays, request_id=str(seed)) for seed, arrays in enumerate(asked)]
    replies = _streamed(subject, requests)
    broken_if(replies[-1], len(replies) != STREAMED, f"{STREAMED} answers, not {len(replies)}")
    for index, (reply, arrays) in enumerate(zip(replies, asked, strict=True)):
        answer = _infer_reply(reply)
        broken_if(reply, answer.ok().id != str(index), f"id: '{index}', in the order of the requests")
        expect_equal(answer, subject.main, arrays)


@convention(
    "extensions.stream-error",
    "A request of a stream that fails has an error_message, and the others are answered",
    f"ModelStreamInferResponse.error_message: {TRITON}",
)
def _stream_error(subject: Subject) -> None:
    requests = [mistakes.right(subject), mistakes.unknown_model(subject), mistakes.right(subject)]
    replies = _streamed(subject, requests)
    broken_if(replies[-1], len(replies) != len(requests), f"{len(requests)} answers, not {len(replies)}")
    messages = [reply.ok().error_message for reply in replies]
    broken_if(
        replies[1], [bool(text) for text in messages] != [False, True, False], "an error_message in the 2nd alone"
    )


@convention("extensions.repository-index", "RepositoryIndex lists the model as READY", f"RepositoryIndex: {TRITON}")
def _repository_index(subject: Subject) -> None:
    request = repository_pb2.RepositoryIndexRequest()
    reply = _offered(subject, "RepositoryIndex", request, repository_pb2.RepositoryIndexResponse)
    listed = {model.state for model in reply.ok().models if model.name == subject.name}
    broken_if(reply, "READY" not in listed, f"{subject.name!r} with state READY")


@convention("extensions.statistics", "ModelStatistics counts a call and its rows", f"ModelStatistics: {TRITON}")
def _statistics(subject: Subject) -> None:
    before = _counts(subject)
    subject.expect_answer(subject.main)
    after = _counts(subject)
    counts = [
        (sum(one.inference_stats.success.count for one in reply.ok().model_stats), _inferences(reply))
        for reply in (before, after)
    ]
    broken_if(
        after, counts[1][0] != counts[0][0] + 1, f"success.count {counts[0][0] + 1}, one more than before the call"
    )
    broken_if(after, counts[1][1] <= counts[0][1], f"an inference_count above {counts[0][1]}, that before the call")


@convention(
    "extensions.model-config", "ModelConfig has the inputs and outputs of the metadata", f"ModelConfig: {TRITON}"
)
def _model_config(subject: Subject) -> None:
    request = model_config_pb2.ModelConfigRequest(name=subject.main.name)
    reply = _offered(subject, "ModelConfig", request, model_config_pb2.ModelConfigResponse)
    config = reply.ok().config
    names = [[one.name for one in tensors] for tensors in (config.input, config.output)]
    expected = [[spec.name for spec in specs] for specs in (subject.main.inputs, subject.main.outputs)]
    broken_if(reply, config.name != subject.main.name or names != expected, f"inputs and outputs {expected}")


def _counts(subject: Subject) -> Reply[statistics_pb2.ModelStatisticsResponse]:
    request = statistics_pb2.ModelStatisticsRequest(name=subject.main.name)
    return _offered(subject, "ModelStatistics", request, statistics_pb2.ModelStatisticsResponse)


def _inferences(reply: Reply[statistics_pb2.ModelStatisticsResponse]) -> int:
    return sum(one.inference_count for one in reply.ok().model_stats)


def _offered(subject: Subject, method: str, request: Message, answer: type[M]) -> Reply[M]:
    reply = subject.target.call(method, request, answer)
    if reply.code is grpc.StatusCode.UNIMPLEMENTED:
        raise NotTried(f"the server has no {method}")
    return reply


def _streamed(subject: Subject, requests: list[ModelInferRequest]) -> list[Reply[ModelStreamInferResponse]]:
    replies = subject.target.stream("ModelStreamInfer", requests, ModelStreamInferResponse)
    if not replies:
        raise BrokenPromise(f"ModelStreamInfer, {len(requests)} requests", "OK without an answer", "answers")
    if replies[-1].code is grpc.StatusCode.UNIMPLEMENTED:
        raise NotTried("the server has no ModelStreamInfer")
    return replies


def _infer_reply(reply: Reply[ModelStreamInferResponse]) -> Reply[ModelInferResponse]:
    answer = reply.ok()
    broken_if(reply, answer.error_message, "no error_message")
    return Reply(reply.sent, reply.code, reply.text, answer.infer_response)


CHECKS: tuple[Check[Subject], ...] = (_stream, _stream_error, _repository_index, _statistics, _model_config)
