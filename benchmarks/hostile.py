"""Hostile peers against one gateway, and what a hundred honest clients notice of them.

    python -m benchmarks.hostile

The gateway is pinned to the first core it may use; neighbours and attackers share the last, the attackers
with the lower priority, so that what the neighbours measure is the gateway. The round trip is that of a
`ping` message between real-time audio, and includes the neighbours' own process. It takes some 90 s.
"""

import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager

from benchmarks.rows import Row, table
from benchmarks.usual import open_files
from tests.chaos.dawdlers import Dawdlers, Ends
from tests.chaos.floods import FLOODS, Cut, flood
from tests.chaos.footprint import footprint
from tests.chaos.frames import text
from tests.chaos.heads import BOMBS, throw
from tests.chaos.malformed import REFUSALS, endless
from tests.chaos.neighbours import Neighbours, Report
from tests.chaos.raw import RawPeer
from tests.e2e.conftest import GatewayProcess, start_gateway

NEIGHBOURS = 100
CALM_S = 10.0
MALFORMED, EACH, AT_ONCE = 10_000, 200, 50
FLOODERS, FLOODED_S = 10, 20.0
DAWDLERS, DAWDLE_S, NEWCOMERS = 2_000, 14.0, 50
MIB = 1024 * 1024

CALM, CONTROLS, FLOODED, BOMBED, SLOW = (
    "calm",
    "malformed messages",
    "floods",
    "header bombs",
    "slow handshakes",
)


def rows() -> list[Row]:
    """One run, one attack after the other."""
    open_files()
    cores = sorted(os.sched_getaffinity(0))
    gateway = start_gateway(TRANSCRIBER="none", CLASSIFY_WORKERS="1", LOG_LEVEL="warning")
    try:
        _pin(gateway.pid, cores[0])
        with (
            _attacker(cores[-1]) as attacker,
            Neighbours(gateway.ws_url, NEIGHBOURS, core=cores[-1]) as beside,
        ):
            attacks = _Attacks(gateway, attacker, beside)
            found = [row for attack in attacks.all() for row in attack()]
        found += _round_trips(beside.report)
    finally:
        gateway.stop()
    worse = sum('"level":"warning"' in line or '"level":"error"' in line for line in gateway.log)
    return [*found, Row("warnings and errors logged", worse, "lines")]


class _Attacks:
    """Each method is one attack, and returns what it found."""

    def __init__(self, gateway: GatewayProcess, attacker: ProcessPoolExecutor, beside: Neighbours) -> None:
        self._gateway = gateway
        self._attacker = attacker
        self._beside = beside
        self._port = gateway.port

    def all(self) -> Sequence[Callable[[], list[Row]]]:
        """In their order."""
        return (self.none, self.malformed, self.floods, self.bombs, self.slow)

    def none(self) -> list[Row]:
        """What there is to compare with."""
        self._attacker.submit(_malformed, self._port, EACH * 5).result()  # what grows once, grows here
        self._beside.phase(CALM)
        time.sleep(CALM_S)
        return []

    def malformed(self) -> list[Row]:
        """Control messages that are mistakes, lies and bombs."""
        self._beside.phase(CONTROLS)
        before = self._rss()
        answered = self._attacker.submit(_malformed, self._port, MALFORMED).result()
        return [
            Row(f"{CONTROLS} answered with a typed error", answered, f"of {MALFORMED:,}"),
            Row(f"{CONTROLS}: RSS grown", (self._rss() - before) / MIB, "MiB"),
        ]

    def floods(self) -> list[Row]:
        """Flooders of every manner, who come back as soon as they are cut."""
        self._beside.phase(FLOODED)
        before = self._rss()
        cuts = self._attacker.submit(_floods, self._port).result()
        told = [cut.told_s for cut in cuts if cut.told_s is not None]
        return [
            Row(f"{FLOODED}: connections of {FLOODERS} flooders", len(cuts), "connections"),
            Row(f"{FLOODED}: cut without a close frame", len(cuts) - len(told), "connections"),
            Row(f"{FLOODED}: closed after, median", statistics.median(told), "s"),
            Row(f"{FLOODED}: closed after, most", max(told), "s"),
            Row(f"{FLOODED}: gone after, most", max(cut.gone_s for cut in cuts), "s"),
            Row(f"{FLOODED}: RSS grown", (self._rss() - before) / MIB, "MiB"),
        ]

    def bombs(self) -> list[Row]:
        """Requests that are too large, some without an end."""
        self._beside.phase(BOMBED)
        before = self._rss()
        blasts = self._attacker.submit(_bombs, self._port).result()
        return [
            Row(f"{BOMBED}: gone after, most", max(blasts), "s"),
            Row(f"{BOMBED}: RSS grown", (self._rss() - before) / MIB, "MiB"),
        ]

    def slow(self) -> list[Row]:
        """Silent sockets and requests byte by byte, while others come in."""
        self._beside.phase(SLOW)
        before = self._rss()
        dawdling = self._attacker.submit(_dawdle, self._port)
        self._wait_for_dawdlers()
        most, waits = self._rss(), []
        for _ in range(NEWCOMERS):
            began = time.monotonic()
            with RawPeer.dial(self._port):
                waits.append(time.monotonic() - began)
            time.sleep(0.05)
        most = max(most, self._rss())
        ends = dawdling.result()
        stays = [stay for stays in ends.stayed_s.values() for stay in stays]
        return [
            Row(f"{SLOW}: let go in time", len(stays), f"of {DAWDLERS:,}"),
            Row(f"{SLOW}: heads let go after, most", max(ends.heads_s), "s"),
            Row(f"{SLOW}: bodies let go after, most", max(ends.bodies_s), "s"),
            Row(f"{SLOW}: RSS grown", (most - before) / MIB, "MiB"),
            Row(f"{SLOW}: newcomers welcomed", len(waits), f"of {NEWCOMERS}"),
            Row(f"{SLOW}: newcomers welcomed after, most", max(waits), "s"),
        ]

    def _wait_for_dawdlers(self) -> None:
        deadline = time.monotonic() + DAWDLE_S
        while footprint(self._gateway.pid).descriptors < DAWDLERS * 0.7 and time.monotonic() < deadline:
            time.sleep(0.1)

    def _rss(self) -> int:
        return footprint(self._gateway.pid).rss


def _round_trips(report: Report) -> Iterator[Row]:
    calm = report.round_trips[CALM].p99
    first = f"{CALM}: round trip p99"
    yield Row("neighbours", report.neighbours, "clients")
    yield Row("neighbours: pongs missing", report.pings - report.pongs, f"of {report.pings:,}")
    yield Row("neighbours: samples lost", report.sent_samples - report.received_samples, "samples")
    yield Row("neighbours: samples in gaps", report.gap_samples, "samples")
    yield Row("neighbours: connections lost", report.lost, "clients")
    for phase in (CALM, CONTROLS, FLOODED, BOMBED, SLOW):
        trip = report.round_trips[phase]
        compared = (None, None) if phase == CALM else (first, trip.p99 / calm)
        yield Row(f"{phase}: round trip p50", trip.p50, "ms")
        yield Row(f"{phase}: round trip p99", trip.p99, "ms", *compared)
        yield Row(f"{phase}: round trip, median of 1 s p99s", trip.calm_p99, "ms")


# In the attacker's process ---------------------------------------------------------------------------------


@contextmanager
def _attacker(core: int) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_lower, initargs=(core,)) as pool:
        yield pool


def _lower(core: int) -> None:
    os.nice(10)
    _pin(0, core)


def _malformed(port: int, count: int) -> int:
    """How many of `count` were answered by a typed error."""
    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(lambda seed: _refused(port, seed), range(count // EACH)))


def _refused(port: int, seed: int) -> int:
    messages, refused = list(itertools.islice(endless(seed), EACH)), 0
    with RawPeer.dial(port) as peer:
        for at in range(0, EACH, AT_ONCE):
            some = messages[at : at + AT_ONCE]
            peer.send(b"".join(text(message) for message in some))
            refused += sum(peer.until("error")["code"] in REFUSALS for _ in some)
    return refused


def _floods(port: int) -> list[Cut]:
    deadline = time.monotonic() + FLOODED_S
    turns = itertools.cycle(FLOODS.values())

    def persist(_: int) -> list[Cut]:
        cuts = []
        while time.monotonic() < deadline:
            cuts.append(flood(port, next(turns)))
        return cuts

    with ThreadPoolExecutor(FLOODERS) as pool:
        return [cut for cuts in pool.map(persist, range(FLOODERS)) for cut in cuts]


def _bombs(port: int) -> list[float]:
    with ThreadPoolExecutor(6) as pool:
        return [blast.seconds for blast in pool.map(lambda bomb: throw(port, bomb), BOMBS.values())]


def _dawdle(port: int) -> Ends:
    dawdlers = Dawdlers(port, DAWDLERS)
    try:
        dawdlers.wait(DAWDLE_S)
    finally:
        dawdlers.close()
    return dawdlers.ends


def _pin(pid: int, core: int) -> None:
    os.sched_setaffinity(pid, {core})


if __name__ == "__main__":
    print(table(rows()))
