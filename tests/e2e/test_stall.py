"""A network that holds everything up for seconds and then delivers it at once costs no session."""

import asyncio

from protocol.client import connect
from protocol.events import Gap, GapReason
from tests.chaos.callers import AUDIO, Call, Speaker, Voice, crowd
from tests.chaos.proxy import Proxy
from tests.e2e.conftest import GatewayProcess

STALL_S = 9.0
"""More than what may be under way (2.25 s) and what is kept (5 s)."""
SECONDS = 13.0
HURRIED_S = 8
"""Seconds of audio: more than the gateway takes at once."""


def through_a_stall(gateway: GatewayProcess, stall_s: float) -> Call:
    """Live speech over a line that is stalled from its second second on, both ways."""

    async def main() -> Call:
        async with asyncio.timeout(60), Proxy(gateway.port) as proxy:
            speaking = asyncio.create_task(crowd([Speaker(proxy.ws_url, SECONDS, Voice())], ramp_s=0))
            await asyncio.sleep(1.5)
            proxy.links[0].stall()
            await asyncio.sleep(stall_s)
            proxy.links[0].flow()
            (call,) = await speaking
            return call

    return asyncio.run(main())


def test_a_stalled_network_is_no_flood(gateway: GatewayProcess) -> None:
    """Nobody is taken for a flooder; what could not be kept is one gap, and everything else is heard."""
    call = through_a_stall(gateway, STALL_S)
    assert (call.faults, call.history.gone, call.resumes) == ([], None, 0)
    assert call.whole
    skipped = [one for one in call.history.events if isinstance(one, Gap) and one.reason is GapReason.CLIENT]
    assert len(skipped) == 1


def test_who_is_in_a_hurry_is_no_flood(gateway: GatewayProcess) -> None:
    """Realtime audio that is given all at once goes out at a pace, and nothing of it is let go."""

    async def main() -> None:
        async with asyncio.timeout(30), connect(gateway.ws_url, audio=AUDIO) as client:
            await client.send(Voice().pcm(0, HURRIED_S * AUDIO.sample_rate))
            summary = await client.end()
            assert summary.received_samples == HURRIED_S * AUDIO.sample_rate
            assert (client.lost_samples, client.resumes) == (0, 0)

    asyncio.run(main())
