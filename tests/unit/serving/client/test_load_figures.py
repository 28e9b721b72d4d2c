import re

import numpy as np
import pytest

from serving.client.load.figures import Expectations, failures, figures
from serving.client.load.generator import NOT_ENDED, RIGHT, UNCHECKED, WRONG, Record
from serving.client.load.page import page
from serving.client.load.plan import Arrivals, Kind, Step
from serving.client.load.tables import outcome_rows, remarks

OK, DEADLINE, REFUSED, INTERNAL, UNAVAILABLE = 0, 4, 8, 13, 14
KINDS = [Kind("a", 1, 0.5), Kind("b", 4, 0.5)]


def record(status, verdict=RIGHT, latency=0.010, late=0.0, kind=0, rate=10.0):
    """One call for each status, a tenth of a second apart; other arguments are arrays, or the same for all."""
    calls = len(status)
    at = np.arange(calls) / 10
    kind = np.broadcast_to(kind, calls).astype(np.int64)
    made = Record.empty(Step(rate, max(calls, 1) / 10), Arrivals(at, kind))
    made.status[:] = status
    made.verdict[:] = verdict
    made.latency[:] = latency
    made.late[:] = late
    made.seconds = calls / 10
    return made


def told(*records, finished=True):
    return figures(records, KINDS, finished=finished, max_late_ms=10.0)


def test_each_outcome_is_counted_under_its_name():
    step = told(record([OK, OK, OK, REFUSED, DEADLINE, UNAVAILABLE, INTERNAL], [RIGHT, WRONG, UNCHECKED, 0, 0, 0, 0]))[
        "steps"
    ][0]
    names = ("ok", "wrong", "unchecked", "refused", "deadline", "unavailable", "other")
    assert [step[name] for name in names] == [1] * 7
    assert step["statuses"]["INTERNAL"] == 1


def test_goodput_counts_neither_wrong_answers_nor_refusals():
    step = told(record([OK, OK, OK, REFUSED], [RIGHT, WRONG, RIGHT, RIGHT], kind=[0, 0, 1, 1]))["steps"][0]
    assert step["goodput_calls_per_second"] == pytest.approx(5)
    assert step["goodput_rows_per_second"] == pytest.approx(12.5)


def test_percentiles_are_times_that_were_measured():
    step = told(record([OK] * 1000, latency=np.arange(1, 1001) / 1000))["steps"][0]
    assert [step["accepted_ms"][name] for name in ("p50", "p99", "max")] == pytest.approx([501, 991, 1000])


def test_refusals_have_percentiles_of_their_own():
    step = told(record([OK, REFUSED], latency=[0.5, 0.001]))["steps"][0]
    assert (step["accepted_ms"]["max"], step["refused_ms"]["max"]) == pytest.approx((500, 1))


def test_calls_that_were_cut_off_count_nowhere():
    step = told(record([OK, NOT_ENDED, NOT_ENDED]), finished=False)["steps"][0]
    assert (step["calls"], step["ok"]) == (1, 1)


def test_figures_are_told_by_model_too():
    step = told(record([OK, REFUSED, OK], kind=[0, 1, 1]))["steps"][0]
    assert {model: part["calls"] for model, part in step["by_model"].items()} == {"a": 1, "b": 2}
    assert step["by_model"]["b"]["refused"] == 1


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (Expectations(p99_ms=5), "a p99 of 10.00 ms came; at most 5 ms was expected"),
        (Expectations(goodput=9), "7.5 good answers/s came; 9.0 were expected"),
        (Expectations(goodput=0.9, goodput_is_share=True), "7.5 good answers/s came; 9.0 were expected"),
        (Expectations(errors=0), "1 calls were neither answered nor refused; at most 0 were expected"),
    ],
    ids=["p99", "goodput", "share", "errors"],
)
def test_an_expectation_that_is_missed_is_a_sentence(expected, text):
    sentences = failures(told(record([OK, OK, OK, INTERNAL])), expected)
    assert [text in one for one in sentences] == [True]


def test_expectations_that_come_true_are_no_failure():
    expected = Expectations(p99_ms=10.1, goodput=0.75, goodput_is_share=True, errors=1)
    assert failures(told(record([OK, OK, OK, INTERNAL])), expected) == []


def test_a_wrong_answer_fails_the_test_without_any_expectation():
    assert failures(told(record([OK, OK], [RIGHT, WRONG])), Expectations()) == ["1 answers were wrong"]


def test_no_answer_at_all_misses_every_latency():
    assert "no answer came" in failures(told(record([DEADLINE])), Expectations(p99_ms=5))[0]


def test_a_generator_that_was_late_says_so_and_judges_nothing():
    late = told(record([OK] * 10, late=0.020))
    assert any("this generator fell behind" in line for line in remarks(late, []))
    assert "cannot be judged" in failures(late, Expectations(p99_ms=1000))[0]


def test_the_page_needs_nothing_from_elsewhere_and_shows_each_step():
    whole = told(record([OK, REFUSED] * 50), record([OK] * 100, rate=20.0))
    text = page(whole, [], "a <b>")
    assert "a &lt;b&gt;" in text
    assert not re.search(r"(src|href)=|https?://|\$", text)
    assert text.count("<svg") == text.count("</svg>") == 3
    assert "50 of 100 calls" in text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_a_page_can_be_made_of_a_test_that_nothing_answered():
    assert "no call was answered" in page(told(record([DEADLINE])), ["late"], "")


def test_a_page_and_tables_can_be_made_of_a_test_that_was_stopped_at_once():
    empty = told(record([]), finished=False)
    assert page(empty, [], "")
    assert len(outcome_rows(empty)) == 3
