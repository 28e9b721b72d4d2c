"""A worker is started again at once, and then ever more slowly while it does not last."""

from serving.supervised_worker import LONGEST_DELAY_SECONDS, SOUND_SECONDS, BackOff


def test_the_first_restart_is_at_once_and_the_next_ones_wait_twice_as_long_each_time():
    back_off = BackOff()
    assert [back_off.seconds(1) for _ in range(5)] == [0, 0.5, 1, 2, 4]


def test_the_pause_has_a_limit():
    back_off = BackOff()
    assert max(back_off.seconds(1) for _ in range(2000)) == LONGEST_DELAY_SECONDS


def test_a_worker_that_lasted_is_started_again_at_once():
    back_off = BackOff()
    for _ in range(5):
        back_off.seconds(1)
    assert back_off.seconds(SOUND_SECONDS) == 0
    assert back_off.seconds(1) == 0.5
