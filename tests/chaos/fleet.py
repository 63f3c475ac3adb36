"""Gateways whose windows go to classify nodes, of which one after the other is killed and comes back."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.client import connect
from protocol.events import Queue, Speaker, Tone
from tests.chaos.callers import AUDIO, FRAME_S, Account, Voice, crowd
from tests.chaos.callers import Speaker as Caller
from tests.e2e.conftest import GatewayProcess
from tests.sidecars.node import ClassifyProcess, start_classify


@dataclass(frozen=True, slots=True)
class Return:
    """A node that came back."""

    alone_s: float
    """Seconds until the next kill, of whichever node, or the end."""
    heard_s: float | None
    """Seconds until a session heard an answer that was given after it; None where it never did."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it."""

    account: Account
    kills: int
    returns: Sequence[Return]


def returns(came: Sequence[float], left: Sequence[float], heard: Sequence[float]) -> list[Return]:
    """Each return of a node, in order.

    Args:
        came: when nodes came back.
        left: when nodes were killed, and when it was over; ascending.
        heard: when answers were heard; ascending.
    """
    found = []
    for moment in came:
        alone_s = next((at for at in left if at > moment), moment) - moment
        heard_s = next((at - moment for at in heard if at > moment), None)
        found.append(Return(alone_s, heard_s))
    return found


@dataclass
class Weather:
    """Kills a node, waits, and starts it again at the same address; then another one. The last one that came
    back is left alone, too.

    Args:
        kills: how often.
        up_s: seconds from a node's return to the next kill.
        down_s: seconds that it is away, its start not counted.
    """

    nodes: list[ClassifyProcess]
    kills: int
    up_s: tuple[float, float] = (0.5, 1.5)
    down_s: tuple[float, float] = (0.0, 1.0)
    draw: random.Random = field(default_factory=lambda: random.Random(1))
    came: list[float] = field(default_factory=list)
    """When nodes came back, in the loop's time."""
    left: list[float] = field(default_factory=list)
    """When nodes were killed, and when it was over."""

    async def blow(self) -> None:
        """All of it."""
        loop = asyncio.get_running_loop()
        for number in range(self.kills):
            await asyncio.sleep(self.draw.uniform(*self.up_s))
            which = number % len(self.nodes)
            port = self.nodes[which].port
            self.left.append(loop.time())
            await asyncio.to_thread(self.nodes[which].kill)
            await asyncio.sleep(self.draw.uniform(*self.down_s))
            self.nodes[which] = await asyncio.to_thread(start_classify, "--port", str(port))
            self.came.append(loop.time())
        await asyncio.sleep(self.draw.uniform(*self.up_s))
        self.left.append(loop.time())


@dataclass
class Witness:
    """A session that notes when it hears what was classified."""

    url: str
    heard: list[float] = field(default_factory=list)
    """The loop's time of each."""

    async def listen(self) -> None:
        """Speak and listen until cancelled."""
        loop, voice = asyncio.get_running_loop(), Voice()
        async with connect(self.url, audio=AUDIO) as client:

            async def speak() -> None:
                at, step = 0, round(FRAME_S * AUDIO.sample_rate)
                while True:
                    await client.send(voice.pcm(at, at + step))
                    at += step
                    await asyncio.sleep(FRAME_S)

            speaking = asyncio.create_task(speak())
            try:
                async for event in client:
                    if isinstance(event, Tone | Speaker | Queue):
                        self.heard.append(loop.time())
            finally:
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)


async def play(
    gateways: Sequence[GatewayProcess], weather: Weather, *, sessions: int, seconds: float, ramp_s: float
) -> Outcome:
    """Live sessions at all gateways for `seconds`, and the weather meanwhile."""
    voice, witness = Voice(), Witness(gateways[0].ws_url)
    callers = [Caller(gateways[n % len(gateways)].ws_url, seconds, voice) for n in range(sessions)]
    watching = asyncio.create_task(witness.listen())
    try:
        calls, _ = await asyncio.gather(crowd(callers, ramp_s), weather.blow())
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    back = returns(weather.came, weather.left, witness.heard)
    return Outcome(Account.of(calls), weather.kills, back)
