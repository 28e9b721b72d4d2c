"""Runs are counted by their rows, and their time for every caller in them."""

from serving.inference.statistics import Duration, RunStatistics


def test_nothing_has_run_at_first():
    statistics = RunStatistics()
    assert (statistics.runs, statistics.rows, statistics.last_run_time) == (0, 0, 0)


def test_a_run_counts_once_by_its_rows_and_for_each_caller():
    statistics = RunStatistics()
    statistics.add(callers=2, rows=8, seconds=0.5)
    statistics.add(callers=1, rows=8, seconds=0.25)
    statistics.add(callers=1, rows=1, seconds=0.125)
    assert (statistics.runs, statistics.rows) == (3, 17)
    assert statistics.callers == Duration(4, 1.375)
    assert statistics.by_rows == {8: Duration(2, 0.75), 1: Duration(1, 0.125)}
    assert statistics.last_run_time > 0
