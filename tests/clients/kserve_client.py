"""KServe's SDK: its gRPC client, InferenceGRPCClient. Nothing of this project is imported here."""
# requirements: kserve==0.21.0

import asyncio
import logging
import sys

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.infer_type import RequestedOutput

ROWS = np.array([[1, 3, 2], [9, 0, 0]], np.float32)


def check(what: str, found: object, expected: object) -> None:
    """Say what was checked, or end."""
    if found != expected:
        sys.exit(f"{what}: {found!r} came, {expected!r} was expected")
    print(f"  {what}")


def tensor(rows: np.ndarray, name: str = "x", datatype: str = "FP32", *, binary: bool) -> InferInput:
    """An input, its contents raw or typed."""
    one = InferInput(name, list(rows.shape), datatype)
    one.set_data_from_numpy(rows, binary_data=binary)
    return one


async def talk(url: str) -> None:
    """Readiness, raw and typed contents, outputs, ids, errors."""
    async with InferenceGRPCClient(url, retries=0) as client:
        check("is_server_live", await client.is_server_live(), True)
        check("is_server_ready", await client.is_server_ready(), True)
        check("is_model_ready", await client.is_model_ready("letters"), True)
        check("is_model_ready of an unknown model", await client.is_model_ready("nobody"), False)
        for binary in (True, False):
            kind = "raw" if binary else "typed"
            request = InferRequest("letters", [tensor(ROWS, binary=binary)], request_id="an id")
            answer = await client.infer(request)
            check(f"infer {kind}", answer.outputs[0].as_numpy().argmax(axis=1).tolist(), [1, 0])
            check(
                f"infer {kind}: model, version, id",
                (answer.model_name, answer.model_version, answer.id),
                ("letters", "1", "an id"),
            )
            pair = [tensor(ROWS[:1, :2], "a", binary=binary), tensor(ROWS[1:, :2], "b", binary=binary)]
            answer = await client.infer(InferRequest("pairs", pair, request_outputs=[RequestedOutput("sum")]))
            check(f"infer {kind}: one output of two", [one.name for one in answer.outputs], ["sum"])
            check(f"infer {kind}: two inputs", answer.outputs[0].as_numpy().tolist(), [[10, 3]])
            texts = np.array([[b"a", b"b"]], np.object_)
            answer = await client.infer(InferRequest("identity_bytes", [tensor(texts, "x", "BYTES", binary=binary)]))
            check(f"infer {kind}: texts", answer.outputs[0].as_numpy().tolist(), [[b"a", b"b"]])
        halves = np.array([[0.5, -1.5]], np.float16)
        answer = await client.infer(InferRequest("identity_fp16", [tensor(halves, "x", "FP16", binary=True)]))
        check("infer FP16", answer.outputs[0].as_numpy().tolist(), [[0.5, -1.5]])
        try:
            await client.infer(InferRequest("nobody", [tensor(ROWS, binary=True)]))
        except grpc.RpcError as error:
            check("infer of an unknown model", error.code(), grpc.StatusCode.NOT_FOUND)
        else:
            sys.exit("infer of an unknown model did not fail")


# The client logs the trace of each refusal.
logging.disable()
asyncio.run(talk(sys.argv[1]))
