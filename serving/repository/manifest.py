"""manifest.json → Manifest.

Owns what the server reads of a package's manifest (its contract is protos/manifest.schema.json), and the manifest that
a bare ONNX model gets from its graph and the label file beside it. Does not know sessions.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from serving.errors import ModelBroken
from serving.inference.inputs import ImagePreprocessing, Preprocessing
from serving.inference.labels import Decision, Labeller
from serving.inference.signature import Signature, TensorSpec
from serving.repository.manifest_limits import (
    check_decision,
    check_files,
    check_model_name,
    check_preprocessing_limits,
    check_specs,
    check_tensor,
    check_tolerance,
    refuse_null,
)

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SIGMOID_LABELS = 2

Positive = Annotated[int, Field(ge=1)]
Specs = Annotated[tuple[Annotated[TensorSpec, AfterValidator(check_tensor)], ...], AfterValidator(check_specs)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Golden:
    """The recorded check: `rows` of golden.npz, and by provider how far an output may differ, absolute."""

    rows: Positive
    tolerance: Annotated[dict[str, Annotated[float, Field(gt=0)]], AfterValidator(check_tolerance)]


@dataclass(frozen=True)
class Manifest:
    """What a package says of itself; a bare model has no task, no files, no golden."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    schema_version: Literal[1]
    model: Annotated[str, AfterValidator(check_model_name)]
    version: Positive
    created: str
    inputs: Specs
    outputs: Specs
    files: Annotated[dict[str, Sha256], AfterValidator(check_files)]
    task: str = ""
    recipe: str = ""
    source_revision: str = ""
    frameworks: dict[str, str] = field(default_factory=dict)
    class_indices: Annotated[dict[str, Annotated[int, Field(ge=0)]], Field(min_length=2)] = field(default_factory=dict)
    decision: Annotated[Decision | None, BeforeValidator(check_decision)] = None
    preprocessing: Annotated[
        Annotated[Preprocessing, Field(discriminator="kind"), AfterValidator(check_preprocessing_limits)] | None,
        AfterValidator(refuse_null),
    ] = None
    metrics: dict[str, float] = field(default_factory=dict)
    golden: Annotated[Golden | None, AfterValidator(refuse_null)] = None

    @property
    def signature(self) -> Signature:
        """The inputs and outputs."""
        return Signature(self.inputs, self.outputs)


_ADAPTER = TypeAdapter(Manifest)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.json. Raises ModelBroken naming every field that is wrong."""
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except ValidationError as error:
        raise ModelBroken(f"manifest.json: {'; '.join(map(_fault, error.errors()))}") from error
    except OSError as error:
        raise ModelBroken(f"manifest.json cannot be read: {error.strerror}") from error


def _fault(error: "ErrorDetails") -> str:
    text, came = error["msg"].removeprefix("Value error, "), error["input"]
    if error["type"] not in {"value_error", "json_invalid"} and isinstance(came, str | int | float):
        text = f"{came!r:.64} came; {text[0].lower()}{text[1:]}"
    return ": ".join(filter(None, (".".join(map(str, error["loc"])), text)))


def bare_manifest(model: str, version: int, signature: Signature, class_indices: dict[str, int]) -> Manifest:
    """The manifest of an ONNX file that came without one, labelled if `class_indices` is not empty."""
    decision = None
    if class_indices:
        sigmoid = signature.outputs[0].shape[1:] == (1,) and len(class_indices) == SIGMOID_LABELS
        decision = Decision("sigmoid" if sigmoid else "argmax")
    return Manifest(
        1, model, version, "", signature.inputs, signature.outputs, {}, class_indices=class_indices, decision=decision
    )


def labels_beside(version_folder: Path) -> dict[str, int]:
    """The class_indices of class_indices.json or labels.txt (a label a line) in the version's or the model's folder.

    Raises ModelBroken if such a file does not hold labels; {} if there is none.
    """
    for folder in (version_folder, version_folder.parent):
        path = folder / "class_indices.json"
        if path.is_file():
            return _class_indices(path)
        path = folder / "labels.txt"
        if path.is_file():
            lines = [line.strip() for line in path.read_text("utf-8", errors="replace").splitlines() if line.strip()]
            if len(set(lines)) != len(lines):
                raise ModelBroken("labels.txt names a label twice")
            return {label: index for index, label in enumerate(lines)}
    return {}


def _class_indices(path: Path) -> dict[str, int]:
    try:
        return TypeAdapter(dict[str, int]).validate_json(path.read_bytes())
    except (ValidationError, json.JSONDecodeError) as error:
        raise ModelBroken("class_indices.json is no JSON object of label to class index") from error


def labeller(manifest: Manifest) -> Labeller | None:
    """What labels the model's answers; None for a model without class_indices.

    Raises ModelBroken if the indices are not 0 to n - 1, or their number does not fit the width of the output.
    """
    if not manifest.class_indices:
        return None
    labels = sorted(manifest.class_indices, key=manifest.class_indices.__getitem__)
    indices = [manifest.class_indices[label] for label in labels]
    if indices != list(range(len(labels))):
        raise ModelBroken(f"class_indices are {indices}; 0 to {len(labels) - 1} were expected")
    decision = manifest.decision or Decision("argmax")
    output = manifest.outputs[0]
    sigmoid = decision.kind == "sigmoid"
    width = 1 if sigmoid else len(labels)
    if output.shape[1:] != (width,) or (sigmoid and len(labels) != SIGMOID_LABELS):
        wanted = (
            f"a sigmoid output of width 1 has {SIGMOID_LABELS} labels" if sigmoid else f"width {width} was expected"
        )
        raise ModelBroken(f"{len(labels)} labels do not fit the output {output}: {wanted}")
    if output.datatype in {"BYTES", "BF16"}:
        raise ModelBroken(f"labels cannot be decided by the output {output}; other numbers than BF16 were expected")
    return Labeller(output.name, tuple(labels), decision)


def check_preprocessing(manifest: Manifest) -> None:
    """Raise ModelBroken if the preprocessing does not lead to the signature's input."""
    to = manifest.preprocessing
    if to is None:
        return
    spec = manifest.signature.input(to.input)
    if isinstance(to, ImagePreprocessing):
        channels = 1 if to.color_mode == "grayscale" else 3
        shape: tuple[int, ...] = (-1, to.height, to.width, channels)
        fits = spec is not None and spec.datatype == "UINT8" and spec.shape == shape
    else:
        shape = (-1, len(to.features))
        fits = spec is not None and spec.dtype.kind == "f" and spec.shape == shape
    if not fits or len(manifest.inputs) != 1:
        raise ModelBroken(
            f"preprocessing gives {to.input} {list(shape)}, but the model takes {_listed(manifest.inputs)}"
        )


def _listed(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(map(str, specs))
