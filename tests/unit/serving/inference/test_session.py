"""A session computes what the graph says, fails in a sentence fit for callers, and sends no telemetry."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from serving.inference.providers import CPU, ProviderSettings, ProviderUnavailable
from serving.inference.session import OnnxSession, SessionError, SessionSettings, check_provider
from serving.inference.signature import DATATYPES, TensorSpec
from tests import tiny_models as tiny

TASKS = Path("/proc/self/task")
SETTINGS = SessionSettings(intra_op_threads=1)

SEES_TELEMETRY_AT_IMPORT = """
import importlib.abc, os, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "onnxruntime":
            print("at import:", os.environ.get("ORT_DISABLE_TELEMETRY"))

sys.meta_path.insert(0, Watch())
import serving.inference.session
"""


def test_telemetry_is_off_before_onnxruntime_is_imported():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    seen = subprocess.run(
        [sys.executable, "-c", SEES_TELEMETRY_AT_IMPORT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert seen.stdout == "at import: 1\n"


OPENS_A_SESSION = """
from serving.inference.session import OnnxSession, SessionSettings
from tests.tiny_models import linear_model

OnnxSession.open(linear_model(), SessionSettings(intra_op_threads=1))
"""


def test_no_telemetry_database_nor_device_id_is_written(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    homes = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "TMPDIR"), str(tmp_path))
    subprocess.run([sys.executable, "-c", OPENS_A_SESSION], env=environment | homes, timeout=60, check=True)
    assert list(tmp_path.rglob("*")) == []


def test_outputs_come_by_name():
    session = OnnxSession.open(tiny.two_outputs_model(), SETTINGS)
    a, b = np.array([[3, 4]], np.float32), np.array([[1, 2]], np.float32)
    outputs = session.run({"a": a, "b": b})
    assert {name: array.tolist() for name, array in outputs.items()} == {"sum": [[4, 6]], "difference": [[2, 2]]}


def test_the_signature_is_the_graphs():
    signature = OnnxSession.open(tiny.image_model(), SETTINGS).signature
    assert signature.inputs == (TensorSpec("image", "UINT8", (-1, 4, 4, 3)),)
    assert signature.outputs == (TensorSpec("probabilities", "FP32", (-1, 3)),)


def test_named_and_unnamed_free_dimensions_are_both_free():
    signature = OnnxSession.open(tiny.detection_model(), SETTINGS).signature
    assert [spec.shape for spec in signature.outputs] == [(-1, 2), (1,)]


def test_provider_and_threads_are_told():
    session = OnnxSession.open(tiny.linear_model(), SessionSettings(2))
    assert (session.provider, session.intra_op_threads) == (CPU, 2)


@pytest.mark.skipif(not TASKS.is_dir(), reason="threads are counted in /proc")
def test_a_run_may_use_as_many_threads_as_the_settings_say():
    gc.collect()  # so that no session of another test ends its threads meanwhile
    before = len(list(TASKS.iterdir()))
    session = OnnxSession.open(tiny.linear_model(), SessionSettings(4))
    assert len(list(TASKS.iterdir())) - before == session.intra_op_threads - 1


def test_a_file_is_loaded_by_its_path(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny.linear_model())
    assert OnnxSession.open(str(path), SETTINGS).signature.inputs[0].name == "x"


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(b"no model", id="text"),
        pytest.param(b"\xff" * 100, id="noise"),
        pytest.param(tiny.linear_model()[:-20], id="cut off"),
    ],
)
def test_a_corrupt_model_is_told_in_onnxruntimes_status_word(model):
    with pytest.raises(SessionError, match=r"^onnxruntime cannot load it \(\w+\)$"):
        OnnxSession.open(model, SETTINGS)


def test_a_missing_file_is_told_without_its_path(tmp_path):
    with pytest.raises(SessionError) as error:
        OnnxSession.open(str(tmp_path / "model.onnx"), SETTINGS)
    assert str(tmp_path) not in str(error.value)


def test_a_datatype_that_is_not_served_is_named():
    length = tiny.model_bytes(
        [helper.make_node("SequenceLength", ["x"], ["y"])],
        [helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)],
        [tiny.value("y", [], TensorProto.INT64)],
    )
    with pytest.raises(SessionError, match=r"x is a seq\(tensor\(float\)\), which is not served"):
        OnnxSession.open(length, SETTINGS)


def test_bf16_goes_in_and_out_in_its_bits():
    session = OnnxSession.open(tiny.identity_model(TensorProto.BFLOAT16), SETTINGS)
    rows = np.array([[0x3F80, 0x7FC0], [0x0001, 0xFF80], [0, 7]], np.uint16).view(DATATYPES["BF16"])
    outputs = session.run({"x": rows[:2]})
    assert session.signature.inputs[0].datatype == "BF16"
    assert outputs["y"].dtype == DATATYPES["BF16"]
    assert outputs["y"].tobytes() == rows[:2].tobytes()


def test_bf16_beside_other_datatypes_is_computed_with_them():
    cast = tiny.model_bytes(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)],
        [tiny.value("x", [None, 2], TensorProto.BFLOAT16)],
        [tiny.value("y", [None, 2])],
    )
    rows = np.array([[0x3F80, 0xC000]], np.uint16).view(DATATYPES["BF16"])
    assert OnnxSession.open(cast, SETTINGS).run({"x": rows})["y"].tolist() == [[1, -2]]


def test_a_bf16_scalar_stays_a_scalar():
    session = OnnxSession.open(tiny.identity_model(TensorProto.BFLOAT16, shape=()), SETTINGS)
    assert session.run({"x": np.array(0x3F80, np.uint16).view(DATATYPES["BF16"])})["y"].shape == ()


def test_a_failing_input_is_told_in_a_sentence_and_the_session_goes_on():
    session = OnnxSession.open(tiny.gather_model(), SETTINGS)
    with pytest.raises(SessionError, match=r"^the model failed on this input \(INVALID_ARGUMENT\)$"):
        session.run({"index": np.array([[9]])})
    assert session.run({"index": np.array([[1]])})["y"].tolist() == [[20]]


@pytest.mark.skipif(
    check_provider(ProviderSettings("auto")) != CPU, reason="this onnxruntime has CUDA, so nothing is refused"
)
def test_cuda_asked_for_where_it_is_not_installed_opens_nothing():
    with pytest.raises(ProviderUnavailable, match="providers=cuda was asked for"):
        OnnxSession.open(tiny.linear_model(), SessionSettings(1, ProviderSettings("cuda")))
