"""What a process holds: from Linux's /proc (proc(5)) and from its metrics."""

import os
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway.commands.procfs import usage


@dataclass(frozen=True, slots=True)
class Footprint:
    """One moment."""

    descriptors: int
    """Open files and sockets."""
    threads: int
    rss: int
    """Bytes resident, without the process's children."""


def footprint(pid: int) -> Footprint:
    """What process `pid` holds now."""
    base = Path(f"/proc/{pid}")
    return Footprint(
        descriptors=len(os.listdir(base / "fd")),
        threads=len(os.listdir(base / "task")),
        rss=usage(pid).rss,
    )


def gauges(url: str, prefix: str = "undertone_") -> dict[str, float]:
    """The gateway's metrics by name, labels included."""
    text = httpx.get(f"{url}/metrics", trust_env=False, timeout=10).text
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith(prefix))
    return {name: float(value) for name, _, value in lines}
