"""tritonclient, Triton's own client: sync, async, asyncio, streams, classification, configuration, statistics, control.

Its requirements are its newest release; nothing of this project is imported here.
"""
# requirements: tritonclient[grpc]==2.73.0
# requirements: ml_dtypes==0.5.4
# requirements: numpy>=2,<3

import asyncio
import queue
import sys

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

ROWS = np.array([[1, 3, 2], [9, 0, 0]], np.float32)
SECONDS = 30

VALUES = {
    "BOOL": [[True, False]],
    "UINT8": [[0, 255]],
    "UINT16": [[0, 2**16 - 1]],
    "UINT32": [[0, 2**32 - 1]],
    "UINT64": [[0, 2**64 - 1]],
    "INT8": [[-128, 127]],
    "INT16": [[-(2**15), 2**15 - 1]],
    "INT32": [[-(2**31), 2**31 - 1]],
    "INT64": [[-(2**63), 2**63 - 1]],
    "FP16": [[0.5, -65504]],
    "BF16": [[0.5, -1.0]],
    "FP32": [[0.1, -1e30]],
    "FP64": [[0.1, -1e300]],
    "BYTES": [["a", "ÿ€"]],
}


def check(what: str, found: object, expected: object) -> None:
    """Say what was checked, or end."""
    if found != expected:
        sys.exit(f"{what}: {found!r} came, {expected!r} was expected")
    print(f"  {what}")


def the_input(module, rows: np.ndarray, name: str = "x", datatype: str = "FP32"):
    """An input with contents."""
    tensor = module.InferInput(name, list(rows.shape), datatype)
    tensor.set_data_from_numpy(rows)
    return tensor


def refusal(call, *arguments, **options) -> tuple[str, str]:
    """Status and text of what fails."""
    try:
        call(*arguments, **options)
    except InferenceServerException as error:
        return str(error.status()), str(error.message())
    sys.exit(f"{call.__name__} did not fail")


def describe(client) -> None:
    """Liveness, metadata, configuration, index."""
    check("is_server_live", client.is_server_live(), True)
    check("is_server_ready", client.is_server_ready(), True)
    check("is_model_ready", client.is_model_ready("letters"), True)
    check("is_model_ready of an unknown model", client.is_model_ready("nobody"), False)
    check("get_server_metadata", client.get_server_metadata().name, "signet")
    metadata = client.get_model_metadata("letters", as_json=True)
    check("get_model_metadata", (metadata["platform"], metadata["versions"]), ("onnxruntime_onnx", ["1"]))
    config = client.get_model_config("shades", as_json=True)["config"]
    check("get_model_config", config["output"][0]["label_filename"], "labels.txt")
    index = client.get_model_repository_index(as_json=True)["models"]
    check("get_model_repository_index", {"READY"}, {one["state"] for one in index})


def infer(client) -> None:
    """Every datatype, outputs, ids, classification, parameters, errors."""
    for datatype, values in VALUES.items():
        rows = np.array(values, np.object_ if datatype == "BYTES" else triton_to_np_dtype(datatype))
        answer = client.infer(f"identity_{datatype.lower()}", [the_input(triton, rows, "x", datatype)])
        got = answer.as_numpy("y")
        if datatype == "BYTES":
            got = np.array([[one.decode() for one in row] for row in got.tolist()], np.object_)
        check(f"infer {datatype}", (got.dtype, got.tolist()), (rows.dtype, rows.tolist()))
    inputs = [the_input(triton, ROWS[:1, :2], "a"), the_input(triton, ROWS[1:, :2], "b")]
    answer = client.infer("pairs", inputs, outputs=[triton.InferRequestedOutput("sum")], request_id="an id")
    check("infer one output of two", [one.name for one in answer.get_response().outputs], ["sum"])
    check("infer two inputs", answer.as_numpy("sum").tolist(), [[10, 3]])
    check("infer request_id", answer.get_response().id, "an id")
    asked = [triton.InferRequestedOutput("y", class_count=2)]
    answer = client.infer("letters", [the_input(triton, ROWS)], outputs=asked)
    classes = [[one.decode().split(":")[1:] for one in row] for row in answer.as_numpy("y")]
    check("infer with class_count", classes, [[["1", "b"], ["2", "c"]], [["0", "a"], ["1", "b"]]])
    options = {"timeout": 20_000_000, "priority": 1, "parameters": {"mine": "x"}, "model_version": "1"}
    answer = client.infer("letters", [the_input(triton, ROWS)], client_timeout=SECONDS, **options)
    check("infer with timeout, priority, version", answer.as_numpy("y").argmax(axis=1).tolist(), [1, 0])
    answer = client.infer("letters", [the_input(triton, ROWS)], sequence_id=7, sequence_start=True)
    check("infer in a sequence", answer.as_numpy("y").argmax(axis=1).tolist(), [1, 0])
    for what, arguments, code in (
        ("unknown model", ("nobody", [the_input(triton, ROWS)]), "StatusCode.NOT_FOUND"),
        ("wrong shape", ("letters", [the_input(triton, ROWS[:, :2])]), "StatusCode.INVALID_ARGUMENT"),
    ):
        check(f"infer {what}", refusal(client.infer, *arguments)[0], code)


def asynchronous(client) -> None:
    """async_infer, many at once."""
    answers: queue.Queue = queue.Queue()
    for n in range(50):
        client.async_infer(
            "letters", [the_input(triton, ROWS)], lambda result, error: answers.put((result, error)), request_id=str(n)
        )
    found = [answers.get(timeout=SECONDS) for _ in range(50)]
    check("async_infer without errors", [error for _, error in found if error], [])
    ids = sorted(int(result.get_response().id) for result, _ in found)
    check("async_infer answers", ids, list(range(50)))


def stream(client) -> None:
    """start_stream, async_stream_infer: in order, and an error in the middle."""
    answers: queue.Queue = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for n in range(20):
        model = "nobody" if n == 10 else "letters"
        client.async_stream_infer(
            model, [the_input(triton, ROWS)], request_id=str(n), enable_empty_final_response=bool(n % 2)
        )
    found = [answers.get(timeout=SECONDS) for _ in range(20)]
    client.stop_stream()
    good = [(n, result) for n, (result, error) in enumerate(found) if error is None]
    check("stream in order", [int(result.get_response().id) for _, result in good], [n for n, _ in good])
    check("stream error", str(found[10][1].message()), "no model named nobody")
    check("stream goes on after it", len(good), 19)
    finals = {result.get_response().parameters["triton_final_response"].bool_param for _, result in good}
    check("stream final responses", finals, {True})


def statistics(client) -> None:
    """Figures after what was asked."""
    figures = client.get_inference_statistics("letters").model_stats[0]
    check("get_inference_statistics", figures.inference_count >= 2 * figures.execution_count > 0, True)
    check("statistics of success", figures.inference_stats.success.count >= 70, True)
    check("statistics of failures", figures.inference_stats.fail.count, 1)
    check("statistics of batches", sum(one.compute_infer.count for one in figures.batch_stats), figures.execution_count)


def control(client) -> None:
    """unload_model, load_model, and what is not offered."""
    client.unload_model("pairs")
    check("unload_model", client.is_model_ready("pairs"), False)
    client.load_model("pairs")
    check("load_model", client.is_model_ready("pairs"), True)
    check("load_model of an unknown one", refusal(client.load_model, "nobody")[0], "StatusCode.NOT_FOUND")
    for call in (
        client.get_system_shared_memory_status,
        client.get_cuda_shared_memory_status,
        client.get_trace_settings,
        client.get_log_settings,
    ):
        code, text = refusal(call)
        check(
            f"{call.__name__} is told as not offered", (code, "not offered" in text), ("StatusCode.UNIMPLEMENTED", True)
        )


async def with_asyncio(url: str) -> None:
    """The asyncio client."""
    async with triton_aio.InferenceServerClient(url) as client:
        check("aio is_server_ready", await client.is_server_ready(), True)
        answers = await asyncio.gather(*(client.infer("letters", [the_input(triton_aio, ROWS)]) for _ in range(50)))
        check("aio infer", {str(one.as_numpy("y").argmax(axis=1).tolist()) for one in answers}, {"[1, 0]"})

        async def requests():
            for n in range(10):
                yield {"model_name": "letters", "inputs": [the_input(triton_aio, ROWS)], "request_id": str(n)}

        found = [result.get_response().id async for result, error in client.stream_infer(requests()) if error is None]
        check("aio stream_infer", found, [str(n) for n in range(10)])


def main() -> None:
    """Everything, in turn."""
    url = sys.argv[1]
    client = triton.InferenceServerClient(url)
    describe(client)
    infer(client)
    asynchronous(client)
    stream(client)
    statistics(client)
    control(client)
    client.close()
    asyncio.run(with_asyncio(url))


main()
