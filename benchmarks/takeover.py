"""A node is killed, and its clients go on at another one: how long until they hear something new there.

    python -m benchmarks.takeover

Two gateways share one Valkey. Every client streams in real time to the first of them, which is killed at some
moment; it goes to the second one with its session, sends again from the sample it is asked for, and waits for
the first tone that the first node had not told. Half a window's time of that is the window's, on average.
"""

import asyncio
import contextlib
import math
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from benchmarks.rows import Row, table
from benchmarks.usual import Stage, stage
from gateway.commands.load import speech_like
from protocol.audio import AudioFormat
from protocol.client import Client, connect
from protocol.events import DurableEvent, Gap, Tone
from protocol.failures import ClientError

SESSIONS: Final = 40
ROUNDS: Final = 3
BEFORE_S: Final = 5.0
PATIENCE_S: Final = 20.0
FRAME_S: Final = 0.1


@dataclass(slots=True)
class Took:
    """How it went for one session; seconds from the kill."""

    welcomed_s: float = math.nan
    heard_s: float = math.nan
    gap_samples: int = 0
    seqs: list[int] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Every event came once, and every sample was classified."""
        return self.seqs == list(range(1, len(self.seqs) + 1)) and not self.gap_samples


def takeovers(here: Stage, settings: Mapping[str, str], sessions: int = SESSIONS) -> list[Row]:
    """Some rounds of it; takes a quarter of a minute each."""
    found: list[Took] = []
    for number in range(ROUNDS):
        with contextlib.ExitStack() as stack:
            first, second = (stack.enter_context(here.serving(more=settings)) for _ in range(2))
            found += asyncio.run(_round(first[0], first[1], second[0], sessions, BEFORE_S + 0.37 * number))
    came = [one for one in found if not math.isnan(one.heard_s)]
    welcomed, heard = ([one.welcomed_s for one in came], [one.heard_s for one in came])
    rows = [Row("takeover: sessions whose node was killed", len(found), "sessions")]
    for name, values in (("the other node's welcome", welcomed), ("the first new tone", heard)):
        rows.append(Row(f"takeover: from the kill to {name}, median", 1e3 * median(values), "ms"))
        rows.append(Row(f"takeover: from the kill to {name}, worst", 1e3 * max(values), "ms"))
    whole = sum(one.whole for one in found)
    return [*rows, Row("takeover: every event once, no sample lost", whole, "sessions")]


async def _round(first: str, pid: int, second: str, sessions: int, before_s: float) -> list[Took]:
    killed: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    said = speech_like(AudioFormat().sample_rate)
    clients = (_one(first, second, killed, n / sessions, said) for n in range(sessions))
    tasks = [asyncio.create_task(one) for one in clients]
    await asyncio.sleep(before_s)
    os.kill(pid, signal.SIGKILL)
    killed.set_result(time.monotonic())
    return await asyncio.gather(*tasks)


async def _one(first: str, second: str, killed: "asyncio.Future[float]", phase: float, said: bytes) -> Took:
    """One client's life on both."""
    audio, took = AudioFormat(), Took()
    await asyncio.sleep(phase)  # so that windows end at all times
    begun = time.monotonic()
    async with connect(first, audio=audio, resume=False) as client:
        session, epoch = client.welcome.session_id, client.welcome.epoch
        await _streamed(client, said, begun, 0, took, until=None)
    at = await killed
    after = took.seqs[-1] if took.seqs else 0
    async with connect(
        second, session_id=session, epoch=epoch, after=after, audio=audio, resume=False
    ) as client:
        took.welcomed_s = time.monotonic() - at
        welcome = client.welcome
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await _streamed(client, said, begun, welcome.next_sample, took, until=welcome.next_seq)
                took.heard_s = time.monotonic() - at
    return took


async def _streamed(
    client: Client, said: bytes, begun: float, sample: int, took: Took, until: int | None
) -> None:
    """Send in real time until the connection is lost, or the first new tone has come."""
    sender = asyncio.create_task(_send(client, said, begun, sample))
    try:
        async for event in _events(client):
            took.seqs.append(event.seq)
            if isinstance(event, Gap):
                took.gap_samples += event.end_sample - event.start_sample
            if until is not None and event.seq >= until and isinstance(event, Tone):
                return
    finally:
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)


async def _events(client: Client) -> AsyncIterator[DurableEvent]:
    with contextlib.suppress(ClientError):
        async for event in client:
            if isinstance(event, DurableEvent):
                yield event


async def _send(client: Client, said: bytes, begun: float, sample: int) -> None:
    audio = client.audio
    step = audio.bytes(round(FRAME_S * audio.sample_rate))
    at = audio.bytes(sample)
    while True:
        due = begun + audio.seconds(audio.samples(at + step))
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        start = at % len(said)
        await client.send((said + said[:step])[start : start + step])
        at += step


if __name__ == "__main__":
    from benchmarks.sharing_servers import valkey

    with stage() as here, valkey(here.other_core) as one:
        print(table(takeovers(here, {"STORE": one.url})))
