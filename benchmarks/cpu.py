"""CPU time of a process by the nanosecond, from Linux's schedstat; clock ticks are 10 ms."""

from pathlib import Path

from gateway.commands.procfs import usage


def cpu_s(pid: int, root: Path = Path("/proc")) -> float:
    """Seconds of CPU, user and system, of its living threads; in ticks where the kernel keeps no schedstat.

    Of a thread that ended meanwhile nothing is told. Raises OSError where there is no such process.
    """
    found = [one.read_text().split() for one in (root / str(pid) / "task").glob("*/schedstat")]
    if not found:
        return usage(pid, root).cpu_s
    return sum(int(fields[0]) for fields in found) / 1e9
