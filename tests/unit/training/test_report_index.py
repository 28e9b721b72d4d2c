import json
import re
from html.parser import HTMLParser

import pytest

from training.report_index import main, model_cards

MANIFEST = {"model": "dots", "recipe": "tiny", "created": "2026-05-04T03:02:01Z", "metrics": {"accuracy": 0.9}}
REPORT = {
    "title": "Dots in <three> classes",
    "correct": 1234,
    "total": 2000,
    "course_figure": "50.00 %",
    "history": {"accuracy": [0.5, 0.7, 0.9], "val_accuracy": [0.4, 0.6, 0.8]},
}


def _package(repository, name="dots", version=1, manifest=MANIFEST, report=REPORT):
    folder = repository / name / str(version)
    (folder / "report").mkdir(parents=True)
    if manifest is not None:
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        (folder / "manifest.json").write_text(text)
    if report is not None:
        (folder / "report" / "report.json").write_text(report if isinstance(report, str) else json.dumps(report))
        (folder / "report" / "report.html").write_text("<!doctype html>")
    return folder


def _page(repository):
    assert main([str(repository)]) == 0
    return (repository / "index.html").read_text()


class _Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.links += [value for key, value in attrs if key in {"href", "src", "srcset"}]
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_card_tells_headline_recipe_date_and_the_courses_figure(tmp_path):
    _package(tmp_path)
    page = _page(tmp_path)
    for words in ("61.70 %", "1,234 of 2,000", "50.00 %", "tiny", "2026-05-04", "Dots in &lt;three&gt; classes"):
        assert words in page


def test_every_version_leads_to_its_report_and_every_link_to_a_file(tmp_path):
    _package(tmp_path)
    _package(tmp_path, version=10)
    _package(tmp_path, version=9)
    _package(tmp_path, name="tides & more")
    links = _Links(_page(tmp_path)).links
    assert {link for link in links if link.startswith("dots")} == {
        f"dots/{version}/report/report.html" for version in (1, 9, 10)
    }
    assert "tides%20%26%20more/1/report/report.html" in links


def test_links_start_from_where_the_page_is_written(tmp_path):
    _package(tmp_path / "models")
    assert main([str(tmp_path / "models"), "--out", str(tmp_path / "pages" / "all.html")]) == 0
    links = _Links((tmp_path / "pages" / "all.html").read_text()).links
    assert links
    assert all((tmp_path / "pages" / link).is_file() for link in links)


def test_the_card_shows_the_newest_version_that_can_be_read(tmp_path):
    _package(tmp_path)
    _package(tmp_path, version=9, report=REPORT | {"correct": 1500})
    _package(tmp_path, version=10, manifest=None)
    (card,) = model_cards(tmp_path, tmp_path)
    assert [line.version for line in card.versions] == [10, 9, 1]
    assert card.shown is not None
    assert (card.shown.version, card.shown.counted) == (9, "1,500 of 2,000")


@pytest.mark.parametrize(
    ("manifest", "report", "words"),
    [
        pytest.param(None, REPORT, "manifest.json is missing", id="no manifest"),
        pytest.param("{", REPORT, "manifest.json is no JSON", id="half a manifest"),
        pytest.param([], REPORT, "manifest.json holds list, an object was expected", id="a list"),
        pytest.param({"model": "dots"}, REPORT, "not the expected fields", id="a manifest without its date"),
        pytest.param(MANIFEST, "{", "report.json is no JSON", id="half a report"),
        pytest.param(MANIFEST, REPORT | {"total": 0}, "not the expected fields", id="a report of no rows"),
        pytest.param(MANIFEST, REPORT | {"history": 7}, "not the expected fields", id="a history that is a number"),
        pytest.param(MANIFEST, REPORT | {"history": {"accuracy": ["x", "y"]}}, "not the expected fields", id="words"),
    ],
)
def test_a_broken_package_gets_a_line_that_says_so_and_the_others_stay(tmp_path, manifest, report, words):
    _package(tmp_path, version=2, manifest=manifest, report=report)
    _package(tmp_path, name="whole")
    page = _page(tmp_path)
    assert words in page
    assert "whole/1/report/report.html" in page


def test_a_package_without_a_report_shows_its_manifests_accuracy_and_no_link(tmp_path):
    _package(tmp_path, report=None)
    page = _page(tmp_path)
    assert "90.00 %" in page
    assert "version 1, no report" in page
    assert _Links(page).links == []


def test_the_thumbnail_spans_its_box_with_the_lowest_and_highest_accuracy_at_the_edges(tmp_path):
    _package(tmp_path)
    (card,) = model_cards(tmp_path, tmp_path)
    assert card.shown is not None
    assert card.shown.train_line == "0.0,55.8 160.0,29.4 320.0,3.0"
    assert card.shown.validation_line.startswith("0.0,69.0 ")


def test_a_long_history_is_thinned_and_keeps_its_ends(tmp_path):
    _package(tmp_path, report=REPORT | {"history": {"accuracy": [epoch / 1500 for epoch in range(1500)]}})
    (card,) = model_cards(tmp_path, tmp_path)
    assert card.shown is not None
    points = card.shown.train_line.split()
    assert len(points) <= 161
    assert (points[0], points[-1]) == ("0.0,69.0", "320.0,3.0")


def test_the_page_is_well_formed_and_fetches_nothing(tmp_path):
    _package(tmp_path)
    _package(tmp_path, version=2, manifest=None)
    page = _page(tmp_path)
    assert _Links(page).open == []
    assert not re.search(r"https?://|@import|url\(", page)


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_without_packages_is_an_error_that_names_it(tmp_path, made, capsys):
    folder = tmp_path / "models"
    if made:
        (folder / "notes").mkdir(parents=True)
    assert main([str(folder)]) == 1
    assert str(folder) in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_an_error_that_names_it(tmp_path, capsys):
    _package(tmp_path)
    (tmp_path / "taken").write_text("")
    assert main([str(tmp_path), "--out", str(tmp_path / "taken" / "index.html")]) == 1
    assert "taken" in capsys.readouterr().err
