"""Clients whose connections are cut every few seconds, for minutes: what each of them ended up with.

    python -m benchmarks.storm
    python -m benchmarks.storm --clients 500 --seconds 180    where there are cores for it

The gateway is a process of its own; the clients and the proxy that cuts them share another one. The history
of every client is audited by the ledger of `tests.chaos`.
"""

import argparse
import asyncio
import sys

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


def rows(clients: int = CLIENTS, seconds: float = SECONDS) -> list[Row]:
    """Takes half a minute more than `seconds`."""
    gateway = start_gateway(TRANSCRIBER="none")
    try:
        account, opened = asyncio.run(_weather(gateway, clients, seconds))
    finally:
        gateway.stop()
    for fault in account.faults:
        print(fault, file=sys.stderr)
    figures = {
        f"clients cut every 2–5 s for {seconds:g} s": (clients, "clients"),
        "connections cut": (opened - clients, "cuts"),
        "clients with every event once, every sample in its place": (account.whole, "clients"),
        "accounts that don't add up": (len(account.faults), "faults"),
        "events that could not be replayed": (account.missed, "events"),
        "audio declared a gap": (sum(account.gap_s.values()), "s"),
        "refused": (account.refused, "clients"),
    }
    return [Row(name, float(value), unit) for name, (value, unit) in figures.items()]


async def _weather(gateway: GatewayProcess, clients: int, seconds: float) -> tuple[Account, int]:
    voice, storm = Voice(), Storm(seed=4, every_s=EVERY_S)
    async with Proxy(int(gateway.url.rpartition(":")[2]), script=storm) as proxy:
        speakers = [
            Speaker(proxy.ws_url, seconds, voice, LOSSLESS if number % 3 == 0 else {})
            for number in range(clients)
        ]
        calls = await crowd(speakers, RAMP_S)
        return Account.of(calls), proxy.opened


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storm")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    print(table(rows(given.clients, given.seconds)))
