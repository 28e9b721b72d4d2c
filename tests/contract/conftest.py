"""One server over one repository of tiny models of every kind, for the tests that only ask."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from onnx import TensorProto

from protos.signet.v1.models_pb2_grpc import ModelsStub
from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from serving.rpc.transport import CAPABILITIES
from serving.server import Server
from tests import tiny_models as tiny
from tests.running_server import running_server


def connect(server: Server) -> SimpleNamespace:
    """A channel to `server` and its stubs; close the channel."""
    channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
    return SimpleNamespace(
        server=server, channel=channel, prediction=PredictionStub(channel), models=ModelsStub(channel)
    )


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages and bare models of every kind, a broken one among them."""
    root = tmp_path_factory.mktemp("repository")
    tiny.put_shades(root)
    tiny.put_sums(root)
    careful = {**tiny.SIGMOID_MANIFEST, "decision": {"kind": "sigmoid", "threshold": 0.875}}
    tiny.put_package(root, "careful", tiny.sigmoid_model(), careful)
    tiny.put_bare(root, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    tiny.put_bare(root, "gather", tiny.gather_model())
    tiny.put_bare(root, "fixed", tiny.fixed_batch_model())
    tiny.put_bare(root, "scalar", tiny.identity_model(shape=()))
    tiny.put_bare(root, "detection", tiny.detection_model())
    tiny.put_bare(root, "free", tiny.identity_model(shape=(None, None, None)))
    tiny.put_bare(root, "coin", tiny.identity_model(shape=(None, 1)), labels=["tails", "heads"])
    tiny.put_bare(root, "centred", tiny.mean_over_rows_model())
    tiny.put_bare(root, "pairs", tiny.two_outputs_model())
    tiny.put_bare(root, "text", tiny.identity_model(TensorProto.STRING))
    tiny.put_bare(root, "corrupt", b"no model")
    folder = tiny.put_bare(root, "indexed", tiny.linear_model())
    (folder / "class_indices.json").write_text('{"x": 0, "z": 2, "y": 1}')
    return root


@pytest.fixture(scope="session", params=sorted(CAPABILITIES), autouse=True)
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each promise is kept on each transport: the servers of a test are started with this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGNET_TRANSPORT", request.param)
        yield request.param


@pytest.fixture(scope="session")
def signet(repository: Path, transport: str) -> Iterator[SimpleNamespace]:
    """The server, a channel and stubs: .server, .channel, .prediction, .models."""
    with running_server(repository, max_request_rows=500, transport=transport) as server:
        connection = connect(server)
        yield connection
        connection.channel.close()
