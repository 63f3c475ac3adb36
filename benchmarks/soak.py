"""Five minutes of coming and going: what is left of it afterwards.

    python -m benchmarks.soak

Callers speak for some seconds each, over connections that are cut now and then; all the time about as many
are there, always others. Memory is looked at after a minute of warm-up and from then on.
"""

import asyncio
import statistics
import time

from benchmarks.rows import Row, table
from tests.chaos.callers import Account, Call, Speaker, Voice, crowd
from tests.chaos.footprint import footprint
from tests.chaos.proxy import Proxy
from tests.chaos.storm import Storm
from tests.e2e.conftest import GatewayProcess, start_gateway

CALLERS = 40
"""At a time."""
CALL_S = 4.0
SECONDS = 300.0
WARM_UP_S = 60.0
RETENTION_S = 10.0
"""Seconds that an ended session can be read; with the default, fifteen minutes of them would pile up."""
MIB = 1024 * 1024


def rows() -> list[Row]:
    """Takes some five and a half minutes."""
    gateway = start_gateway(TRANSCRIBER="none", CLOSED_RETENTION_S=str(RETENTION_S))
    try:
        base = footprint(gateway.pid)
        account, looks = asyncio.run(_soak(gateway))
        time.sleep(3 * RETENTION_S)
        after = footprint(gateway.pid)
    finally:
        gateway.stop()
    times, sizes = zip(*looks, strict=True)
    slope = statistics.linear_regression(times, sizes).slope * 3_600 / MIB
    figures = {
        "sessions that came and went": (account.calls, "sessions"),
        "accounts that don't add up": (len(account.faults), "faults"),
        "RSS slope after a minute's warm-up": (slope, "MiB/h"),
        "RSS in the end over that after the warm-up": ((sizes[-1] - sizes[0]) / MIB, "MiB"),
        "descriptors left over": (after.descriptors - base.descriptors, "descriptors"),
    }
    return [Row(name, float(value), unit) for name, (value, unit) in figures.items()]


async def _soak(gateway: GatewayProcess) -> tuple[Account, list[tuple[float, int]]]:
    voice, storm = Voice(), Storm(seed=18, every_s=(1.0, 6.0))
    looks: list[tuple[float, int]] = []
    calls: list[Call] = []
    async with Proxy(int(gateway.url.rpartition(":")[2]), script=storm) as proxy:
        watching = asyncio.create_task(_watch(gateway, looks))
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            speakers = [Speaker(proxy.ws_url, CALL_S, voice) for _ in range(CALLERS)]
            calls += await crowd(speakers, ramp_s=CALL_S)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return Account.of(calls), looks


async def _watch(gateway: GatewayProcess, looks: list[tuple[float, int]]) -> None:
    await asyncio.sleep(WARM_UP_S)
    while True:
        looks.append((time.monotonic(), footprint(gateway.pid).rss))
        await asyncio.sleep(2)


if __name__ == "__main__":
    print(table(rows()))
