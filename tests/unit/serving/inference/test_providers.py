"""What the operator asked for is what onnxruntime is asked for, or the server refuses.

No GPU is needed here: these are the arguments that a session would be made with, and the refusals.
"""

import pytest

from serving.inference.providers import (
    CPU,
    CUDA,
    ProviderSettings,
    ProviderUnavailable,
    provider_list,
    resolve,
    session_config,
    verify,
)

CUDA_DEFAULTS = {"device_id": 0, "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": 0}


@pytest.mark.parametrize(
    ("choice", "available", "provider"),
    [
        pytest.param("cpu", [CUDA, CPU], CPU, id="cpu though cuda is there"),
        pytest.param("cuda", [CUDA, CPU], CUDA, id="cuda where it is there"),
        pytest.param("auto", [CUDA, CPU], CUDA, id="auto takes cuda where it is there"),
        pytest.param("auto", [CPU], CPU, id="auto takes the cpu where cuda is missing"),
    ],
)
def test_a_choice_becomes_a_provider(choice, available, provider):
    assert resolve(ProviderSettings(choice), available) == provider


def test_cuda_asked_for_and_not_installed_is_refused_with_what_to_do():
    with pytest.raises(ProviderUnavailable) as refusal:
        resolve(ProviderSettings("cuda"), ["AzureExecutionProvider", CPU])
    assert str(refusal.value) == (
        "providers=cuda was asked for, but the installed onnxruntime has only AzureExecutionProvider, "
        "CPUExecutionProvider; install onnxruntime-gpu in place of onnxruntime, or ask for cpu or auto"
    )


def test_the_cpu_is_asked_for_alone():
    assert provider_list(ProviderSettings("auto", device_id=3, tf32=True), CPU) == [(CPU, {})]


def test_cuda_is_asked_for_first_with_tf32_off_and_the_cpu_behind_it_for_shape_operators():
    assert provider_list(ProviderSettings("cuda"), CUDA) == [(CUDA, CUDA_DEFAULTS), (CPU, {})]


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        pytest.param({"device_id": 3}, {"device_id": 3}, id="device"),
        pytest.param({"gpu_memory_limit_bytes": 2**31}, {"gpu_mem_limit": 2**31}, id="memory limit in bytes"),
        pytest.param({"cudnn_conv_search": "EXHAUSTIVE"}, {"cudnn_conv_algo_search": "EXHAUSTIVE"}, id="cuDNN search"),
        pytest.param({"tf32": True}, {"use_tf32": 1}, id="TF32 allowed"),
    ],
)
def test_each_cuda_setting_becomes_its_argument(settings, argument):
    asked = provider_list(ProviderSettings("cuda", **settings), CUDA)
    assert asked[0] == (CUDA, {**CUDA_DEFAULTS, **argument})


def test_strict_nodes_ask_for_cuda_alone_and_forbid_the_fallback():
    settings = ProviderSettings("cuda", strict_nodes=True)
    assert [name for name, _ in provider_list(settings, CUDA)] == [CUDA]
    assert session_config(settings, CUDA)["session.disable_cpu_ep_fallback"] == "1"


@pytest.mark.parametrize(
    ("settings", "provider"),
    [
        pytest.param(ProviderSettings("cuda"), CUDA, id="cuda by default"),
        pytest.param(ProviderSettings("auto", strict_nodes=True), CPU, id="strict, but on the cpu"),
    ],
)
def test_the_fallback_of_nodes_is_allowed_otherwise(settings, provider):
    assert "session.disable_cpu_ep_fallback" not in session_config(settings, provider)


def test_waiting_threads_do_not_spin():
    config = session_config(ProviderSettings(), CPU)
    assert config["session.intra_op.allow_spinning"] == "0"
    assert config["session.inter_op.allow_spinning"] == "0"


def test_cuda_that_onnxruntime_dropped_in_silence_is_refused_with_the_device():
    with pytest.raises(ProviderUnavailable, match=r"onnxruntime gave CPUExecutionProvider: .* device 2 are missing"):
        verify(ProviderSettings("cuda", device_id=2), CUDA, [CPU])


def test_auto_says_what_it_took():
    assert verify(ProviderSettings("auto"), CUDA, [CPU]) == CPU
    assert verify(ProviderSettings("auto"), CUDA, [CUDA, CPU]) == CUDA
