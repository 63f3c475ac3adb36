"""CPU time and memory of a process and its children, from Linux's /proc (proc(5))."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used up to one moment."""

    cpu_s: float
    """Seconds of CPU, user and system, of the process itself"""
    rss: int
    """Bytes resident, of the process itself"""
    children_cpu_s: float
    """Seconds of CPU of its living descendants (decoders run there)"""
    children_rss: int
    """Bytes resident, of its living descendants"""


def usage(pid: int, root: Path = Path("/proc")) -> Usage:
    """Read it now. Raises OSError where there is no such process (or no /proc)."""
    cpu_s, rss = _one(pid, root)
    children_cpu_s, children_rss = 0.0, 0
    for child in _descendants(pid, root):
        try:
            child_cpu_s, child_rss = _one(child, root)
        except OSError:  # it ended meanwhile
            continue
        children_cpu_s += child_cpu_s
        children_rss += child_rss
    return Usage(cpu_s, rss, children_cpu_s, children_rss)


def _one(pid: int, root: Path) -> tuple[float, int]:
    # The command's name stands in parentheses and may hold anything, spaces and parentheses included.
    fields = (root / str(pid) / "stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) * _TICK_S
    return cpu_s, int((root / str(pid) / "statm").read_text().split()[1]) * _PAGE


def _descendants(pid: int, root: Path) -> list[int]:
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for listing in (root / str(waiting.pop()) / "task").glob("*/children"):
            try:
                children = [int(word) for word in listing.read_text().split()]
            except OSError:
                continue
            found += children
            waiting += children
    return found
