"""Clients whose connections are cut every few seconds, for minutes: what each of them ended up with.

    python -m benchmarks.storm

The gateway is a process of its own; the clients and the proxy that cuts them share another one. The history
of every client is audited by the ledger of `tests.chaos`.
"""

import asyncio

from benchmarks.rows import Row, table
from tests.chaos.callers import Account, Speaker, Voice, crowd
from tests.chaos.proxy import Proxy
from tests.chaos.storm import Storm
from tests.e2e.conftest import GatewayProcess, start_gateway

CLIENTS = 120
SECONDS = 60.0
RAMP_S = 20.0
EVERY_S = (2.0, 5.0)
LOSSLESS = {"delivery": "lossless"}


def rows() -> list[Row]:
    """Takes some hundred seconds."""
    gateway = start_gateway(TRANSCRIBER="none")
    try:
        account, opened = asyncio.run(_weather(gateway))
    finally:
        gateway.stop()
    figures = {
        "clients cut every 2–5 s for a minute": (CLIENTS, "clients"),
        "connections cut": (opened - CLIENTS, "cuts"),
        "clients with every event once, every sample in its place": (account.whole, "clients"),
        "accounts that don't add up": (len(account.faults), "faults"),
        "events that could not be replayed": (account.missed, "events"),
        "audio declared a gap": (sum(account.gap_s.values()), "s"),
        "refused": (account.refused, "clients"),
    }
    return [Row(name, float(value), unit) for name, (value, unit) in figures.items()]


async def _weather(gateway: GatewayProcess) -> tuple[Account, int]:
    voice, storm = Voice(), Storm(seed=4, every_s=EVERY_S)
    async with Proxy(int(gateway.url.rpartition(":")[2]), script=storm) as proxy:
        speakers = [
            Speaker(proxy.ws_url, SECONDS, voice, LOSSLESS if number % 3 == 0 else {})
            for number in range(CLIENTS)
        ]
        calls = await crowd(speakers, RAMP_S)
        return Account.of(calls), proxy.opened


if __name__ == "__main__":
    print(table(rows()))
