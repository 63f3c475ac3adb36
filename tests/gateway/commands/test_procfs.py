"""Reading /proc: our own process, its children, and names made to mislead."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.commands.procfs import usage
from tests.needs import need_file


def test_own_process() -> None:
    """Our own CPU time and memory are what the operating system says elsewhere."""
    need_file("/proc/self/stat")
    told = usage(os.getpid())
    times = os.times()
    assert told.cpu_s == pytest.approx(times.user + times.system, abs=0.1)
    assert 5 << 20 < told.rss < 4 << 30


def test_children_are_counted_apart() -> None:
    """A child's memory is told, but not as the process's own."""
    need_file("/proc/self/task")
    before = usage(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        during = usage(os.getpid())
        assert during.children_rss > before.children_rss
        assert child.stdin is not None
        child.stdin.close()
    assert usage(os.getpid()).children_rss == before.children_rss


def test_any_command_name_is_survived(tmp_path: Path) -> None:
    """A name with spaces and parentheses does not shift the fields."""
    folder = tmp_path / "7"
    folder.mkdir()
    fields = "S " + " ".join(["0"] * 10) + " 250 50 " + " ".join(["0"] * 30)
    (folder / "stat").write_text(f"7 (a) b (c)) {fields}")
    (folder / "statm").write_text("1000 10 5 1 0 1 0")
    told = usage(7, tmp_path)
    assert told.cpu_s == pytest.approx(300 / os.sysconf("SC_CLK_TCK"))
    assert told.rss == 10 * os.sysconf("SC_PAGE_SIZE")


def test_grandchildren_count_too(tmp_path: Path) -> None:
    """A decoder started by a child is part of the server's cost; one that just ended is passed over."""
    for pid, children in ((1, "2"), (2, "3 4"), (3, "")):
        folder = tmp_path / str(pid) / "task" / str(pid)
        folder.mkdir(parents=True)
        (folder / "children").write_text(children)
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (x) S " + " ".join(["0"] * 10) + " 100 0 0")
        (tmp_path / str(pid) / "statm").write_text("9 3 1")
    told = usage(1, tmp_path)
    assert told.children_rss == 2 * 3 * os.sysconf("SC_PAGE_SIZE")
    assert told.children_cpu_s == pytest.approx(2 * told.cpu_s)


def test_no_such_process(tmp_path: Path) -> None:
    """A process that is gone is an OSError, for the caller to tell."""
    with pytest.raises(OSError, match="No such file"):
        usage(1, tmp_path)
