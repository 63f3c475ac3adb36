"""How many cores a process may use, where a control group says less than its affinity."""

import math
import os
from pathlib import Path

import pytest

from gateway.config.cores import quota_cores, usable_cores


def tree(root: Path, files: dict[str, str]) -> Path:
    """A file system with these files."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, math.inf),
        ({"proc/self/cgroup": "0::/\n"}, math.inf),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, math.inf),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n"}, 0.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4.0),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/a\n0::/\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/a\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
            },
            math.inf,
        ),
        ({"proc/self/cgroup": "garbage", "sys/fs/cgroup/cpu.max": "much 0"}, math.inf),
        ({"proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/cpu.max": "0 0"}, math.inf),
    ],
)
def test_a_quota_is_read(tmp_path: Path, files: dict[str, str], expected: float) -> None:
    """Of either version, of the group or one above it; what can't be understood bounds nothing."""
    assert quota_cores(tree(tmp_path, files)) == expected


def test_a_part_of_a_core_is_one(tmp_path: Path) -> None:
    """And no quota gives more cores than the affinity does."""
    own = len(os.sched_getaffinity(0))
    at = {"proc/self/cgroup": "0::/\n"}
    assert usable_cores(tree(tmp_path, at)) == own
    assert usable_cores(tree(tmp_path, at | {"sys/fs/cgroup/cpu.max": "50000 100000"})) == 1
    assert usable_cores(tree(tmp_path, at | {"sys/fs/cgroup/cpu.max": "99900000 100000"})) == own
