"""Promises about what a server bears: bytes that are no message, large messages, many calls at once."""

from concurrent.futures import ThreadPoolExecutor

from protos.inference import metadata_pb2, tensors_pb2
from serving.client.conformance.check import Check, convention, must
from serving.client.conformance.mistakes import right
from serving.client.conformance.subject import Subject, broken_if, expect_equal

PARALLEL_CALLS = 64
LARGE_BYTES = 6 * 1024 * 1024


@must(
    "limits.malformed",
    "Bytes that are no message are an error, and the server serves on",
    "inference_grpc.md: errors are statuses other than OK",
)
def _malformed(subject: Subject) -> None:
    whole = right(subject).SerializeToString()
    for spoilt, named in (
        (whole[:-1], "a request without its last byte"),
        (b"\xff" * 16, "16 bytes 0xff"),
        (b"\x0a\xff\xff\xff\xff\x0f", "a name of 4 GiB that does not follow"),
    ):
        sent = f"ModelInfer {named}: {spoilt[:24]!r}, {len(spoilt)} bytes"
        subject.target.call_bytes("ModelInfer", spoilt, tensors_pb2.ModelInferResponse, sent).refused("an error")
    subject.expect_answer(subject.main)


@must("limits.parallel", f"{PARALLEL_CALLS} calls at once get their own answers and ids", "ModelInferRequest.id")
def _parallel(subject: Subject) -> None:
    def ask(seed: int) -> None:
        arrays = subject.main.arrays(seed=seed)
        reply = subject.infer(subject.main.request(arrays, request_id=f"call {seed}"))
        expect_equal(reply, subject.main, arrays)
        broken_if(reply, reply.ok().id != f"call {seed}", f"id: 'call {seed}'")

    with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        for asked in [pool.submit(ask, seed) for seed in range(PARALLEL_CALLS)]:
            asked.result()


@convention(
    "limits.large-message", "A message of 6 MiB is answered", "The specification is silent; gRPC's default is 4 MiB"
)
def _large_message(subject: Subject) -> None:
    model = subject.with_datatype("BYTES")
    arrays = model.arrays()
    for spec in model.inputs:
        if spec.datatype == "BYTES":
            flat = arrays[spec.name].reshape(-1)
            flat[:] = [b"x" * (LARGE_BYTES // flat.size)] * flat.size
    expect_equal(subject.infer(model.request(arrays)), model, arrays)


@convention("limits.unknown-method", "A method that there is not is UNIMPLEMENTED", "gRPC's status codes")
def _unknown_method(subject: Subject) -> None:
    request = metadata_pb2.ServerLiveRequest()
    reply = subject.target.call("NoSuchMethod", request, metadata_pb2.ServerLiveResponse)
    broken_if(reply, reply.code.name != "UNIMPLEMENTED", "UNIMPLEMENTED")


@must("limits.still-serving", "After all of this the server is live and answers", "inference_grpc.md, Server Live")
def _still_serving(subject: Subject) -> None:
    reply = subject.target.call("ServerLive", metadata_pb2.ServerLiveRequest(), metadata_pb2.ServerLiveResponse)
    broken_if(reply, not reply.ok().live, "live: true")
    subject.expect_answer(subject.main)


CHECKS: tuple[Check[Subject], ...] = (_malformed, _parallel, _large_message, _unknown_method, _still_serving)
