"""Streams cut at once and on the test's own thread, decoded by hand."""

import asyncio

from gateway.transcribe.port import TranscriptUpdate
from gateway.transcribe.segmenter import PowerDetector
from gateway.transcribe.whisper.cutting import Cut, Cutter
from gateway.transcribe.whisper.hints import Hints
from gateway.transcribe.whisper.stream import Ask, WhisperStream
from tests.gateway.transcribe.fakes import BLOCK, Bench, HandDecoder, Samples, sound


class AtOnce(Cutter):
    """A cutter without a thread."""

    def __init__(self) -> None:
        super().__init__(PowerDetector)

    def _wake(self, cut: Cut) -> None:
        super()._wake(cut)
        while cut in self._ready:
            pieces = self._take(cut)
            (actions,) = self._cut_all([(cut, pieces)])
            cut.on_actions(actions)
            cut.cutting = ()
            cut.on_progress()
            for piece in pieces:
                if isinstance(piece, asyncio.Event):
                    piece.set()


class WholeBench(Bench):
    """A pool of hand decoders for utterances that are decoded as a whole."""

    def talker(self, code: str | None = "de", prompt: str = "", flush_s: float = 5.0) -> "Talker":
        """A stream of the pool."""
        return Talker(self, Ask(code, prompt), flush_s)


class Talker:
    """One stream and all it said."""

    def __init__(self, bench: Bench, ask: Ask, flush_s: float) -> None:
        self.updates: list[TranscriptUpdate] = []
        self.warnings: list[str] = []
        self.at = 0
        self.stream = WhisperStream(
            bench.pool,
            AtOnce(),
            ask,
            emit=self.updates.append,
            warn=self.warnings.append,
            flush_s=flush_s,
        )

    def hear(self, samples: Samples) -> None:
        """Feed in blocks of 100 ms."""
        for start in range(0, len(samples), BLOCK):
            block = samples[start : start + BLOCK]
            self.stream.feed(block, self.at)
            self.at += len(block)

    def say(self, seconds: float = 1.0) -> None:
        """Speech-like sound between a second of quiet before and another behind it."""
        self.hear(sound([(1.0, False), (seconds, True), (1.0, False)]))

    def begin(self, seconds: float) -> None:
        """Speech-like sound after a second of quiet, which goes on."""
        self.hear(sound([(1.0, False), (seconds, True)]))


def hints_of(decoder: HandDecoder) -> Hints:
    """What its open utterance was begun with."""
    return Hints.unpack(decoder.profile)
