"""The servers behind nodes that share their sessions, and what they count by themselves. Linux.

Redis (which speaks Valkey's protocol) keeps nothing on a disk here; PostgreSQL is as its defaults are, WAL
and all. Both run on the core that they are given, in temporary folders, and are gone at the end.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.cpu import cpu_s
from tests import postgres, stores

_WRITTEN: Final = (
    "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn, sum(tup_inserted + tup_updated + tup_deleted),"
    " sum(xact_commit), sum(pg_database_size(datname)) FROM pg_stat_database WHERE datname IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a server has counted up to a moment; of some figures only how they are then."""

    at: float
    cpu_s: float
    figures: dict[str, float] = field(default_factory=dict)

    def since(self, before: "Reading", name: str) -> float:
        """How much more of a figure there is, per second."""
        return (self.figures[name] - before.figures[name]) / (self.at - before.at)

    def busy_since(self, before: "Reading") -> float:
        """Seconds of CPU per second."""
        return (self.cpu_s - before.cpu_s) / (self.at - before.at)


@dataclass(frozen=True, slots=True)
class Valkey:
    """The hot store."""

    server: stores.Server

    @property
    def url(self) -> str:
        return self.server.url

    def read(self) -> Reading:
        """What `INFO` tells; replies are round trips as long as one write holds all of a pipeline's."""
        told = dict(
            line.split(":", 1) for line in self.server.cli("INFO", "everything").splitlines() if ":" in line
        )
        calls = {
            name: float(dict(one.split("=", 1) for one in stats.split(","))["calls"])
            for name, stats in told.items()
            if name.startswith("cmdstat_")
        }
        figures = {
            "round trips": float(told["total_writes_processed"]),
            "functions": sum(calls.get(f"cmdstat_{name}", 0.0) for name in ("fcall", "fcall_ro")),
            "commands": sum(calls.values()),
            "bytes in": float(told["total_net_input_bytes"]),
            "bytes out": float(told["total_net_output_bytes"]),
            "memory": float(told["used_memory"]),
        }
        return Reading(time.monotonic(), cpu_s(self.server.process.pid), figures)


@dataclass(frozen=True, slots=True)
class Postgres:
    """The audit trail, or all there is."""

    server: postgres.Server

    @property
    def url(self) -> str:
        return self.server.url()

    def read(self) -> Reading:
        """What its statistics tell, which come up to a second late."""
        command = ["psql", "-AtX", "-F", " ", "-d", self.url, "-c", _WRITTEN]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        names = ("wal", "rows", "transactions", "size")
        return Reading(time.monotonic(), self._cpu_s(), dict(zip(names, map(float, told), strict=True)))

    def pin(self, core: int) -> None:
        """All of it to one core, backends to come included."""
        for one in self._processes():
            subprocess.run(["taskset", "-pc", f"{core}", f"{one}"], capture_output=True, check=False)

    def _cpu_s(self) -> float:
        found = 0.0
        for one in self._processes():
            try:
                found += cpu_s(one)
            except OSError:
                continue  # a backend that has just ended
        return found

    def _processes(self) -> Iterator[int]:
        """The postmaster and its children."""
        parent = (self.server.data / "postmaster.pid").read_text().split()[0]
        yield int(parent)
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[1] == parent:
                yield int(stat.parent.name)


def there_is_valkey() -> bool:
    """Whether both programs are installed."""
    return bool(shutil.which("redis-server") and shutil.which("redis-cli"))


def there_is_postgres() -> bool:
    """Whether its programs and the driver are installed."""
    try:
        import asyncpg  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        return False
    debian = any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return bool(shutil.which("psql") and (shutil.which("initdb") or debian))


@contextmanager
def valkey(core: int) -> Iterator[Valkey]:
    """An empty one."""
    folder = Path(tempfile.mkdtemp(prefix="undertone-benchmark-"))
    try:
        with stores.server(folder) as server:
            subprocess.run(
                ["taskset", "-apc", f"{core}", f"{server.process.pid}"], capture_output=True, check=False
            )
            yield Valkey(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(core: int) -> Iterator[Postgres]:
    """An empty one that is as careful as PostgreSQL is by default."""
    careful = ("fsync=on", "full_page_writes=on", "synchronous_commit=on", "shared_buffers=256MB", "jit=off")
    server = postgres.Server(*careful)
    try:
        server.start()
        made = Postgres(server)
        made.pin(core)
        yield made
    finally:
        server.close()
