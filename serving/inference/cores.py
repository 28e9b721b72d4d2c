"""How many cores this process may use.

Owns the reading of the affinity mask and of the cgroup's CPU quota. Does not know what the cores are used for. The
host's core count is never the answer in a container: threads beyond the quota only wait for each other.
"""

import math
import os
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")


def available_cores(cgroup_root: Path = CGROUP_ROOT) -> int:
    """Cores by the affinity mask and the cgroup quota (v2 `cpu.max`, v1 `cpu.cfs_*`), the lesser; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota_cores(cgroup_root)
    return max(1, min(affinity, math.ceil(quota))) if quota is not None else affinity


def _quota_cores(root: Path) -> float | None:
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota in {"max", "-1"}:
        return None
    return int(quota) / int(period)
