"""MLServer, with the identity models that `signet conformance` looks for: python mlserver_identity.py PORT.

A model decodes and encodes by MLServer's own NumPy codec and looks at the requested outputs, as MLServer's runtimes do;
BYTES pass as they come, since that codec takes them for fixed-width text.
"""
# requirements: mlserver==1.7.1
# requirements: uvloop==0.21.0

import asyncio
import json
import socket
import sys
import tempfile
from pathlib import Path

from mlserver import MLModel, MLServer, Settings
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError
from mlserver.repository.factory import ModelRepositoryFactory
from mlserver.types import InferenceRequest, InferenceResponse, RequestInput, ResponseOutput

DATATYPES = (
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
)
"""All that MLServer has: BF16 is not among them."""


class Identity(MLModel):  # type: ignore[misc] # without types where it is not installed
    """Gives each of its inputs NAME back as NAME_out."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The inputs that the metadata state, or those whose outputs are asked for."""
        given = {one.name: one for one in payload.inputs}
        names = [one.name for one in self.inputs]
        if missing := set(names) - set(given):
            raise InferenceError(f"{self.name} lacks inputs: {', '.join(sorted(missing))}")
        outputs = {f"{name}_out": name for name in names}
        wanted = [one.name for one in payload.outputs or ()] or list(outputs)
        if unknown := set(wanted) - set(outputs):
            raise InferenceError(f"{self.name} has no outputs: {', '.join(sorted(unknown))}")
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=[answer(name, given[outputs[name]]) for name in wanted],
        )


def answer(name: str, given: RequestInput) -> ResponseOutput:
    """An input as an output."""
    if given.datatype == "BYTES":
        return ResponseOutput(name=name, shape=given.shape, datatype=given.datatype, data=given.data)
    return NumpyCodec.encode_output(name, NumpyCodec.decode_input(given))


def put(repository: Path, name: str, inputs: dict[str, str]) -> None:
    """Write the settings of a model with these inputs, each of [rows, 2], as MLServer's repository has them."""
    folder = repository / name
    folder.mkdir()
    settings = {
        "name": name,
        "implementation": "mlserver_identity.Identity",
        "platform": "mlserver_identity",
        "inputs": [{"name": one, "datatype": datatype, "shape": [-1, 2]} for one, datatype in inputs.items()],
        "outputs": [{"name": f"{one}_out", "datatype": datatype, "shape": [-1, 2]} for one, datatype in inputs.items()],
        "parameters": {"version": "1"},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))


def free_port() -> int:
    """A port for what nobody asks here."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def serve(port: int, repository: Path) -> None:
    """Serve until a signal ends it; models run in this process."""
    settings = Settings(
        host="127.0.0.1",
        grpc_port=port,
        http_port=free_port(),
        metrics_endpoint=None,
        parallel_workers=0,
        model_repository_root=str(repository),
    )
    models = await ModelRepositoryFactory.resolve_model_repository(settings).list()
    await MLServer(settings).start(models)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        put(Path(folder), "identity", {"a": "FP32", "b": "INT64"})
        for datatype in DATATYPES:
            put(Path(folder), f"identity_{datatype.lower()}", {"x": datatype})
        asyncio.run(serve(int(sys.argv[1]), Path(folder)))
