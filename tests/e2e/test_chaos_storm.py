"""Clients whose connections are cut again and again lose nothing, and hear nothing twice."""

import asyncio
from collections.abc import Callable

from tests.chaos.callers import Account, Speaker, Voice, crowd
from tests.chaos.proxy import Proxy
from tests.chaos.storm import Fault, Storm
from tests.e2e.conftest import GatewayProcess

CLIENTS = 40
SECONDS = 9.0
LOSSLESS = {"delivery": "lossless"}


def weather(gateway: GatewayProcess, storm: Storm, clients: int = CLIENTS) -> tuple[Account, int]:
    """Every third client has a recording to send. Returns the account, and the connections there were."""

    async def main() -> tuple[Account, int]:
        voice = Voice()
        async with asyncio.timeout(90), Proxy(int(gateway.url.rpartition(":")[2]), script=storm) as proxy:
            speakers = [
                Speaker(proxy.ws_url, SECONDS, voice, LOSSLESS if n % 3 == 0 else {}) for n in range(clients)
            ]
            calls = await crowd(speakers, ramp_s=1.0)
            return Account.of(calls), proxy.opened

    return asyncio.run(main())


def test_cut_every_few_seconds_nothing_is_lost(gateway: GatewayProcess) -> None:
    """Resets and silent closes: every event once, every sample in its place, and no gap at all."""
    account, opened = weather(gateway, Storm(seed=4, every_s=(1.0, 3.0)))
    assert account.faults == ()
    assert (account.whole, account.refused, account.missed) == (CLIENTS, 0, 0)
    assert opened > 3 * CLIENTS
    assert account.resumes >= 2 * CLIENTS
    assert account.gap_s.get("client", 0) == 0


def test_a_link_that_dies_in_silence_is_left(launch: Callable[..., GatewayProcess]) -> None:
    """Stalled or half-open, both sides notice by their heartbeats, and the client goes on over another."""
    gateway = launch(TRANSCRIBER="none", HEARTBEAT_S="1")
    storm = Storm(seed=5, every_s=(1.0, 3.0), faults=(Fault.STALL, Fault.FORGET, Fault.DEAF))
    account, _ = weather(gateway, storm, clients=15)
    assert account.faults == ()
    assert (account.whole, account.missed) == (15, 0)
    assert account.resumes >= 15
