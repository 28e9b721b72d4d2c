"""A manifest is read as its JSON Schema says, or refused naming every field."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from serving.errors import ModelBroken
from serving.inference.inputs import FeaturePreprocessing, ImagePreprocessing
from serving.inference.labels import Decision
from serving.inference.signature import Signature, TensorSpec
from serving.repository.manifest import check_preprocessing, read_manifest
from tests.tiny_models import IMAGE_MANIFEST, SIGMOID_MANIFEST

SCHEMA = json.loads((Path(__file__).parents[4] / "protos" / "manifest.schema.json").read_text())
REMOVED = object()
SHA256 = "0" * 64

FIRST: dict[str, Any] = {
    "schema_version": 1,
    "model": "shades",
    "version": 1,
    "created": "2026-01-01T00:00:00Z",
    "files": {"model.onnx": SHA256},
}
GOLDEN = {"rows": 4, "tolerance": {"cpu": 1e-5, "cuda": 1e-3}}
IMAGES: dict[str, Any] = {**FIRST, **IMAGE_MANIFEST, "golden": GOLDEN}
FEATURES: dict[str, Any] = {**FIRST, **SIGMOID_MANIFEST}


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """`document` with the field at the dotted `path` set to `value`, or without it."""
    whole = copy.deepcopy(document)
    *way, last = (int(key) if key.isdigit() else key.replace(":", ".") for key in path.split("."))
    place: Any = whole
    for key in way:
        place = place[key]
    if value is REMOVED:
        del place[last]
    else:
        place[last] = value
    return whole


def read(tmp_path: Path, document: Any):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(document))
    return read_manifest(path)


VALID = {
    "images": IMAGES,
    "features": FEATURES,
    "all that may be left out is": {**FIRST, "inputs": IMAGES["inputs"], "outputs": IMAGES["outputs"]},
    "a metric that is an integer": {**IMAGES, "metrics": {"accuracy": 1}},
    "a scalar input": changed(IMAGES, "inputs.0.shape", []),
    "a datatype that NumPy has not": changed(IMAGES, "inputs.0.datatype", "BF16"),
    "texts of every kind": {
        **IMAGES,
        "task": "shades",
        "recipe": "quick",
        "source_revision": "abc",
        "frameworks": {"keras": "3"},
    },
    "weights beside the model": {**IMAGES, "files": {"model.onnx": SHA256, "model.onnx.data": SHA256}},
    "a feature whose range is a point": changed(FEATURES, "preprocessing.features.0.maximum", 0.0),
}

INVALID = [
    *((IMAGES, field, REMOVED) for field in SCHEMA["required"]),
    *((IMAGES, f"preprocessing.{field}", REMOVED) for field in IMAGE_MANIFEST["preprocessing"]),
    *((FEATURES, f"preprocessing.features.0.{field}", REMOVED) for field in ("name", "minimum", "maximum")),
    *((IMAGES, f"inputs.0.{field}", REMOVED) for field in ("name", "datatype", "shape")),
    *((IMAGES, f"{place}extra", 1) for place in ("", "inputs.0.", "decision.", "preprocessing.", "golden.")),
    *((IMAGES, field, None) for field in ("task", "class_indices", "decision", "preprocessing", "metrics", "golden")),
    (IMAGES, "schema_version", 2),
    (IMAGES, "model", "../shades"),
    (IMAGES, "model", ""),
    (IMAGES, "model", "a" * 129),
    (IMAGES, "version", 0),
    (IMAGES, "version", "1"),
    (IMAGES, "version", True),
    (IMAGES, "version", 1.5),
    (IMAGES, "created", 2026),
    (IMAGES, "inputs", []),
    (IMAGES, "outputs", []),
    (IMAGES, "inputs.0.name", ""),
    (IMAGES, "inputs.0.datatype", "FLOAT"),
    (IMAGES, "inputs.0.shape", [-2, 4]),
    (IMAGES, "inputs.0.shape", ["rows", 4]),
    (IMAGES, "class_indices", {"dark": 0}),
    (IMAGES, "class_indices.dark", -1),
    (IMAGES, "class_indices.dark", "0"),
    (IMAGES, "decision", {}),
    (IMAGES, "decision", "argmax"),
    (IMAGES, "decision.kind", "vote"),
    (IMAGES, "decision.threshold", 0.5),
    (FEATURES, "decision.threshold", REMOVED),
    (FEATURES, "decision.threshold", 0.0),
    (FEATURES, "decision.threshold", 1.0),
    (FEATURES, "decision.threshold", "0.5"),
    (IMAGES, "preprocessing.kind", REMOVED),
    (IMAGES, "preprocessing.kind", "sound"),
    (IMAGES, "preprocessing.height", 0),
    (IMAGES, "preprocessing.width", -4),
    (IMAGES, "preprocessing.color_mode", "cmyk"),
    (IMAGES, "preprocessing.other_size", "crop"),
    (IMAGES, "preprocessing.alpha_background", 256),
    (IMAGES, "preprocessing.alpha_background", -1),
    (IMAGES, "preprocessing.exif_orientation", 1),
    (IMAGES, "preprocessing.exif_orientation", "yes"),
    (FEATURES, "preprocessing.features", []),
    (FEATURES, "preprocessing.features.0.minimum", "0"),
    (IMAGES, "metrics", {"accuracy": "high"}),
    (IMAGES, "frameworks", {"keras": 3}),
    (IMAGES, "golden.rows", 0),
    (IMAGES, "golden.tolerance.cuda", REMOVED),
    (IMAGES, "golden.tolerance.cpu", 0),
    (IMAGES, "golden.tolerance.rocm", 1e-3),
    (IMAGES, "files", {}),
    (IMAGES, "files.model:onnx", "abc"),
    (IMAGES, "files.model:onnx", "F" * 64),
]


@pytest.mark.parametrize("document", VALID.values(), ids=VALID)
def test_the_schema_and_the_reader_accept(tmp_path, document):
    jsonschema.validate(document, SCHEMA)
    assert read(tmp_path, document).model == "shades"


@pytest.mark.parametrize(
    ("document", "path", "value"),
    [
        pytest.param(*case, id=f"{case[1]} {'removed' if case[2] is REMOVED else repr(case[2])[:40]}")
        for case in INVALID
    ],
)
def test_the_schema_and_the_reader_refuse_and_the_reader_names_the_field(tmp_path, document, path, value):
    wrong = changed(document, path, value)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)
    with pytest.raises(ModelBroken) as error:
        read(tmp_path, wrong)
    assert str(error.value).startswith(f"manifest.json: {path.split('.')[0]}")


def test_a_refusal_names_every_wrong_field_what_came_and_what_was_expected(tmp_path):
    wrong = changed(changed(IMAGES, "version", 0), "preprocessing.color_mode", "cmyk")
    with pytest.raises(ModelBroken) as error:
        read(tmp_path, wrong)
    assert str(error.value) == (
        "manifest.json: version: 0 came; an integer >= 1 was expected; "
        "preprocessing.color_mode: 'cmyk' came; 'grayscale' or 'rgb' was expected"
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", '{"a": 1}' * 2], ids=repr)
def test_what_is_no_json_object_is_refused_without_being_repeated(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ModelBroken, match=r"^manifest\.json: \w") as error:
        read_manifest(tmp_path / "manifest.json")
    assert '"a"' not in str(error.value)


def test_a_manifest_that_cannot_be_read_is_refused_without_its_path(tmp_path):
    with pytest.raises(ModelBroken) as error:
        read_manifest(tmp_path / "manifest.json")
    assert str(error.value) == "manifest.json cannot be read: No such file or directory"


def test_all_that_a_manifest_says_is_read(tmp_path):
    manifest = read(tmp_path, IMAGES)
    assert manifest.signature == Signature(
        (TensorSpec("image", "UINT8", (-1, 4, 4, 3)),), (TensorSpec("probabilities", "FP32", (-1, 3)),)
    )
    assert manifest.class_indices == {"dark": 0, "middle": 1, "bright": 2}
    assert manifest.decision == Decision("argmax")
    assert isinstance(manifest.preprocessing, ImagePreprocessing)
    assert manifest.golden is not None
    assert manifest.golden.tolerance == {"cpu": 1e-5, "cuda": 1e-3}


def test_features_keep_their_order(tmp_path):
    to = read(tmp_path, FEATURES).preprocessing
    assert isinstance(to, FeaturePreprocessing)
    assert [feature.name for feature in to.features] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("document", "path", "value", "text"),
    [
        pytest.param(
            IMAGES,
            "preprocessing.input",
            "picture",
            "preprocessing gives picture [-1, 4, 4, 3], but the model takes image UINT8 [-1, 4, 4, 3]",
            id="another input",
        ),
        pytest.param(IMAGES, "preprocessing.height", 5, "gives image [-1, 5, 4, 3]", id="another height"),
        pytest.param(IMAGES, "preprocessing.color_mode", "grayscale", "gives image [-1, 4, 4, 1]", id="colour mode"),
        pytest.param(IMAGES, "inputs.0.datatype", "FP32", "the model takes image FP32", id="images to floats"),
        pytest.param(
            IMAGES, "inputs", [*IMAGES["inputs"], *FEATURES["inputs"]], "takes image UINT8 [-1, 4, 4, 3], fea", id="two"
        ),
        pytest.param(FEATURES, "inputs.0.shape", [-1, 4], "gives features [-1, 3]", id="a feature too few"),
        pytest.param(FEATURES, "inputs.0.datatype", "INT64", "takes features INT64 [-1, 3]", id="features to integers"),
        pytest.param(FEATURES, "inputs.0.shape", [1, 3], "takes features FP32 [1, 3]", id="no free rows"),
    ],
)
def test_preprocessing_that_does_not_lead_to_the_input_is_refused(tmp_path, document, path, value, text):
    manifest = read(tmp_path, changed(document, path, value))
    with pytest.raises(ModelBroken) as error:
        check_preprocessing(manifest)
    assert text in str(error.value)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(IMAGES, id="images"),
        pytest.param(FEATURES, id="features"),
        pytest.param(changed(IMAGES, "preprocessing", REMOVED), id="none stated"),
    ],
)
def test_preprocessing_that_fits_passes(tmp_path, document):
    check_preprocessing(read(tmp_path, document))
