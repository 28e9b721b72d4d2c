"""The limits that protos/manifest.schema.json sets beyond types.

Owns the checks that the parsing of a manifest calls, each a ValueError saying what came and what was expected. Does not
know the manifest as a whole, nor whether it fits the model beside it.
"""

import re
from typing import Any

from serving.inference.inputs import ImagePreprocessing, Preprocessing
from serving.inference.providers import GOLDEN_KEYS
from serving.inference.signature import DATATYPES, TensorSpec

MODEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")

MAX_BYTE = 255


def check_model_name(name: str) -> str:
    """A model's name: it is a folder, a label of metrics and a service of health."""
    if not MODEL_NAME.fullmatch(name):
        raise ValueError(f"{name[:128]!r} came; 1 to 128 letters, digits, '_', '.' and '-' were expected")
    return name


def check_tensor(spec: TensorSpec) -> TensorSpec:
    """An input or output: its name, datatype and dimensions."""
    if not spec.name:
        raise ValueError("the name is empty")
    if spec.datatype not in DATATYPES:
        raise ValueError(f"datatype {spec.datatype!r} came; one of {', '.join(DATATYPES)} was expected")
    if min(spec.shape, default=0) < -1:
        raise ValueError(f"shape {list(spec.shape)} came; dimensions of -1 or more were expected")
    return spec


def check_specs(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """The inputs or the outputs: there is one."""
    if not specs:
        raise ValueError("none came; at least one was expected")
    return specs


def check_tolerance(tolerance: dict[str, float]) -> dict[str, float]:
    """The tolerances of the golden check: one for each provider."""
    if set(tolerance) != set(GOLDEN_KEYS.values()):
        raise ValueError(f"{', '.join(tolerance) or 'none'} came; {' and '.join(GOLDEN_KEYS.values())} were expected")
    return tolerance


def check_files(files: dict[str, str]) -> dict[str, str]:
    """The checksums: the model's is among them."""
    if "model.onnx" not in files:
        raise ValueError("model.onnx is missing")
    return files


def check_decision(stated: Any) -> Any:  # noqa: ANN401 - not parsed yet
    """A decision before it is parsed: a sigmoid has a threshold between 0 and 1, argmax has none."""
    if not isinstance(stated, dict):
        return refuse_null(stated)
    threshold = stated.get("threshold")
    if stated.get("kind") == "sigmoid":
        if not isinstance(threshold, float) or not 0 < threshold < 1:
            raise ValueError(f"threshold {threshold!r} came; a number between 0 and 1 was expected")
    elif "threshold" in stated:
        raise ValueError("a threshold came; argmax has none")
    return stated


def check_preprocessing_limits(to: Preprocessing) -> Preprocessing:
    """Preprocessing: sizes, background and ranges."""
    if not isinstance(to, ImagePreprocessing):
        if not to.features:
            raise ValueError("no features came")
        return to
    if min(to.height, to.width) < 1:
        raise ValueError(f"{to.width} x {to.height} pixels came; at least 1 x 1 was expected")
    if not 0 <= to.alpha_background <= MAX_BYTE:
        raise ValueError(f"alpha_background {to.alpha_background} came; 0 to {MAX_BYTE} was expected")
    return to


def refuse_null(stated: Any) -> Any:  # noqa: ANN401 - whichever part
    """A part that may be left out is not null where it stands."""
    if stated is None:
        raise ValueError("null came; leave it out or state it")
    return stated
