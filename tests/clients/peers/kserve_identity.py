"""KServe's model server, with the identity models that `signet conformance` looks for: python kserve_identity.py PORT.

A model reads inputs and makes its answer as the SDK's own `get_predict_response` does, for outputs with names.
"""
# requirements: kserve==0.21.0

import socket
import sys

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.errors import InvalidInput

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
"""All that KServe's SDK has: BF16 is not among them."""


class Identity(Model):  # type: ignore[misc] # without types where it is not installed
    """Gives each of its inputs NAME, [rows, 2], back as NAME_out."""

    def __init__(self, name: str, inputs: dict[str, str]) -> None:
        super().__init__(name)
        self._inputs = inputs
        self.ready = True

    def get_input_types(self) -> list[dict[str, object]]:
        """What the metadata tell of the inputs."""
        return [{"name": name, "datatype": datatype, "shape": [-1, 2]} for name, datatype in self._inputs.items()]

    def get_output_types(self) -> list[dict[str, object]]:
        """What the metadata tell of the outputs."""
        return [{**one, "name": f"{one['name']}_out"} for one in self.get_input_types()]

    async def predict(self, payload: InferRequest, *_: object, **__: object) -> InferResponse:
        """All inputs that the metadata state."""
        outputs = []
        for name in self._inputs:
            given = payload.get_input_by_name(name)
            if given is None:
                raise InvalidInput(f"{self.name} lacks the input {name}")
            array = given.as_numpy()
            output = InferOutput(f"{name}_out", list(array.shape), given.datatype)
            output.set_data_from_numpy(array, binary_data=payload.use_binary_outputs)
            outputs.append(output)
        return InferResponse(
            response_id=payload.id,
            model_name=self.name,
            infer_outputs=outputs,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


def free_port() -> int:
    """A port for what nobody asks here."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


if __name__ == "__main__":
    models = [Identity("identity", {"a": "FP32", "b": "INT64"})]
    models += [Identity(f"identity_{datatype.lower()}", {"x": datatype}) for datatype in DATATYPES]
    server = ModelServer(http_port=free_port(), grpc_port=int(sys.argv[1]), enable_latency_logging=False)
    server.start(models)
