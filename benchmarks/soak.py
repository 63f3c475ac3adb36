"""Five minutes of coming and going: what is left of it afterwards.

    python -m benchmarks.soak
    python -m benchmarks.soak --seconds 3600

Callers speak for some seconds each, over connections that are cut now and then; all the time about as many
are there, always others. Each half minute everybody leaves, and when the gateway has forgotten them its
memory is looked at: while sessions are there, what it holds of them would hide a leak.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.rows import Row, table
from tests.chaos.callers import Account, Call, Speaker, Voice, crowd
from tests.chaos.footprint import Footprint, footprint, gauges
from tests.chaos.proxy import Proxy
from tests.chaos.storm import Storm
from tests.e2e.conftest import GatewayProcess, start_gateway

CALLERS = 40
"""At a time."""
CALL_S = 3.0
ROUNDS = 4
"""Of callers, from one rest to the next."""
SECONDS = 300.0
WARM_UP_S = 60.0
RETENTION_S = 1.0
"""Seconds that an ended session can be read; with the default each rest would take fifteen minutes."""
FORGOTTEN_S = 10.0
"""Seconds within which nothing may be left of any session."""
LOOK_S = 0.1
SETTLED_S = 1.0
HALVED_S = 1_200.0
"""From this long on the second half is told by itself: of a few minutes it would be noise."""
MIB = 1024 * 1024


@dataclass(slots=True)
class Soak:
    """What was seen."""

    calls: list[Call] = field(default_factory=list)
    looks: list[tuple[float, int, Footprint]] = field(default_factory=list)
    """Each rest: when (monotonic seconds), after how many calls, and what the gateway held."""


def rows(seconds: float = SECONDS) -> list[Row]:
    """Takes about a minute more than `seconds`."""
    gateway = start_gateway(TRANSCRIBER="none", CLOSED_RETENTION_S=str(RETENTION_S))
    try:
        soak = asyncio.run(_soak(gateway, seconds))
    finally:
        gateway.stop()
    account, looks = Account.of(soak.calls), soak.looks
    for fault in account.faults:
        print(fault, file=sys.stderr)
    times = [at for at, _, _ in looks]
    sizes = [held.rss / MIB for _, _, held in looks]
    descriptors = [held.descriptors for _, _, held in looks]
    figures = {
        "sessions that came and went": (account.calls, "sessions"),
        "of these after the warm-up": (looks[-1][1] - looks[0][1], "sessions"),
        "connections cut": (account.resumes, "connections"),
        "accounts that don't add up": (len(account.faults), "faults"),
        "RSS at rest, after the warm-up": (sizes[0], "MiB"),
        "RSS at rest, in the end": (sizes[-1], "MiB"),
        "slope of it": (_slope(times, sizes), "MiB/h"),
        "descriptors at rest, most over fewest": (max(descriptors) - min(descriptors), "descriptors"),
    }
    if seconds >= HALVED_S:
        half = len(looks) // 2
        figures["slope of its second half"] = (_slope(times[half:], sizes[half:]), "MiB/h")
    return [Row(name, float(value), unit) for name, (value, unit) in figures.items()]


def _slope(times: Sequence[float], sizes: Sequence[float]) -> float:
    """MiB an hour."""
    return statistics.linear_regression(times, sizes).slope * 3_600


async def _soak(gateway: GatewayProcess, seconds: float) -> Soak:
    soak, voice, storm = Soak(), Voice(), Storm(seed=18, every_s=(1.0, 6.0))
    began = time.monotonic()
    async with Proxy(gateway.port, script=storm) as proxy:
        while time.monotonic() < began + WARM_UP_S + seconds:
            for _ in range(ROUNDS):
                speakers = [Speaker(proxy.ws_url, CALL_S, voice) for _ in range(CALLERS)]
                soak.calls += await crowd(speakers, ramp_s=CALL_S)
            await _forgotten(gateway)
            if time.monotonic() >= began + WARM_UP_S:
                soak.looks.append((time.monotonic(), len(soak.calls), footprint(gateway.pid)))
    return soak


async def _forgotten(gateway: GatewayProcess) -> None:
    for _ in range(round(FORGOTTEN_S / LOOK_S)):
        if not any(count for name, count in gauges(gateway.url).items() if name.startswith(_HELD)):
            break
        await asyncio.sleep(LOOK_S)
    else:
        raise TimeoutError(f"after {FORGOTTEN_S:g} s there still are sessions")
    await asyncio.sleep(SETTLED_S)


_HELD = "undertone_sessions{"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    print(table(rows(parser.parse_args().seconds)))
