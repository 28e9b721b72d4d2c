"""A manifest's labels fit its output, or the version is refused; a bare model finds its labels in a file beside it."""

from pathlib import Path

import msgspec
import pytest

from serving.errors import ModelBroken
from serving.inference.labels import Decision
from serving.inference.signature import Signature, TensorSpec
from serving.repository.manifest import bare_manifest, labeller, labels_beside


def output(*shape: int) -> Signature:
    return Signature((TensorSpec("x", "FP32", (-1, 3)),), (TensorSpec("y", "FP32", shape),))


@pytest.mark.parametrize(
    ("shape", "labels", "decision"),
    [
        pytest.param((-1, 3), {"a": 0, "b": 1, "c": 2}, Decision("argmax"), id="a score for each label is argmax"),
        pytest.param((-1, 1), {"no": 0, "yes": 1}, Decision("sigmoid", 0.5), id="one score for two labels is sigmoid"),
        pytest.param((-1, 3), {}, None, id="no labels, no decision"),
    ],
)
def test_a_bare_model_is_decided_by_the_width_of_its_output(shape, labels, decision):
    manifest = bare_manifest("m", 1, output(*shape), labels)
    assert manifest.decision == decision
    assert manifest.signature == output(*shape)


def test_labels_are_in_the_order_of_their_class_index_and_not_of_the_alphabet():
    found = labeller(bare_manifest("m", 1, output(-1, 3), {"zebra": 0, "ape": 1, "mole": 2}))
    assert found is not None
    assert found.labels == ("zebra", "ape", "mole")
    assert found.output == "y"


def test_a_model_without_class_indices_is_not_labelled():
    assert labeller(bare_manifest("m", 1, output(-1, 3), {})) is None


@pytest.mark.parametrize(
    ("shape", "labels", "text"),
    [
        pytest.param(
            (-1, 3),
            ["a", "b"],
            "2 labels do not fit the output y FP32 [-1, 3]: width 2 was expected",
            id="too few labels",
        ),
        pytest.param((-1, 3), list("abcd"), "4 labels do not fit the output y FP32 [-1, 3]", id="too many labels"),
        pytest.param((-1, 1), list("abc"), "3 labels do not fit the output y FP32 [-1, 1]", id="three for one score"),
        pytest.param((-1,), ["a", "b"], "2 labels do not fit the output y FP32 [-1]", id="no width"),
        pytest.param((-1, 3, 3), list("abc"), "3 labels do not fit the output y FP32 [-1, 3, 3]", id="a rank more"),
        pytest.param((-1, -1), ["a", "b"], "2 labels do not fit the output y FP32 [-1, -1]", id="free width"),
    ],
)
def test_labels_that_do_not_fit_the_output_are_refused(shape, labels, text):
    class_indices = {label: index for index, label in enumerate(labels)}
    with pytest.raises(ModelBroken) as error:
        labeller(bare_manifest("m", 1, output(*shape), class_indices))
    assert str(error.value).startswith(text)


@pytest.mark.parametrize("datatype", ["BYTES", "BF16"])
def test_an_output_that_holds_no_numbers_to_compare_is_refused(datatype):
    signature = Signature((TensorSpec("x", "FP32", (-1, 3)),), (TensorSpec("y", datatype, (-1, 2)),))
    with pytest.raises(ModelBroken, match=f"labels cannot be decided by the output y {datatype}"):
        labeller(bare_manifest("m", 1, signature, {"a": 0, "b": 1}))


def test_a_sigmoid_with_three_labels_is_refused_saying_that_it_has_two():
    manifest = msgspec.structs.replace(
        bare_manifest("m", 1, output(-1, 1), {"a": 0, "b": 1, "c": 2}), decision=Decision("sigmoid")
    )
    with pytest.raises(ModelBroken, match=r"a sigmoid output of width 1 has 2 labels$"):
        labeller(manifest)


@pytest.mark.parametrize("indices", [(0, 2, 3), (1, 2, 3), (0, 0, 1)], ids=["a gap", "from 1", "one twice"])
def test_class_indices_that_are_not_0_to_n_are_refused(indices):
    manifest = bare_manifest("m", 1, output(-1, 3), dict(zip("abc", indices, strict=True)))
    with pytest.raises(ModelBroken, match=r"class_indices are \[.*\]; 0 to 2 were expected"):
        labeller(manifest)


@pytest.fixture
def version_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "letters" / "1"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("beside", [".", ".."], ids=["in the version's folder", "in the model's folder"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("labels.txt", "b\r\na\n\n c \n", id="labels.txt"),
        pytest.param("class_indices.json", '{"a": 1, "c": 2, "b": 0}', id="class_indices.json"),
    ],
)
def test_labels_are_found_beside_a_bare_model(version_folder, beside, name, text):
    (version_folder / beside / name).write_text(text)
    assert labels_beside(version_folder) == {"b": 0, "a": 1, "c": 2}


def test_a_version_has_its_own_labels_before_those_of_its_model(version_folder):
    (version_folder / "labels.txt").write_text("new\n")
    (version_folder.parent / "class_indices.json").write_text('{"old": 0}')
    assert labels_beside(version_folder) == {"new": 0}


def test_without_a_label_file_there_are_no_labels(version_folder):
    assert labels_beside(version_folder) == {}


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        pytest.param("labels.txt", b"a\nb\na\n", "labels.txt names a label twice", id="a label twice"),
        pytest.param("class_indices.json", b"[1]", "class_indices.json is no JSON object of label to", id="a list"),
        pytest.param("class_indices.json", b"{", "class_indices.json is no JSON object of label to", id="no JSON"),
        pytest.param(
            "class_indices.json", b'{"a": "x"}', "class_indices.json is no JSON object", id="text for an index"
        ),
        pytest.param("class_indices.json", b'{"a": 0.5}', "class_indices.json is no JSON object", id="half an index"),
    ],
)
def test_a_label_file_that_holds_no_labels_is_refused(version_folder, name, content, text):
    (version_folder / name).write_bytes(content)
    with pytest.raises(ModelBroken) as error:
        labels_beside(version_folder)
    assert str(error.value).startswith(text)
