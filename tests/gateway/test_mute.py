"""Muted for ten minutes with nothing but pings: the session lives, and its audio clock is right afterwards.

The whole gateway runs here, without sockets and with its clock moved by hand; see `tests.gateway.inprocess`.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.classify.port import QueueObservation
from protocol.close import CloseCode
from protocol.events import Flow, Gap, Pong, Queue, Summary
from tests.gateway.inprocess import Node, Peer, node

QUIET = QueueObservation(label="silence", confidence=0.9)
RATE = 16_000
SECOND = bytes(2 * RATE)
MUTE_S = 600
PING = '{"type": "ping"}'
END = '{"type": "end"}'


def run(scenario: Callable[[Node], Awaitable[None]]) -> None:
    async def main() -> None:
        on = node()
        try:
            async with asyncio.timeout(20):
                await scenario(on)
        finally:
            await on.aclose()

    asyncio.run(main())


async def muted(on: Node, peer: Peer, seconds: int = MUTE_S, message: str = PING) -> None:
    """A ping every 20 s, the reaper at its usual pace."""
    for second in range(10, seconds + 1, 10):
        on.clock.advance(10)
        if second % 20 == 0:
            await peer.speak(message)
        await on.reap()


async def heard(on: Node, peer: Peer, *messages: bytes | str) -> None:
    """Each message in its own time, and the classifier's answers."""
    for message in messages:
        if isinstance(message, bytes):
            on.clock.advance(len(message) / len(SECOND))
        await peer.speak(message)
        while on.scheduler.jobs:
            on.scheduler.answer([QUIET])
        await peer.speak()


def ranges(peer: Peer) -> list[tuple[int, int, float]]:
    """Where and when each window was heard."""
    return [
        (event.start_sample, event.end_sample, event.timestamp)
        for event in peer.durable
        if isinstance(event, Queue)
    ]


def position(sample: int) -> str:
    return f'{{"type": "position", "sample": {sample}}}'


def summary(peer: Peer) -> Summary:
    last = peer.durable[-1]
    assert isinstance(last, Summary)
    return last


def test_who_says_nothing_of_the_silence_goes_on_where_it_stopped() -> None:
    """The clock counts samples, not minutes: what is spoken next follows what was spoken last."""

    async def scenario(on: Node) -> None:
        peer = await on.connect(Peer())
        await heard(on, peer, SECOND)
        await muted(on, peer)
        assert (peer.closed, peer.errors) == (None, [])
        assert sum(isinstance(event, Pong) for event in peer.said) == MUTE_S // 20
        await heard(on, peer, SECOND, END)
        assert ranges(peer) == [(0, RATE, 1.0), (RATE, 2 * RATE, 2.0)]
        told = summary(peer)
        assert (told.next_sample, told.gap_samples, told.duration_s) == (2 * RATE, 0, 2.0)
        assert peer.closed == 1000

    run(scenario)


@pytest.mark.parametrize("spoken", [RATE, RATE + 5_000])
def test_who_tells_how_long_it_was_silent_goes_on_by_the_clock_on_the_wall(spoken: int) -> None:
    """The silence is one gap, exact to the sample; what was pending before it is heard as a short window."""

    async def scenario(on: Node) -> None:
        peer = await on.connect(Peer())
        await heard(on, peer, bytes(2 * spoken))
        await muted(on, peer)
        back = spoken + MUTE_S * RATE
        await heard(on, peer, position(back), SECOND, END)
        gaps = [
            (gap.start_sample, gap.end_sample, gap.reason) for gap in peer.durable if isinstance(gap, Gap)
        ]
        assert gaps == [(spoken, back, "client")]
        assert ranges(peer)[-1] == (back, back + RATE, (back + RATE) / RATE)
        told = summary(peer)
        assert (told.next_sample, told.received_samples) == (back + RATE, spoken + RATE)
        assert (told.client_gap_samples, told.classified_samples) == (MUTE_S * RATE, spoken + RATE)

    run(scenario)


def test_half_a_window_waits_for_its_other_half() -> None:
    """Without a `position` the stream goes on, and the window with it; it is no older than its last byte."""

    async def scenario(on: Node) -> None:
        peer = await on.connect(Peer())
        await heard(on, peer, SECOND[: len(SECOND) // 2])
        await muted(on, peer)
        assert ranges(peer) == []
        await heard(on, peer, SECOND[len(SECOND) // 2 :])
        assert ranges(peer) == [(0, RATE, 1.0)]
        assert [event.lag_ms for event in peer.said if isinstance(event, Flow)][-1] == 0.0

    run(scenario)


def test_a_recording_that_was_paused_has_credit_to_go_on() -> None:
    """Lossless: the limit is an index, and a silence that is skipped must not use it up for good."""

    async def scenario(on: Node) -> None:
        peer = await on.connect(Peer("delivery=lossless"))
        await heard(on, peer, SECOND)
        await muted(on, peer)
        back = RATE + MUTE_S * RATE
        await heard(on, peer, position(back))
        limit = [event.limit for event in peer.said if isinstance(event, Flow)][-1]
        assert limit is not None
        assert limit >= back + 5 * RATE
        await heard(on, peer, SECOND, END)
        assert (peer.closed, summary(peer).next_sample) == (1000, back + RATE)

    run(scenario)


@pytest.mark.parametrize(("seconds", "fits"), [(5, True), (6, False)])
def test_silence_saves_up_no_more_than_the_burst(seconds: int, fits: bool) -> None:
    """Ten minutes without audio don't let ten minutes of it in at once."""

    async def scenario(on: Node) -> None:
        peer = await on.connect(Peer())
        await muted(on, peer)
        await peer.speak(*[SECOND] * seconds)
        assert (peer.closed, peer.errors) == ((None, []) if fits else (4009, ["flood"]))

    run(scenario)


@pytest.mark.parametrize("message", [PING, '{"type": "ack", "seq": 0}', '{"type": "flush"}', position(0)])
def test_any_control_message_is_a_sign_of_life(message: str) -> None:
    """`ping` is for those who have nothing else to say."""

    async def scenario(on: Node) -> None:
        peer = await on.connect(Peer())
        await muted(on, peer, message=message)
        assert (peer.closed, peer.errors) == (None, [])

    run(scenario)


@pytest.mark.parametrize("message", ["", "no JSON", '{"type": "wave"}'])
def test_without_a_sign_of_life_it_ends_and_is_told_so(message: str) -> None:
    """300 s: the account, the reason, 4004. What can't be understood shows no life either."""

    async def scenario(on: Node) -> None:
        peer = await on.connect(Peer())
        await heard(on, peer, SECOND, SECOND[:8_000])
        for _ in range(29):
            on.clock.advance(10)
            if message:
                await peer.speak(message)
            await on.reap()
        assert "idle_timeout" not in peer.errors
        on.clock.advance(10)
        await on.reap()
        assert peer.errors[-1] == "idle_timeout"
        assert peer.closed == CloseCode.NOT_FOUND
        told = summary(peer)
        assert (told.next_sample, told.classified_samples) == (RATE + 4_000, RATE + 4_000)

    run(scenario)
