"""How many CPU cores this process may use: its affinity, and the quota of its control group.

A container with a quota of half a core still sees every core of the machine; workers for all of them would
only take the quota from each other.
"""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path("/")


def usable_cores(root: Path = ROOT) -> int:
    """CPU cores this process may run on, at least one; a part of one counts as one."""
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), quota_cores(root))))


def quota_cores(root: Path = ROOT) -> float:
    """Cores' worth of time that this process's control groups allow; infinite where none says.

    A group is bounded by those above it, too. Version 2 has one tree; of version 1 the controller `cpu`.
    """
    try:
        listing = (root / "proc/self/cgroup").read_text(encoding="utf-8")
    except OSError:
        return math.inf
    found = math.inf
    for line in listing.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            found = min(found, _least(root / "sys/fs/cgroup", path, _of_v2))
        elif "cpu" in controllers.split(","):
            found = min(found, _least(root / "sys/fs/cgroup/cpu", path, _of_v1))
    return found


def _least(top: Path, path: str, read: Callable[[Path], float]) -> float:
    """The least that the group at `path` and those above it allow."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return min(read(top.joinpath(*parts[:depth])) for depth in range(len(parts) + 1))


def _of_v2(group: Path) -> float:
    words = _text(group / "cpu.max").split()
    return _ratio(words[0], words[1]) if len(words) == 2 else math.inf


def _of_v1(group: Path) -> float:
    return _ratio(_text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> float:
    try:
        allowed, each = int(quota), int(period)
    except ValueError:  # `max`, or nothing at all
        return math.inf
    return allowed / each if allowed > 0 and each > 0 else math.inf


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
