"""What past runs tell of the next one."""

import pytest

from serving.inference.run_time import RunTime


def seen(*runs: tuple[int, float]) -> RunTime:
    """After a first run that counts for nothing, these: rows and seconds."""
    run_time = RunTime()
    run_time.add(1, 1e9)
    for rows, seconds in runs:
        run_time.add(rows, seconds)
    return run_time


def test_nothing_is_guessed_before_the_second_run():
    run_time = RunTime()
    run_time.add(1, 5.0)
    assert (run_time.guess(100, 3), run_time.care) == (0.0, 1.0)


def test_the_first_run_that_counts_is_believed():
    assert seen((4, 2.0)).guess(4) == 2.0


def test_while_runs_are_of_one_size_all_of_their_time_is_of_their_rows():
    run_time = seen(*[(8, 4.0)] * 20)
    assert (run_time.fixed, run_time.row) == (0.0, 0.5)


def test_runs_of_many_sizes_show_what_a_run_and_what_a_row_costs():
    run_time = seen(*[(rows, 0.01 + 0.002 * rows) for rows in (1, 64, 7, 30, 2, 64, 50, 1, 16)] * 5)
    assert run_time.fixed == pytest.approx(0.01, rel=0.1)
    assert run_time.row == pytest.approx(0.002, rel=0.1)
    assert run_time.guess(128, runs=2) == pytest.approx(0.02 + 0.256, rel=0.1)


@pytest.mark.parametrize(
    "runs", [[(1, 9.0), (64, 1.0)] * 9, [(1, 0.001), (64, 9.0)] * 9], ids=["large ones faster", "large ones far slower"]
)
def test_neither_part_is_ever_negative(runs):
    run_time = seen(*runs)
    assert run_time.fixed >= 0
    assert run_time.row >= 0


def test_a_change_of_pace_is_believed_after_some_runs():
    run_time = seen(*[(4, 1.0)] * 20, *[(4, 2.0)] * 20)
    assert run_time.guess(4) == pytest.approx(2.0, rel=0.05)


def test_one_run_that_was_held_up_changes_little():
    run_time = seen(*[(4, 1.0)] * 20, (4, 1000.0))
    assert run_time.guess(4) < 2.0


def test_what_was_slow_for_long_is_forgotten():
    run_time = seen(*[(4, 1000.0)] * 50, *[(4, 1.0)] * 50)
    assert run_time.guess(4) == pytest.approx(1.0, rel=0.05)
    assert run_time.care < 1.2


def test_even_runs_need_little_care_and_uneven_ones_more():
    assert seen(*[(4, 1.0)] * 20).care == 1.0
    assert seen(*[(4, 1.0), (4, 1.5)] * 10).care > 1.2
