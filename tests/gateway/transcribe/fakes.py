"""Decoders answered by hand, and streams of sound with known loud and quiet stretches."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gateway.clock import ManualClock
from gateway.transcribe.decoder import Final, HeardWord, Owner, Partial
from gateway.transcribe.pool import Bounds, Pool
from gateway.transcribe.port import TranscriptUpdate
from gateway.transcribe.stream import PooledStream

Samples = npt.NDArray[np.int16]

BLOCK = 1_600


class HandDecoder:
    """A decoder that loads, understands and dies when the test says so."""

    def __init__(self) -> None:
        self.owner: Owner | None = None
        self.calls: list[str] = []
        self.heard = 0
        self.profile: str | None = None
        self.killed = self.closed = False

    def launch(self, owner: Owner) -> None:
        self.owner = owner

    def begin(self, profile: str | None) -> None:
        self.calls.append("begin")
        self.heard, self.profile = 0, profile

    def audio(self, pcm: bytes) -> None:
        self.heard += len(pcm) // 2

    def finish(self) -> None:
        self.calls.append("finish")

    def drop(self) -> None:
        self.calls.append("drop")

    def kill(self) -> None:
        self.killed = True

    async def aclose(self) -> None:
        self.closed = True

    def ready(self) -> None:
        """It has loaded."""
        assert self.owner
        self.owner.on_ready(self)

    def understand(self, text: str) -> None:
        """It has an interim result for all it heard."""
        assert self.owner
        self.owner.on_partial(self, Partial(text, self.heard))

    def conclude(self, text: str, profile: str | None = None) -> None:
        """It is done: a word each 100 ms, however little it heard."""
        assert self.owner
        words = enumerate(text.split())
        heard = tuple(HeardWord(word, i * BLOCK, (i + 1) * BLOCK, 0.5) for i, word in words)
        self.owner.on_final(self, Final(heard, profile))

    def die(self, reason: str = "by hand") -> None:
        assert self.owner
        self.owner.on_death(self, reason)


@dataclass
class Bench:
    """A pool of hand decoders, and streams that keep what they are told."""

    size: int = 1
    bounds: Bounds = field(default_factory=Bounds)
    clock: ManualClock = field(default_factory=ManualClock)
    decoders: list[HandDecoder] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pool = Pool(self._make, size=self.size, clock=self.clock, bounds=self.bounds)

    def _make(self) -> HandDecoder:
        self.decoders.append(HandDecoder())
        return self.decoders[-1]

    def ready(self) -> HandDecoder:
        """One decoder, launched and loaded."""
        self.pool.warm()
        self.decoders[-1].ready()
        return self.decoders[-1]

    def listener(self, flush_s: float = 5.0) -> "Listener":
        """A stream of the pool."""
        return Listener(self.pool, flush_s)


class Listener:
    """One stream and all it said."""

    def __init__(self, pool: Pool, flush_s: float) -> None:
        self.updates: list[TranscriptUpdate] = []
        self.warnings: list[str] = []
        self.at = 0
        self.stream = PooledStream(
            pool, emit=self.updates.append, warn=self.warnings.append, language="en", flush_s=flush_s
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


async def until(done: Callable[[], bool]) -> None:
    """Return when a process has got there; it is looked at often, for a minute."""
    async with asyncio.timeout(60):
        while not done():  # noqa: ASYNC110 - what is looked at has no event
            await asyncio.sleep(0.002)


def sound(stretches: Sequence[tuple[float, bool]], seed: int = 0) -> Samples:
    """Noise at -24 dBFS where loud and -72 dBFS where not; 16 kHz, stretches in seconds."""
    random = np.random.default_rng(seed)
    parts = [
        random.standard_normal(round(seconds * 16_000)) * (2_000.0 if loud else 8.0)
        for seconds, loud in stretches
    ]
    return np.concatenate(parts).astype(np.int16)
