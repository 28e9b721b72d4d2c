"""Threads follow the cgroup's quota and the affinity mask, never the host's cores."""

import os
from pathlib import Path

import pytest

from serving.inference.cores import available_cores

AFFINITY = len(os.sched_getaffinity(0))


def write_v1(root: Path, quota: str, period: str = "100000") -> None:
    (root / "cpu").mkdir()
    (root / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (root / "cpu" / "cpu.cfs_period_us").write_text(f"{period}\n")


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [
        pytest.param("100000 100000\n", 1, id="one core"),
        pytest.param("50000 100000\n", 1, id="half a core is one"),
        pytest.param("150000 100000\n", min(2, AFFINITY), id="one and a half are two"),
        pytest.param("99999900000 100000\n", AFFINITY, id="more than the affinity mask has"),
        pytest.param("max 100000\n", AFFINITY, id="no quota"),
    ],
)
def test_the_lesser_of_a_cgroup_v2_quota_and_the_affinity_counts(tmp_path, cpu_max, cores):
    (tmp_path / "cpu.max").write_text(cpu_max)
    assert available_cores(tmp_path) == cores


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        pytest.param("100000", 1, id="one core"),
        pytest.param("20000", 1, id="a fifth of a core is one"),
        pytest.param("99999900000", AFFINITY, id="more than the affinity mask has"),
        pytest.param("-1", AFFINITY, id="no quota"),
    ],
)
def test_the_lesser_of_a_cgroup_v1_quota_and_the_affinity_counts(tmp_path, quota, cores):
    write_v1(tmp_path, quota)
    assert available_cores(tmp_path) == cores


def test_a_cgroup_v1_period_is_taken_into_account(tmp_path):
    write_v1(tmp_path, "50000", "50000")
    assert available_cores(tmp_path) == 1


def test_without_a_cgroup_the_affinity_counts(tmp_path):
    assert available_cores(tmp_path) == AFFINITY


@pytest.mark.skipif(AFFINITY < 2, reason="needs two cores to take one away")
def test_an_affinity_mask_of_one_core_leaves_one(tmp_path):
    mask = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(mask)})
    try:
        assert available_cores(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, mask)
