from dataclasses import replace
from functools import partial
from io import StringIO

import keras
import numpy as np
import pytest
from rich.console import Console

from training import nets
from training.fitting import FitPlan, fit
from training.precision import computes_in, computing_in
from training.resuming import FitSettings, checkpoint_of, fit_recipe
from training.task import Dataset, Recipe, Rows
from training.tasks import TASKS

PLAN = FitPlan(
    optimizer=lambda _: keras.optimizers.SGD(0.01),
    loss=keras.losses.sparse_categorical_crossentropy,
    batch_rows=8,
    jit_compile=False,
)


def dots() -> Dataset:
    generator = np.random.default_rng(0)
    rows = Rows(generator.integers(0, 255, (16, 6, 6, 1), dtype=np.uint8), np.arange(16) % 3)
    return Dataset(rows, rows, rows, {"a": 0, "b": 1, "c": 2}, "drawn")


def recipe(compute: str) -> Recipe:
    net = partial(nets.residual_net, widths=(2, 3, 3, 4), pairs=(1, 1, 1))
    return Recipe(
        name="tiny",
        summary="",
        epochs=1,
        batch_rows=8,
        seed=1,
        build=lambda dataset: net((6, 6, 1), len(dataset.class_indices)),
        fit=partial(fit, plan=PLAN),
        compute=compute,
    )


@pytest.mark.parametrize(
    ("flags", "compute"),
    [("fpu avx512f avx512_bf16 avx512_vnni", "bfloat16"), ("fpu amx_bf16", "bfloat16"), ("fpu avx512f", "float32")],
    ids=["AVX-512", "AMX", "neither"],
)
def test_bfloat16_is_taken_where_the_processor_has_it(tmp_path, flags, compute):
    cpu = tmp_path / "cpuinfo"
    cpu.write_text(f"processor\t: 0\nflags\t\t: {flags}\n", encoding="utf-8")
    assert computes_in("bfloat16", cpu) == compute
    assert computes_in("float32", cpu) == "float32"


def test_a_machine_that_does_not_tell_of_its_processor_computes_in_float32(tmp_path):
    assert computes_in("bfloat16", tmp_path / "cpuinfo") == "float32"


def test_the_policy_is_as_before_after_a_net_was_built_in_bfloat16():
    before = keras.config.dtype_policy()
    with computing_in("bfloat16"):
        net = recipe("bfloat16").build(dots())
    assert keras.config.dtype_policy() == before
    assert {layer.compute_dtype for layer in net.layers if isinstance(layer, keras.layers.Conv2D)} == {"bfloat16"}
    assert {weights.dtype for weights in net.weights} == {"float32"}
    assert net.output.dtype == "float32"


def test_what_was_fitted_in_bfloat16_is_a_net_in_float32_with_the_weights_that_the_fit_left():
    left: list[np.ndarray] = []

    def fit_and_tell(model, dataset, options):
        history = fit(model, dataset, options, PLAN)
        left.extend(model.get_weights())
        return history

    console = Console(file=StringIO(), width=200)
    how = replace(recipe("bfloat16"), fit=fit_and_tell)
    fitted = fit_recipe(how, dots(), FitSettings(seed=1, epochs=1), None, console)
    assert {layer.compute_dtype for layer in fitted.model.layers} == {"float32"}
    for weights, before in zip(fitted.model.get_weights(), left, strict=True):
        assert weights.tobytes() == before.tobytes()
    assert fitted.compute == computes_in("bfloat16")
    assert f"seed 1, {fitted.compute}" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_fit_in_other_numbers_has_another_checkpoint(tmp_path):
    task = TASKS["fashion_mnist"]
    settings = FitSettings(seed=1, epochs=1, checkpoints=tmp_path)
    names = {
        compute: checkpoint_of(task, recipe(compute), dots(), settings).path.name  # type: ignore[union-attr]
        for compute in ("float32", "bfloat16")
    }
    assert (names["float32"] == names["bfloat16"]) == (computes_in("bfloat16") == "float32")
