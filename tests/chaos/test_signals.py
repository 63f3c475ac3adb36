"""Signals reach the process they are meant for, and only one that is there."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.footprint import footprint
from tests.chaos.signals import Started, frozen, kill, terminate

_WAITS = "print('up', flush=True); import sys; sys.stdin.read()"


@pytest.fixture
def process() -> Iterator[Started]:
    """One that waits."""
    with subprocess.Popen(
        [sys.executable, "-c", _WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        yield running
        running.kill()


def state(process: Started) -> str:
    """As in proc_pid_stat(5): S sleeps, T is stopped."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0]


def test_frozen_until_the_end_of_the_block(process: Started) -> None:
    """Also where the block fails."""
    seen = []
    with contextlib.suppress(KeyError), frozen(process):
        seen.append(state(process))
        raise KeyError
    assert seen == ["T"]
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=10) == 0


def test_killed_is_gone(process: Started) -> None:
    """When the call returns, not some time later."""
    kill(process)
    assert process.returncode == -9


def test_nobody_is_signalled_twice(process: Started) -> None:
    """The number of a process that has ended may be another's by now."""
    terminate(process)
    process.wait(timeout=10)
    for send in (terminate, kill):
        with pytest.raises(ProcessLookupError):
            send(process)


def test_its_footprint(process: Started) -> None:
    """Three standard streams, one thread, some memory."""
    found = footprint(process.pid)
    assert found.descriptors == 3
    assert found.threads == 1
    assert 1_000_000 < found.rss < 100_000_000
