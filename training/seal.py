"""`signet-train seal`: a Keras or ONNX model made elsewhere becomes a model package.

Owns its flags, the labels, and the golden rows. Does not know the kinds of model (training.foreign_model).
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from training.flags import import_tensorflow
from training.manifest_writer import GOLDEN_TOLERANCE, Statement, write_manifest
from training.signature import Signature, TensorSignature
from training.staging import disk_errors_named, publish, staging_folder, writing
from training.task import TrainingError
from training.triton_config import write_triton_files

MADE_UP_ROWS = 16
MADE_UP_SEED = 0
MOST_GOLDEN_ROWS = 256
CHANNELS = {"grayscale": 1, "rgb": 3}


@dataclass(frozen=True)
class SealOptions:
    """What the command line set. `image`: height, width in pixels and colour mode, if images are sent; else None."""

    model: Path
    labels: Sequence[str]
    name: str
    golden: Path | None
    repository: Path
    image: tuple[int, int, str] | None = None


def main(arguments: Sequence[str]) -> None:
    """Run `signet-train seal`. Raises TrainingError."""
    flags = _parser().parse_args(arguments)
    image = _image(flags.image) if flags.image else None
    name = flags.name or _name_of(flags.model)
    options = SealOptions(flags.model, read_labels(flags.labels), name, flags.golden, flags.out, image)
    Console().print(f"package: {seal(options)}", markup=False, highlight=False, soft_wrap=True)


def seal(options: SealOptions) -> Path:
    """Publish the model as the next version of its package; give the folder.

    The golden outputs are those of Keras, TensorFlow or onnxruntime for the rows of `options.golden`, or for 16 rows
    made up with seed 0. Raises TrainingError that names the file, or what of the model does not fit.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", options.name):
        raise TrainingError(f"--name {options.name}: 1 to 128 letters, digits, '_', '.' and '-' were expected")
    # Imported only now, so that --help and bad flags answer at once.
    import_tensorflow()
    from training.export import check_repository  # noqa: PLC0415
    from training.foreign_model import open_model  # noqa: PLC0415

    class_indices = {label: index for index, label in enumerate(options.labels)}
    model = open_model(options.model)
    describes = _description(options, model.signature, class_indices)
    check_repository(options.repository, options.name, class_indices)
    taken, given = model.signature.input, model.signature.output
    rows = made_up_rows(taken) if options.golden is None else read_rows(options.golden, taken)
    outputs = _answers(options.model, model.forward, rows, describes["decision"])
    # Absolute, so a model whose outputs are no probabilities has what is the same in its own scale.
    scale = max(1.0, float(np.max(np.abs(outputs))))
    tolerance = {provider: scale * value for provider, value in GOLDEN_TOLERANCE.items()}
    says = Statement(options.name, describes, {}, len(rows), tolerance)
    model_folder = options.repository / options.name
    with disk_errors_named(options.name, options.repository), staging_folder(model_folder) as staging:
        equality = model.write(staging, describes, rows, tolerance["cpu"])
        golden: dict[str, Any] = {f"input.{taken.name}": rows, f"output.{given.name}": outputs}
        with writing(staging / "golden.npz") as path:
            np.savez(path, **golden)
        if equality:
            with writing(staging / "report" / "equality.json") as path:
                path.parent.mkdir()
                path.write_text(json.dumps(equality, indent=2) + "\n", encoding="utf-8")
        write_triton_files(model_folder, model.signature, options.labels)
        return publish(staging, model_folder, lambda version: write_manifest(staging, version, says))


def read_labels(text: str) -> list[str]:
    """Labels in the order of their class index: the lines of a file, or `text` itself with commas between them."""
    path = Path(text)
    if path.is_file():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise TrainingError(f"--labels {text}: it cannot be read as UTF-8 text") from error
    elif "," in text:
        lines = text.split(",")
    else:
        raise TrainingError(f"--labels {text}: no such file; a file with a label a line, or a,b,c was expected")
    labels = [line.strip() for line in lines if line.strip()]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise TrainingError(f"--labels {text}: {', '.join(twice)} came twice")
    if len(labels) < 2:
        raise TrainingError(f"--labels {text}: {len(labels)} labels came, at least 2 were expected")
    return labels


def made_up_rows(tensor: TensorSignature) -> NDArray[Any]:
    """16 rows by seed 0: normal numbers, bytes from 0 to 255, other whole numbers and bools of 0 and 1."""
    generator = np.random.default_rng(MADE_UP_SEED)
    shape = (MADE_UP_ROWS, *tensor.shape)
    if np.dtype(tensor.dtype).kind == "f":
        return generator.normal(size=shape).astype(tensor.dtype)
    most = 256 if tensor.dtype == "uint8" else 2
    return generator.integers(0, most, shape).astype(tensor.dtype)


def read_rows(path: Path, tensor: TensorSignature) -> NDArray[Any]:
    """Read `input.<name>` of an NPZ file, 256 rows at most. Raises TrainingError if the model does not take them."""
    name = f"input.{tensor.name}"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if name not in arrays:
                raise TrainingError(f"--golden {path}: no array {name}; it has {', '.join(arrays) or 'none'}")
            rows: NDArray[Any] = arrays[name][:MOST_GOLDEN_ROWS]
    except (OSError, ValueError, AttributeError) as error:
        raise TrainingError(f"--golden {path}: it cannot be read as NPZ: {error}") from error
    if (str(rows.dtype), rows.shape[1:]) != (tensor.dtype, tensor.shape) or not len(rows):
        raise TrainingError(
            f"--golden {path}: {name} is {rows.dtype} {list(rows.shape)}, "
            f"expected rows of {tensor.dtype} {list(tensor.shape)}"
        )
    return rows


def _description(options: SealOptions, signature: Signature, class_indices: Mapping[str, int]) -> dict[str, Any]:
    describes: dict[str, Any] = {
        "recipe": "sealed",
        "inputs": [signature.input.as_manifest()],
        "outputs": [signature.output.as_manifest()],
        "class_indices": dict(class_indices),
        "decision": _decision(options, signature.output),
    }
    if options.image:
        describes["preprocessing"] = _preprocessing(options, signature.input)
    return describes


def _decision(options: SealOptions, output: TensorSignature) -> dict[str, Any]:
    labels = len(options.labels)
    if output.shape == (1,) and labels == 2:
        return {"kind": "sigmoid", "threshold": 0.5}
    if output.shape == (labels,):
        return {"kind": "argmax"}
    wanted = (
        "2 labels" if output.shape == (1,) else f"{output.shape[0]} labels" if len(output.shape) == 1 else "one axis"
    )
    raise TrainingError(
        f"{options.model}: {labels} labels do not fit the output {output.name} {[-1, *output.shape]}, expected {wanted}"
    )


def _preprocessing(options: SealOptions, taken: TensorSignature) -> dict[str, Any]:
    height, width, mode = options.image or (0, 0, "")
    shape = (height, width, CHANNELS[mode])
    if (taken.dtype, taken.shape) != ("uint8", shape):
        raise TrainingError(
            f"{options.model}: --image needs an input of uint8 {list(shape)}, this model takes {taken.dtype} "
            f"{list(taken.shape)}; scaling belongs into the model (keras.layers.Rescaling)"
        )
    return {
        "kind": "image",
        "input": taken.name,
        "height": height,
        "width": width,
        "color_mode": mode,
        "other_size": "resize",
        "alpha_background": 255,
        "exif_orientation": True,
    }


def _answers(path: Path, forward: Any, rows: NDArray[Any], decision: Mapping[str, Any]) -> NDArray[Any]:  # noqa: ANN401
    try:
        outputs: NDArray[Any] = forward(rows)
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise TrainingError(f"{path}: the model does not run on {len(rows)} golden rows: {reason}") from error
    if not np.all(np.isfinite(outputs)):
        raise TrainingError(f"{path}: the model gives numbers that are not finite for the golden rows")
    if decision["kind"] == "sigmoid" and not (outputs.min() >= 0 and outputs.max() <= 1):
        raise TrainingError(
            f"{path}: the output goes from {outputs.min():g} to {outputs.max():g} for the golden rows, expected "
            "probabilities: end the model with a sigmoid"
        )
    return outputs


def _image(words: Sequence[str]) -> tuple[int, int, str]:
    sizes = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", words[0])
    if sizes is None or words[1] not in CHANNELS:
        raise TrainingError(f"--image {' '.join(words)}: expected a size such as 28x28, then grayscale or rgb")
    return int(sizes[1]), int(sizes[2]), words[1]


def _name_of(model: Path) -> str:
    """The file's name; of a version folder, its model's."""
    resolved = model.resolve()
    return resolved.parent.name if resolved.name.isdecimal() else resolved.stem


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="signet-train seal",
        description="Make a model package of a Keras or ONNX model from elsewhere, with one input and one output.",
    )
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="a .keras, .h5 or .onnx file, or a SavedModel's folder"
    )
    parser.add_argument(
        "--labels", required=True, metavar="FILE|A,B,C", help="a label a line, or with commas, by class index"
    )
    parser.add_argument("--name", metavar="NAME", help="the model's name (default: the file's)")
    parser.add_argument(
        "--golden",
        type=Path,
        metavar="DATA.npz",
        help="input.<name>: rows to check the model with before it is served; 256 at most (default: made up, seed 0)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("models"), metavar="DIR", help="the repository (default: models)"
    )
    parser.add_argument(
        "--image", nargs=2, metavar=("HxW", "MODE"), help="images are sent: height x width in pixels, grayscale or rgb"
    )
    return parser
