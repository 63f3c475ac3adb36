"""What it costs that other nodes can go on with a session, store by store in one run.

    python -m benchmarks.sharing
    python -m benchmarks.sharing --sessions 300 --calm 8 --stores memory,valkey

On the stage of `benchmarks.usual`: a sidecar that answers at once, one core for the gateway, the other one
for clients, sidecar and stores. Once all sessions are live, what the gateway and the servers behind it have
counted is read twice, `CALM_S` apart: ten frames, one window and two events for each session's second.
Latencies are those of the whole run. The stores take turns, `ROUNDS` times; of each the run is told whose
gateway took the median of CPU, as a neighbour's noise shouldn't decide. What a session takes in Valkey's
memory is told as it is then, and as it grows.

The takeover is another run: two nodes on one Valkey, one of them killed, and its clients go to the other one
at once, without the pause that real ones make.
"""

import argparse
import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from benchmarks.cpu import cpu_s
from benchmarks.rows import Row, table
from benchmarks.sharing_servers import (
    Postgres,
    Reading,
    Valkey,
    database,
    there_is_postgres,
    there_is_valkey,
    valkey,
)
from benchmarks.takeover import takeovers
from benchmarks.usual import STARTS_A_SECOND, Stage, gauge, reporting, said, stage

SESSIONS: Final = 500
CALM_S: Final = 12.0
ROUNDS: Final = 3
SETTLE_S: Final = 6.0
"""Seconds from the last session's start to the first figure: attaches and their burst are over."""
SLACK_S: Final = 4.0
PATIENCE_S: Final = 60.0
MEMORY: Final = "memory"
VALKEY: Final = "valkey"
BOTH: Final = "valkey+postgres"
POSTGRES: Final = "postgres"
STORES: Final = (MEMORY, VALKEY, BOTH, POSTGRES)

CPU: Final = "CPU of the gateway"
RSS: Final = "RSS of the gateway"
_LATENCIES: Final = {"event latency p50": "p50", "event latency p99": "p99", "median of 1 s p99s": "calm_p99"}


@dataclass(frozen=True, slots=True)
class Behind:
    """The servers of one store."""

    valkey: Valkey | None = None
    postgres: Postgres | None = None

    @property
    def settings(self) -> dict[str, str]:
        """What points a gateway there."""
        found = {"STORE": MEMORY}
        if self.postgres is not None:
            found |= {"STORE": POSTGRES, "DATABASE_URL": self.postgres.url}
        if self.valkey is not None:
            found |= {"STORE": self.valkey.url}
        return found


@dataclass(frozen=True, slots=True)
class Seen:
    """What one store came to."""

    sessions: int
    seconds: float
    cpu_us: float
    """Of the gateway, for a session's second."""
    report: Mapping[str, Any]
    """As of `undertone load --json`."""
    valkey: tuple[Reading, Reading, Reading] | None = None
    """Before any session, and around the time that was measured."""
    postgres: tuple[Reading, Reading, Reading] | None = None


def rows(
    sessions: int = SESSIONS, calm_s: float = CALM_S, stores: Sequence[str] = STORES, rounds: int = ROUNDS
) -> list[Row]:
    """Takes half a minute for each store and round; stores that are not installed here are left out."""
    there = [name for name in stores if _installed(name)]
    with stage() as here:
        seen: dict[str, list[Seen]] = {name: [] for name in there}
        for _ in range(rounds):
            for name in there:
                with _behind(name, here.other_core) as behind:
                    seen[name].append(_measured(here, behind, sessions, calm_s))
        found = compared({name: _median(runs) for name, runs in seen.items()})
        if VALKEY in there:
            with valkey(here.other_core) as one:
                found += takeovers(here, {"STORE": one.url})
    return found


def compared(seen: Mapping[str, Seen]) -> list[Row]:
    """What each store came to, beside memory where that was measured, too."""
    base = seen.get(MEMORY)
    found: list[Row] = []
    for name, one in seen.items():
        found += _figures(name, one, None if one is base else base)
    return found


def _median(runs: Sequence[Seen]) -> Seen:
    """The calmer one of two."""
    return sorted(runs, key=lambda one: one.cpu_us)[(len(runs) - 1) // 2]


def _installed(name: str) -> bool:
    return (VALKEY not in name or there_is_valkey()) and (POSTGRES not in name or there_is_postgres())


@contextlib.contextmanager
def _behind(name: str, core: int) -> Iterator[Behind]:
    with contextlib.ExitStack() as stack:
        yield Behind(
            stack.enter_context(valkey(core)) if VALKEY in name else None,
            stack.enter_context(database(core)) if POSTGRES in name else None,
        )


def _measured(here: Stage, behind: Behind, sessions: int, calm_s: float) -> Seen:
    ramp_s = max(2, sessions // STARTS_A_SECOND)
    duration = ramp_s + SETTLE_S + calm_s + SLACK_S
    tool = ("gateway", "load", "--json", "--ramp", f"{ramp_s}", "--duration", f"{duration:g}")
    with here.serving(more=behind.settings) as (url, pid):
        empty = _readings(behind)
        more = ("--sessions", f"{sessions}", "--url", url, "--pid", f"{pid}")
        with reporting(*tool, *more, core=here.other_core) as clients:
            try:
                _await_live(url, sessions)
                if behind.postgres is not None:
                    behind.postgres.pin(here.other_core)
                time.sleep(SETTLE_S)
                begun, before = time.monotonic(), cpu_s(pid)
                first = _readings(behind)
                time.sleep(calm_s)
                passed, used = time.monotonic() - begun, cpu_s(pid) - before
                last = _readings(behind)
                report = said(clients)
            except BaseException:
                clients.kill()
                raise
    three = [None if one[0] is None else one for one in zip(empty, first, last, strict=True)]
    return Seen(sessions, passed, 1e6 * used / (passed * sessions), report, *three)  # type: ignore[arg-type]


def _readings(behind: Behind) -> tuple[Reading | None, Reading | None]:
    return (
        None if behind.valkey is None else behind.valkey.read(),
        None if behind.postgres is None else behind.postgres.read(),
    )


def _await_live(url: str, sessions: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):  # it may be busy with all of them
            if int(gauge(url, "undertone_sessions", state="live")) >= sessions:
                return
        time.sleep(0.2)
    raise RuntimeError(f"not all of {sessions} sessions came")


def _figures(name: str, seen: Seen, base: Seen | None) -> Iterator[Row]:
    """Of one store, those of the gateway beside memory's."""
    yield _beside(f"{name}: {CPU}", "µs/session-second", seen.cpu_us, None if base is None else base.cpu_us)
    rss, other = (
        None if one is None else one.report["server"]["rss_kib_per_session"] for one in (seen, base)
    )
    yield _beside(f"{name}: {RSS}", "KiB/session", rss or 0.0, other)
    for label, key in _LATENCIES.items():
        ours, theirs = _latency(seen, key), None if base is None else _latency(base, key)
        if ours is not None:
            yield _beside(f"{name}: {label}", "ms", ours, theirs)
            if theirs is not None and key != "calm_p99":
                yield Row(f"{name}: added to {label}", ours - theirs, "ms")
    told = seen.report
    missing = seen.sessions * int(told["duration_s"]) - int(told["events"].get("tone", 0))
    yield Row(f"{name}: windows without an event", missing, "windows")
    yield Row(f"{name}: sessions failed", told["failed"], "sessions")
    if seen.valkey is not None:
        yield from _of_valkey(f"{name}, Valkey", seen.sessions, *seen.valkey)
    if seen.postgres is not None:
        yield from _of_postgres(f"{name}, PostgreSQL", seen.sessions, *seen.postgres)


def _beside(name: str, unit: str, value: float, other: float | None) -> Row:
    if not other:
        return Row(name, value, unit)
    return Row(name, value, unit, f"{MEMORY}: {name.partition(': ')[2]}", value / other)


def _latency(seen: Seen, key: str) -> float | None:
    """None where the clients were short of CPU themselves."""
    found = ((seen.report["latency_ms"] or {}).get("all") or {}).get(key)
    return None if found is None else float(found)


def _of_valkey(name: str, sessions: int, empty: Reading, first: Reading, last: Reading) -> Iterator[Row]:
    unit = "/session-second"
    yield Row(f"{name}: CPU", 1e6 * last.busy_since(first) / sessions, f"µs{unit}")
    for what in ("round trips", "functions", "commands"):
        yield Row(f"{name}: {what}", last.since(first, what) / sessions, f"{what}{unit}")
    for what in ("bytes in", "bytes out"):
        yield Row(f"{name}: {what}", last.since(first, what) / sessions, f"bytes{unit}")
    held = last.figures["memory"] - empty.figures["memory"]
    yield Row(f"{name}: memory of a session by then", held / sessions / 1024, "KiB/session")
    yield Row(f"{name}: its growth", 60 * last.since(first, "memory") / sessions / 1024, "KiB/session-minute")


def _of_postgres(name: str, sessions: int, _: Reading, first: Reading, last: Reading) -> Iterator[Row]:
    unit = "/session-minute"
    yield Row(f"{name}: CPU", 1e6 * last.busy_since(first) / sessions, "µs/session-second")
    yield Row(f"{name}: rows written", 60 * last.since(first, "rows") / sessions, f"rows{unit}")
    yield Row(f"{name}: WAL", 60 * last.since(first, "wal") / sessions / 1024, f"KiB{unit}")
    yield Row(f"{name}: growth of its files", 60 * last.since(first, "size") / sessions / 1024, f"KiB{unit}")
    yield Row(f"{name}: transactions", last.since(first, "transactions"), "transactions/s")


if __name__ == "__main__":
    os.environ.setdefault("NO_PROXY", "*")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharing")
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--calm", type=float, default=CALM_S, metavar="SECONDS", help="what is measured")
    parser.add_argument("--stores", default=",".join(STORES), help=f"of {', '.join(STORES)}, comma-separated")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    print(table(rows(given.sessions, given.calm, given.stores.split(","), given.rounds)))
