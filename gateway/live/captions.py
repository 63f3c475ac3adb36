"""Words for one session: its 16 kHz stream to the transcriber, what comes back to the event log."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from gateway.audio.window import Block
from gateway.classify.port import SAMPLE_RATE
from gateway.live.announcer import Announcer
from gateway.transcribe.port import Transcriber, TranscriptStream, TranscriptUpdate
from protocol.audio import AudioFormat
from protocol.control import Delivery, Feature, SessionConfig
from protocol.events import ServiceStatus, Word

T = TypeVar("T")

ONSET_S = 0.5
"""Seconds of speech that may have been heard, with what belongs before it, and are no utterance yet."""


class Spawn(Protocol):
    """Starts a task that somebody else will end."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> asyncio.Task[T]: ...


class Captions:
    """Keeps one transcript stream open while the session wants words, in the language it asks for."""

    def __init__(
        self,
        transcriber: Transcriber,
        announcer: Announcer,
        audio: AudioFormat,
        config: SessionConfig,
        spawn: Spawn,
    ) -> None:
        self._transcriber = transcriber
        self._announcer = announcer
        self._audio = audio
        self._spawn = spawn
        self._stream: TranscriptStream | None = None
        self._retiring: dict[TranscriptStream, asyncio.Task[None]] = {}
        """Those that finish what was said in a former language."""
        self._wanted = Feature.TRANSCRIPT in config.features
        self._language = config.language
        self._patient = config.delivery is Delivery.LOSSLESS
        self._min_confidence = config.min_confidence
        self._heard = self._told_to = self._told_to16k = 0
        self._told_interim = False
        self.on_progress: Callable[[], None] = _nobody
        """Called after words were told or given up."""
        self._closed = False

    @property
    def wanted(self) -> bool:
        """Whether audio should be fed now."""
        return self._wanted and not self._closed

    @property
    def pending_from(self) -> int | None:
        """Sample at which the oldest words begin that are not told yet; None where none are awaited."""
        pending = (stream.pending_from16k for stream in self._streams)
        oldest = min((start for start in pending if start is not None), default=None)
        return self._client(oldest) if oldest is not None else None

    @property
    def told_to(self) -> int:
        """Sample before which all words are told."""
        return self._told_to

    def restore(self, told_to: int) -> None:
        """Go on from there: what comes again of the audio before it is not heard a second time."""
        self._told_to = told_to
        self._told_to16k = -(-told_to * SAMPLE_RATE // self._audio.sample_rate)

    def wanted_from(self, sample: int) -> int:
        """Where audio has to come again from for the words that are not told yet, where what follows `sample`
        comes in any case: not before the end of what was told, so that nothing is told twice."""
        if not self.wanted:
            return sample
        pending = self.pending_from
        onset = sample - int(ONSET_S * self._audio.sample_rate)
        return min(sample, max(self._told_to, onset) if pending is None else pending)

    def configure(self, config: SessionConfig) -> None:
        """Follow a change of configuration; an open utterance is finished in the old language."""
        self._min_confidence = config.min_confidence
        self._patient = config.delivery is Delivery.LOSSLESS
        for stream in self._streams:
            stream.patient = self._patient
        wanted = Feature.TRANSCRIPT in config.features
        if wanted != self._wanted or config.language != self._language:
            self._wanted, self._language = wanted, config.language
            if self._stream is not None:
                self._retiring[self._stream] = self._spawn(self._retire(self._stream))
                self._stream = None

    def feed(self, block: Block) -> None:
        """Pass 16 kHz audio on. Never blocks."""
        self._heard = block.end_sample
        known = max(0, self._told_to16k - block.start16k)
        if known >= len(block.samples16k):
            return
        if self._stream is None:
            self._stream = self._transcriber.open(
                emit=self._on_update, warn=self.warn, language=self._language
            )
            self._stream.patient = self._patient  # credit bounds what waits: nothing needs to be given up
            self._stream.on_settled = self._on_settled
        self._stream.feed(block.samples16k[known:], block.start16k + known)

    async def flush(self) -> None:
        """Return when every word said so far has been told, in whatever language."""
        retiring = tuple(self._retiring.values())
        if self._stream is not None:
            await self._stream.flush()
        if retiring:
            await asyncio.wait(retiring)

    async def aclose(self) -> None:
        """Give up what is not decoded yet. May be called twice."""
        self._closed = True
        self.on_progress = _nobody
        streams = self._streams
        self._stream = None
        self._retiring.clear()
        for stream in streams:
            await stream.aclose()

    @property
    def _streams(self) -> tuple[TranscriptStream, ...]:
        """All that may have words to tell."""
        return tuple(self._retiring) if self._stream is None else (*self._retiring, self._stream)

    async def _retire(self, stream: TranscriptStream) -> None:
        try:
            await stream.flush()
            await stream.aclose()
        finally:
            self._retiring.pop(stream, None)
        self.on_progress()

    def _on_update(self, update: TranscriptUpdate) -> None:
        if not self._closed:
            self._tell(update)
            self.on_progress()

    def _on_settled(self) -> None:
        if not self._closed:
            self.on_progress()

    def _tell(self, update: TranscriptUpdate) -> None:
        start, end = self._client(update.start_sample16k), self._client(update.end_sample16k)
        if update.is_final:
            self._told_to = max(self._told_to, end)
        if self._doubtful(update, start, end):
            if not (update.is_final and self._told_interim):
                return
            update = replace(update, text="", words=())  # takes back what was told before
        self._told_interim = not update.is_final
        words = tuple(
            Word(
                text=word.text,
                start_sample=self._client(word.start_sample16k),
                end_sample=self._client(word.end_sample16k),
                confidence=word.confidence,
            )
            for word in update.words
        )
        self._announcer.transcript(update, start, end, words)

    def _doubtful(self, update: TranscriptUpdate, start: int, end: int) -> bool:
        """Whether the words are too unsure to be told, or were made of music and signals."""
        unsure = update.confidence is not None and update.confidence < self._min_confidence
        return unsure or self._announcer.line.mostly(start, end)

    def warn(self, detail: str) -> None:
        """Tell the session's readers that words are missing."""
        if not self._closed:
            self._announcer.service(ServiceStatus.WARNING, detail, self._heard)
            self.on_progress()

    def _client(self, sample16k: int) -> int:
        return sample16k * self._audio.sample_rate // SAMPLE_RATE


def _nobody() -> None:
    """Is told of progress that nobody waits for."""
