import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.tiny_runs import feature_run, image_run
from training.export import export_package
from training.report import write_report
from training.results import write_result
from training.task import RunRecord


def _written(trained: tuple[Any, RunRecord], folder: Path) -> Path:
    model, run = trained
    write_report(run, model, folder)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(image_run(), tmp_path_factory.mktemp("pictures") / "report")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(feature_run(), tmp_path_factory.mktemp("numbers") / "report")


class _Page(HTMLParser):
    """Everything that a browser would fetch, and the open tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for key, value in attrs if key in {"src", "srcset", "href"}]
        if tag not in {"meta", "img", "source"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_an_image_task_gets_every_picture(pictures):
    assert {path.name for path in pictures.iterdir()} == {
        "report.html",
        "report.json",
        "curves.png",
        "confusion.png",
        "samples.png",
        "mistakes.png",
    }


def test_a_feature_task_gets_its_scores_as_samples_and_its_mistakes_as_a_table(numbers):
    assert {path.name for path in numbers.iterdir()} == {
        "report.html",
        "report.json",
        "curves.png",
        "confusion.png",
        "samples.png",
    }
    assert "gauge 3" in (numbers / "report.html").read_text()


@pytest.mark.parametrize("name", ["curves", "confusion", "samples", "mistakes"])
def test_a_chart_is_a_picture_with_something_on_it(pictures, name):
    with Image.open(pictures / f"{name}.png") as picture:
        assert min(picture.size) > 400
        assert np.asarray(picture.convert("L")).std() > 1


@pytest.mark.parametrize("kind", ["pictures", "numbers"])
def test_the_page_is_well_formed_and_fetches_nothing(kind, request):
    text = (request.getfixturevalue(kind) / "report.html").read_text()
    page = _Page(text)
    assert page.open == []
    assert page.addresses
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not re.search(r"https?://|@import|url\(", text)


def test_the_page_shows_the_headline_with_its_counts_beside_the_courses_figure(pictures):
    told = json.loads((pictures / "report.json").read_text())
    text = (pictures / "report.html").read_text()
    assert f"{100 * told['correct'] / told['total']:.2f} %" in text
    assert f"{told['correct']} of {told['total']}" in text
    assert "50.00 % (15 of 30)" in text


def test_report_json_tells_how_the_run_was_made(pictures):
    told = json.loads((pictures / "report.json").read_text())
    keys = ("task", "recipe", "command", "seed", "epochs", "batch_rows", "started", "seconds", "metrics")
    assert {key: told[key] for key in keys} == {
        "task": "dots",
        "recipe": "tiny",
        "command": "signet-train dots --recipe tiny",
        "seed": 3,
        "epochs": 2,
        "batch_rows": 8,
        "started": "2026-05-04T03:02:01Z",
        "seconds": 12.5,
        "metrics": {"accuracy": 0.25, "loss": 1.25},
    }
    assert told["dataset"]["source"] == "drawn for a test"
    assert told["dataset"]["rows"] == {"train": 30, "validation": 30, "test": 30}
    assert {"python", "tensorflow", "keras", "onnx"} <= set(told["frameworks"])


def test_report_json_counts_the_models_numbers_by_whether_they_are_trained(pictures):
    assert json.loads((pictures / "report.json").read_text())["parameters"] == {
        "total": 30 + 12 + 147,
        "trainable": 30 + 6 + 147,
        "non_trainable": 6,
    }


def test_the_confusion_matrix_in_report_json_counts_every_test_row(pictures):
    told = json.loads((pictures / "report.json").read_text())
    assert np.sum(told["confusion"]) == told["total"] == 30
    assert np.trace(told["confusion"]) == told["correct"]


def test_a_report_in_a_package_holds_the_equality_figures(tmp_path):
    model, run = image_run(test_rows=4)
    package = export_package(model, run, tmp_path, lambda told, folder: write_report(told, model, folder))
    told = json.loads((package / "report" / "report.json").read_text())
    assert told["equality"]["rows"] == [1, 4]
    assert "SavedModel and ONNX differ from Keras" in (package / "report" / "report.html").read_text()


def test_a_run_without_mistakes_says_so(tmp_path):
    model, run = image_run(test_rows=6)
    rows = dataclasses.replace(run.dataset.test, truth=run.scores.argmax(axis=1))
    right = dataclasses.replace(run, dataset=dataclasses.replace(run.dataset, test=rows))
    assert "every test row was predicted right" in (_written((model, right), tmp_path) / "report.html").read_text()


def test_a_run_without_history_has_a_report_all_the_same(tmp_path):
    model, run = image_run(test_rows=6)
    assert (_written((model, dataclasses.replace(run, history={})), tmp_path) / "report.html").is_file()


def test_words_of_the_run_are_text_and_never_markup(tmp_path):
    model, run = image_run(test_rows=6)
    text = (
        _written((model, dataclasses.replace(run, command="signet-train <b>")), tmp_path) / "report.html"
    ).read_text()
    assert "signet-train &lt;b&gt;" in text


def test_two_reports_of_one_run_are_the_same_page(tmp_path):
    trained = feature_run()
    first, second = _written(trained, tmp_path / "first"), _written(trained, tmp_path / "second")
    assert (first / "report.html").read_text() == (second / "report.html").read_text()


def test_the_checksum_of_a_split_is_that_of_its_inputs_and_then_its_class_indices(tmp_path):
    model, run = image_run(test_rows=5)
    told = json.loads((_written((model, run), tmp_path) / "report.json").read_text())
    test = run.dataset.test
    held = test.inputs.tobytes() + test.truth.astype("<i8").tobytes()
    assert told["dataset"]["sha256"]["test"] == hashlib.sha256(held).hexdigest()


def test_a_report_in_a_package_tells_the_checksums_of_the_files_around_it(tmp_path):
    model, run = image_run(test_rows=4)
    package = export_package(model, run, tmp_path, lambda run, folder: write_report(run, model, folder))
    told = json.loads((package / "report" / "report.json").read_text())
    digest = hashlib.sha256((package / "model.onnx").read_bytes()).hexdigest()
    assert told["checksums"]["model.onnx"] == digest
    assert digest in (package / "report" / "report.html").read_text()


def test_a_recipe_that_augments_shows_100_training_images_as_it_changes_them(tmp_path):
    model, run = image_run(test_rows=120)
    recipe = dataclasses.replace(run.recipe, augment=lambda images, _: 255 - images)
    report = _written((model, dataclasses.replace(run, recipe=recipe)), tmp_path)
    assert "100 training images as the net sees them" in (report / "report.html").read_text()
    with Image.open(report / "augmented.png") as sheet:
        # Ten lines of ten images of 6 pixels with gaps of 2, each pixel 3 wide.
        assert sheet.size == (3 * 78, 3 * 78)
        first = np.asarray(sheet)[:18:3, :18:3, 0]
    train = run.dataset.train
    assert np.array_equal(first, 255 - train.inputs[np.flatnonzero(train.truth == 0)[0], ..., 0])


def test_a_recipe_that_does_not_augment_has_no_such_sheet(pictures):
    assert "training images as the net sees them" not in (pictures / "report.html").read_text()


def test_a_sigmoid_task_tells_its_curve_and_thresholds_and_another_does_not(numbers, pictures):
    told = json.loads((numbers / "report.json").read_text())
    assert 0 <= told["roc"]["auc"] <= 1
    assert [point["true_positive_rate"] for point in told["roc"]["points"]][:: len(told["roc"]["points"]) - 1] == [0, 1]
    assert [at["threshold"] for at in told["thresholds"]] == [tenth / 10 for tenth in range(1, 10)]
    page = (numbers / "report.html").read_text()
    assert {"ROC curve", "Thresholds"} <= set(re.findall(r"<h2>(.+?)</h2>", page))
    assert f"{told['roc']['auc']:.4f}" in page
    other = json.loads((pictures / "report.json").read_text())
    assert (other["roc"], other["thresholds"], other["brier"]) == (None, [], None)
    assert "ROC curve" not in (pictures / "report.html").read_text()


def test_test_rows_of_one_class_leave_out_the_curve(tmp_path):
    model, run = feature_run()
    rows = dataclasses.replace(run.dataset.test, truth=np.ones(len(run.dataset.test), dtype=np.int64))
    one = dataclasses.replace(run, dataset=dataclasses.replace(run.dataset, test=rows))
    assert "ROC curve" not in (_written((model, one), tmp_path) / "report.html").read_text()


def test_the_calibration_error_stands_on_the_page_with_its_number_of_bins(pictures):
    told = json.loads((pictures / "report.json").read_text())["calibration"]
    page = " ".join((pictures / "report.html").read_text().split())
    assert told["bins"] == 15
    assert sum(told["rows"]) == 30
    assert f"<b>{told['ece']:.4f}</b>" in page
    assert "averaged over the rows of 15 equally wide bins" in page


def test_a_recorded_sweep_shows_its_spread_beside_this_run(tmp_path):
    model, run = feature_run()
    done = [{"seed": seed, "accuracy": accuracy} for seed, accuracy in enumerate((0.5, 0.75, 0.625))]
    write_result(tmp_path, "tides", "tiny", {"runs": done})
    write_report(run, model, tmp_path / "report", tmp_path)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Spread over 3 seeds" in page
    assert "62.50 %" in page
    assert json.loads((tmp_path / "report" / "report.json").read_text())["seeds"]["lowest"] == 0.5


@pytest.mark.parametrize(("published", "words"), [(True, "Published: "), (False, "Not published: ")])
def test_figures_of_a_quantisation_stand_beside_those_of_fp32(tmp_path, published, words):
    figures = {
        "fp32_accuracy": 0.9156,
        "int8_accuracy": 0.9123,
        "fp32_bytes": 884_736,
        "int8_bytes": 247_808,
        "rows_per_second": {"fp32": {"1": 812.3, "32": 8123.4}, "int8": {"1": 900.1, "32": 13403.1}},
        "published": published,
    }
    (tmp_path / "quantize.json").write_text(json.dumps(figures))
    page = (_written(feature_run(), tmp_path) / "report.html").read_text()
    assert all(
        text in page for text in (words, "91.56 %", "91.23 %", "864 KiB", "242 KiB", "32 at once", "8,123", "13,403")
    )


def test_the_page_draws_the_net(pictures):
    page = (pictures / "report.html").read_text()
    assert page.count("<svg") == 1
    assert "<title>Conv2D, 3 filters" in page
