"""The CPU cores that this process may use."""

import os
from pathlib import Path

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""The limit on CPU time of this process's control group (cgroup v2), as a container sees it."""


def usable_cores(*, pinned_to: int | None = None, quota: Path = CPU_QUOTA) -> int:
    """Return how many CPU cores this process has, at least 1.

    Args:
        pinned_to: how many cores it may run on; by default, what the system says.
        quota: a file of cgroup v2: `QUOTA PERIOD`, both in microseconds. In each period, the process may use as much
            CPU time as the quota, which may be `max`.
    """
    count = len(os.sched_getaffinity(0)) if pinned_to is None else pinned_to
    try:
        quota_us, period_us = quota.read_text().split()
        return max(1, min(count, int(quota_us) // int(period_us)))
    except (OSError, ValueError):  # no such file, or `max`: there is no quota
        return count
