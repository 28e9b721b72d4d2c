"""manifest.json → Manifest.

Owns what the server reads of a package's manifest (its contract is protos/manifest.schema.json), and the manifest that
a bare ONNX model gets from its graph and the label file beside it. Does not know sessions.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from serving.errors import ModelBroken
from serving.inference.inputs import ImagePreprocessing, Preprocessing
from serving.inference.labels import Decision, Labeller
from serving.inference.providers import GOLDEN_KEYS
from serving.inference.signature import Signature, TensorSpec
from serving.repository.manifest_limits import MODEL_NAME, MODEL_NAME_IN_WORDS, limit_faults
from serving.stated import Misstated, read_object, read_struct

SIGMOID_LABELS = 2

Positive = Annotated[int, Meta(ge=1)]
Specs = Annotated[tuple[TensorSpec, ...], Meta(min_length=1)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", description="a SHA-256 in 64 digits 0 to 9 and a to f")]


class Golden(Struct, frozen=True, forbid_unknown_fields=True):
    """The recorded check: `rows` of golden.npz, and by provider how far an output may differ, absolute."""

    rows: Positive
    tolerance: dict[str, Annotated[float, Meta(gt=0)]]

    def __post_init__(self) -> None:
        """Raise ValueError unless there is one for each provider."""
        if set(self.tolerance) != set(GOLDEN_KEYS.values()):
            came, wanted = ", ".join(self.tolerance) or "none", " and ".join(GOLDEN_KEYS.values())
            raise ValueError(f"tolerance is for {came}; {wanted} were expected")


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a package says of itself; a bare model has no task, no files, no golden."""

    schema_version: Literal[1]
    model: Annotated[str, Meta(pattern=rf"^{MODEL_NAME.pattern}\Z", description=MODEL_NAME_IN_WORDS)]
    version: Positive
    created: str
    inputs: Specs
    outputs: Specs
    files: dict[str, Sha256]
    task: str = ""
    recipe: str = ""
    source_revision: str = ""
    frameworks: dict[str, str] = {}
    class_indices: Annotated[
        dict[str, Annotated[int, Meta(ge=0)]], Meta(min_length=2, description="an object of two labels or more")
    ] = {}
    decision: Decision | None = None
    preprocessing: Preprocessing | None = None
    metrics: dict[str, float] = {}
    golden: Golden | None = None

    @property
    def signature(self) -> Signature:
        """The inputs and outputs."""
        return Signature(self.inputs, self.outputs)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.json. Raises ModelBroken naming every field that is wrong."""
    try:
        stated = read_object(path.read_bytes())
        return read_struct(Manifest, stated, faults=limit_faults(stated))
    except Misstated as error:
        raise ModelBroken(f"manifest.json: {error}") from error
    except OSError as error:
        raise ModelBroken(f"manifest.json cannot be read: {error.strerror}") from error


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
        # Such files come from anywhere: an index may be written as 1.0 or "1".
        return msgspec.convert(read_object(path.read_bytes()), dict[str, int], strict=False)
    except (Misstated, msgspec.ValidationError) as error:
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
