"""Callers: clients that speak, lose their connection, come back by themselves, and keep their history."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.commands.load import speech_like
from protocol.audio import AudioFormat
from protocol.client import Client, ClientError, SessionGone, connect
from protocol.events import GapReason, Welcome
from tests.chaos.history import History, Said, begin, tapped
from tests.chaos.ledger import audit, gap_samples, missed, summary_of

AUDIO = AudioFormat(sample_rate=8_000)
"""Telephone speech: the cheapest to send and to classify."""
FRAME_S = 0.25
END_S = 30.0
"""Seconds that a session may take to end."""


class Voice:
    """Speech without end, the same each time; callers begin at different places of it."""

    def __init__(self, audio: AudioFormat = AUDIO) -> None:
        self._audio = audio
        loop = speech_like(audio.sample_rate)
        self._period = len(loop)
        self._twice = loop * 2

    def pcm(self, start: int, end: int) -> bytes:
        """Samples [start, end), at most as many as the loop has."""
        at = self._audio.bytes(start) % self._period
        return self._twice[at : at + self._audio.bytes(end - start)]


@dataclass(frozen=True, slots=True)
class Call:
    """One call, after its end."""

    history: History
    resumes: int = 0
    """Connections lost and replaced."""
    refused: str | None = None
    """Why it never began."""

    @property
    def faults(self) -> list[str]:
        """What doesn't add up."""
        return [] if self.refused is not None else audit(self.history)

    @property
    def whole(self) -> bool:
        """Whether it ended with its summary."""
        return summary_of(self.history) is not None


@dataclass(frozen=True, slots=True)
class Speaker:
    """What a caller does.

    Args:
        url: the voice endpoint.
        seconds: how long it speaks, in real time.
        config: settings of its session.
    """

    url: str
    seconds: float
    voice: Voice
    config: Mapping[str, Any] = field(default_factory=dict)
    audio: AudioFormat = AUDIO
    frame_s: float = FRAME_S
    moves: bool = False
    """Whether the session may go on at other nodes."""

    async def call(self, delay_s: float = 0.0) -> Call:
        """Speak and listen until the session has ended, or is gone. Only inside `tapped()`."""
        await asyncio.sleep(delay_s)
        history = begin(self.voice.pcm)
        history.moves = self.moves
        client: Client | None = None
        try:
            async with connect(self.url, audio=self.audio, config=self.config) as client:
                await self._converse(client)
        except SessionGone as gone:
            history.gone = gone.code
        except (ClientError, TimeoutError) as failure:
            if client is None:
                return Call(history, refused=str(failure))
        return Call(history, client.resumes if client is not None else 0)

    def heard(self, event: Said) -> None:
        """An event came; each connection after the first one begins with its `welcome`."""

    async def _converse(self, client: Client) -> None:
        listening = asyncio.create_task(self._listen(client))
        try:
            await self._speak(client)
            async with asyncio.timeout(END_S):
                await client.end()
                await listening
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _speak(self, client: Client) -> None:
        loop = asyncio.get_running_loop()
        began, step = loop.time(), round(self.frame_s * self.audio.sample_rate)
        for start in range(0, round(self.seconds * self.audio.sample_rate), step):
            await client.send(self.voice.pcm(start, start + step))
            await asyncio.sleep(began + (start + step) / self.audio.sample_rate - loop.time())

    async def _listen(self, client: Client) -> None:
        with contextlib.suppress(ClientError):  # whoever speaks is told, too
            async for event in client:
                self.heard(event)


async def crowd(speakers: Sequence[Speaker], ramp_s: float) -> list[Call]:
    """All of them, starting over `ramp_s` seconds."""
    with tapped():
        return await asyncio.gather(
            *(speaker.call(n * ramp_s / len(speakers)) for n, speaker in enumerate(speakers))
        )


@dataclass(frozen=True, slots=True)
class Account:
    """Many calls in a few figures."""

    calls: int
    refused: int
    whole: int
    """Calls that ended with their summary."""
    gone: int
    """Calls whose user was told that the session is gone."""
    resumes: int
    unrecovered: int
    """Resumptions that told of events that can't be replayed."""
    missed: int
    """Those events."""
    gap_s: Mapping[str, float]
    """Seconds declared as gaps, by reason."""
    faults: tuple[str, ...]
    """What doesn't add up, in any of them."""

    @classmethod
    def of(cls, calls: Sequence[Call]) -> "Account":
        begun = [call for call in calls if call.refused is None]
        welcomes = [event for call in begun for event in call.history.events if isinstance(event, Welcome)]
        gaps = {
            reason.value: sum(gap_samples(call.history, reason) for call in begun) / AUDIO.sample_rate
            for reason in GapReason
        }
        return cls(
            calls=len(calls),
            refused=len(calls) - len(begun),
            whole=sum(call.whole for call in begun),
            gone=sum(call.history.gone is not None for call in begun),
            resumes=sum(call.resumes for call in begun),
            unrecovered=sum(not welcome.recovered for welcome in welcomes),
            missed=sum(missed(call.history) for call in begun),
            gap_s={reason: seconds for reason, seconds in gaps.items() if seconds},
            faults=tuple(fault for call in begun for fault in call.faults),
        )
