"""A package that is not what it claims to be is FAILED with the reason; the others, and its older versions, serve."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from onnx import TensorProto

from protos.signet.v1 import models_pb2
from protos.signet.v1.models_pb2 import GetModelRequest, ListModelsRequest
from protos.signet.v1.prediction_pb2 import PredictRequest
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import shades, status_of
from tests.running_server import running_server


def edited(folder: Path, **fields: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **fields}))


def put_corrupt(root: Path, name: str) -> None:
    tiny.put_bare(root, name, b"no model")


def put_other_model_file(root: Path, name: str) -> None:
    folder = tiny.put_package(root, name, tiny.image_model(), dict(tiny.IMAGE_MANIFEST))
    (folder / "model.onnx").write_bytes(tiny.image_model(size=5))


def put_without_model_file(root: Path, name: str) -> None:
    folder = tiny.put_package(root, name, tiny.image_model(), dict(tiny.IMAGE_MANIFEST))
    (folder / "model.onnx").unlink()


def put_two_labels_for_three_scores(root: Path, name: str) -> None:
    manifest = {**tiny.IMAGE_MANIFEST, "class_indices": {"dark": 0, "bright": 1}}
    tiny.put_package(root, name, tiny.image_model(), manifest)


def put_three_labels_for_a_sigmoid(root: Path, name: str) -> None:
    tiny.put_package(root, name, tiny.sigmoid_model(), {**tiny.SIGMOID_MANIFEST, "class_indices": tiny.SHADES})


def put_too_few_lines_of_labels(root: Path, name: str) -> None:
    tiny.put_bare(root, name, tiny.linear_model(), labels=["a", "b"])


def put_gap_in_the_indices(root: Path, name: str) -> None:
    manifest = {**tiny.IMAGE_MANIFEST, "class_indices": {"dark": 0, "middle": 1, "bright": 3}}
    tiny.put_package(root, name, tiny.image_model(), manifest)


def put_other_signature(root: Path, name: str) -> None:
    inputs = [{"name": "image", "datatype": "FP32", "shape": [-1, 4, 4, 3]}]
    tiny.put_package(root, name, tiny.image_model(), {**tiny.IMAGE_MANIFEST, "inputs": inputs})


def put_other_image_size(root: Path, name: str) -> None:
    preprocessing = {**tiny.IMAGE_MANIFEST["preprocessing"], "height": 5}
    tiny.put_package(root, name, tiny.image_model(), {**tiny.IMAGE_MANIFEST, "preprocessing": preprocessing})


def put_package_of_another(root: Path, name: str) -> None:
    edited(tiny.put_package(root, name, tiny.image_model(), dict(tiny.IMAGE_MANIFEST)), model="somebody")


def put_broken_json(root: Path, name: str) -> None:
    folder = tiny.put_package(root, name, tiny.image_model(), dict(tiny.IMAGE_MANIFEST))
    (folder / "manifest.json").write_text("{")


def put_unknown_field(root: Path, name: str) -> None:
    edited(tiny.put_package(root, name, tiny.image_model(), dict(tiny.IMAGE_MANIFEST)), colour="red")


def put_file_outside(root: Path, name: str) -> None:
    folder = tiny.put_package(root, name, tiny.image_model(), dict(tiny.IMAGE_MANIFEST))
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edited(folder, files={**files, "../../secret": "0" * 64})


def put_type_without_tensors(root: Path, name: str) -> None:
    tiny.put_bare(root, name, tiny.identity_model(TensorProto.FLOAT8E4M3FN))


def put_other_golden_outputs(root: Path, name: str) -> None:
    assert tiny.put_golden_letters(root, error=0.1).parent.name == name


CASES: dict[str, tuple[Callable[[Path, str], None], str]] = {
    "corrupt": (put_corrupt, "model.onnx: onnxruntime cannot load it (INVALID_PROTOBUF)"),
    "changed_checksum": (put_other_model_file, "model.onnx: the checksum differs from the manifest's"),
    "missing_file": (put_without_model_file, "model.onnx is named in manifest.json but cannot be read"),
    "too_few_labels": (put_two_labels_for_three_scores, "2 labels do not fit the output probabilities FP32 [-1, 3]"),
    "too_many_labels": (put_three_labels_for_a_sigmoid, "3 labels do not fit the output probability FP32 [-1, 1]"),
    "short_labels_txt": (put_too_few_lines_of_labels, "2 labels do not fit the output y FP32 [-1, 3]"),
    "gap_in_indices": (put_gap_in_the_indices, "class_indices are [0, 1, 3]; 0 to 2 were expected"),
    "other_signature": (put_other_signature, "manifest.json states other inputs (image FP32 [-1, 4, 4, 3]) than"),
    "other_image_size": (put_other_image_size, "preprocessing gives image [-1, 5, 4, 3], but the model takes image"),
    "of_another_model": (put_package_of_another, "manifest.json is of somebody version 1, its folder is of_another"),
    "broken_json": (put_broken_json, "manifest.json: "),
    "unknown_field": (put_unknown_field, "colour"),
    "file_outside": (put_file_outside, "../../secret"),
    "unserved_datatype": (put_type_without_tensors, "model.onnx: x is a tensor(float8e4m3fn), which is not served"),
    "letters": (
        put_other_golden_outputs,
        "golden check: output y differs by 0.1 from the recorded one on CPUExecutionProvider; at most 1e-05 is allowed",
    ),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A server of every broken package and one good one."""
    root = tmp_path_factory.mktemp("broken")
    tiny.put_shades(root)
    for name, (put, _) in CASES.items():
        put(root, name)
    with running_server(root) as server:
        connection = connect(server)
        connection.root = root
        yield connection
        connection.channel.close()


@pytest.mark.parametrize("name", CASES, ids=[name.replace("_", " ") for name in CASES])
def test_the_reason_is_told_by_list_models_and_to_each_caller_without_a_path(broken, name):
    listed = {one.model: one for one in broken.models.ListModels(ListModelsRequest()).models}
    assert listed[name].state == models_pb2.MODEL_STATE_FAILED
    assert CASES[name][1] in listed[name].reason
    assert str(broken.root) not in listed[name].reason
    assert status_of(broken.prediction.Predict, PredictRequest(model=name)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        f"model {name} version 1 failed to load: {listed[name].reason}",
    )


def test_the_good_model_beside_them_serves(broken):
    assert broken.prediction.Predict(shades(255)).predictions[0].label == "bright"


def test_health_and_metrics_show_which_failed(broken):
    health = HealthStub(broken.channel)
    with urlopen(f"http://127.0.0.1:{broken.server.metrics_port}/metrics", timeout=10) as response:
        scrape = response.read().decode()
    for name in CASES:
        assert health.Check(HealthCheckRequest(service=name)).status == HealthCheckResponse.NOT_SERVING
        assert f'signet_model_state{{model="{name}",state="FAILED",version="1"}} 1.0' in scrape
    assert health.Check(HealthCheckRequest()).status == HealthCheckResponse.SERVING


def test_below_a_broken_newest_version_the_next_one_that_loads_is_served(tmp_path):
    for version in (1, 2):
        tiny.put_shades(tmp_path, version)
    (tiny.put_shades(tmp_path, 3) / "model.onnx").write_bytes(b"other bytes")
    with running_server(tmp_path) as server:
        connection = connect(server)
        assert connection.prediction.Predict(shades(0)).version == 2
        assert connection.models.GetModel(GetModelRequest(model="shades")).status.version == 2
        code, text = status_of(connection.prediction.Predict, PredictRequest(model="shades", version=3))
        assert code == grpc.StatusCode.FAILED_PRECONDITION
        assert "the checksum differs" in text
        connection.channel.close()


def test_recorded_outputs_that_are_text_are_compared_too(tmp_path):
    for name, recorded in (("same", "a"), ("other", "b")):
        folder = tmp_path / name / "1"
        folder.mkdir(parents=True)
        text: dict[str, np.ndarray] = {"input.x": np.array([["a", "a"]]), "output.y": np.array([["a", recorded]])}
        np.savez(folder / "golden.npz", **text)  # type: ignore[arg-type] # its stubs take the keys for its own
        spec = {"datatype": "BYTES", "shape": [-1, 2]}
        golden = {"rows": 1, "tolerance": {"cpu": 1e-5, "cuda": 1e-5}}
        manifest = {"inputs": [{"name": "x", **spec}], "outputs": [{"name": "y", **spec}], "golden": golden}
        tiny.put_package(tmp_path, name, tiny.identity_model(TensorProto.STRING), manifest)
    with running_server(tmp_path) as server:
        connection = connect(server)
        listed = {one.model: one for one in connection.models.ListModels(ListModelsRequest()).models}
        connection.channel.close()
    assert listed["same"].state == models_pb2.MODEL_STATE_READY
    assert listed["other"].reason.startswith("golden check: output y differs by inf from the recorded one")
