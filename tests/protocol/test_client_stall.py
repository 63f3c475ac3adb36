"""A client whose network holds everything up: what is under way is bounded, and nobody is held up."""

import asyncio
from dataclasses import replace

import pytest

from protocol.client import connect
from protocol.connection import Audio
from protocol.control import End, Flush, Ping, Position
from protocol.events import Flushed, Pong
from tests.protocol.loopback import SUMMARY, WELCOME, Peer, gateway, run, until

QUICK = replace(WELCOME, limits={"realtime_factor": 1_000, "burst_s": 0.1})
"""So that nothing waits for long: 720 samples may be under way."""
AHEAD = 720
PCM = bytes(range(250)) * 2


async def audio_until_ping(peer: Peer, t: str) -> tuple[bytes, list[Ping]]:
    """Everything said before the user's ping: audio, and the client's own pings."""
    data, asked = b"", []
    while (message := await peer.hear()) != Ping(t):
        if isinstance(message, Ping):
            asked.append(message)
        else:
            assert isinstance(message, Audio)
            data += message.data
    return data, asked


@pytest.mark.parametrize("resume", [True, False])
def test_a_bound_for_what_is_under_way(resume: bool) -> None:
    """The rest waits for the answer to a ping; what the user says meanwhile is not held up by it."""
    heard = b""

    async def script(peer: Peer) -> None:
        nonlocal heard
        await peer.say(QUICK)
        heard, (asked,) = await audio_until_ping(peer, "mine")
        assert len(heard) == 2 * AHEAD
        await peer.say(Pong(t=asked.t))
        while not isinstance(message := await peer.hear(), End):
            if isinstance(message, Ping):
                await peer.say(Pong(t=message.t))
            elif isinstance(message, Flush):
                assert len(heard) == 10 * len(PCM)
                await peer.say(Flushed(id=message.id))
            else:
                assert isinstance(message, Audio)
                heard += message.data
        await peer.say(SUMMARY)
        await peer.close()

    async def test() -> None:
        async with gateway(script) as url, connect(url, resume=resume) as client:
            sending = asyncio.create_task(client.send(10 * PCM))
            await until(lambda: client.next_sample == 10 * len(PCM) // 2)
            await client.flush("x")
            await client.ping("mine")
            await sending
            await client.end()
            events = [event.type async for event in client]
            assert events == ["flushed", "summary"], "the client's own pings are not the user's"

    run(test())
    assert heard == 10 * PCM


def test_speaking_goes_on_while_the_network_stalls() -> None:
    """`send` returns although nothing is confirmed; five seconds are kept, and the rest is one gap."""
    spoken = asyncio.Event()
    heard: list[Audio | Position] = []

    async def script(peer: Peer) -> None:
        await peer.say(QUICK)
        _, asked = await audio_until_ping(peer, "mine")
        await spoken.wait()
        await peer.say(Pong(t=asked[0].t))
        while not isinstance(message := await peer.hear(), End):
            if isinstance(message, Ping):
                await peer.say(Pong(t=message.t))
            else:
                assert isinstance(message, Audio | Position)
                heard.append(message)
        await peer.say(SUMMARY)
        await peer.close()

    async def test() -> None:
        async with gateway(script) as url, connect(url) as client:
            await client.send(bytes(32 * 160))
            for _ in range(70):
                given = asyncio.create_task(client.send(bytes(3_200)))
                await asyncio.sleep(0)
                given.cancel()  # as if its time were over: the audio stays
                await asyncio.gather(given, return_exceptions=True)
            await client.ping("mine")
            assert client.lost_samples == 0, "nothing is declared before audio may follow"
            spoken.set()
            await client.end()
            assert client.next_sample == 2_560 + 70 * 1_600
            assert client.lost_samples == client.next_sample - 80_000 - AHEAD

    run(test())
    assert [one for one in heard if isinstance(one, Position)] == [Position(2_560 + 70 * 1_600 - 80_000)]
    assert sum(len(one.data) for one in heard if isinstance(one, Audio)) == 2 * 80_000
