"""The continuous 16 kHz stream of a session, in blocks for a transcriber."""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.audio.resample import source_index
from gateway.audio.ring import Ring, Samples

BLOCK: Final = 1_600
"""16 kHz samples: 100 ms."""

_NOTHING: Final[Samples] = np.empty(0, np.int16)
_CLOSED_BLOCKS: Final = 16
"""Blocks of a flush that wait for `take`, the newest; a tap that is read as it should be has six at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A piece of the stream."""

    start_sample: int
    """At the client's rate; the first after a jump may be less than a 16 kHz sample early."""
    end_sample: int
    """At the client's rate; the next block's `start_sample`, unless the clock jumped."""
    start16k: int
    """16 kHz index of the first sample."""
    samples16k: Samples
    """Shape (n,), a copy; 1,600 samples ending at a multiple of 1,600, fewer on either side of a flush."""


class Tap:
    """A place in the stream. What the ring has overwritten before it was read is passed over."""

    __slots__ = ("_closed", "_rate", "at")

    at: int
    """16 kHz index of the next block."""

    def __init__(self, rate: int, at: int) -> None:
        self._rate = rate
        self.at = at
        self._closed: deque[Block] = deque(maxlen=_CLOSED_BLOCKS)

    def take(self, ring: Ring) -> list[Block]:
        """The blocks of what `close` left, then the whole ones that `ring` holds by now."""
        blocks = list(self._closed)
        self._closed.clear()
        blocks += self._blocks(ring, ring.head - ring.head % BLOCK, _NOTHING)
        return blocks

    def close(self, ring: Ring, until: int, tail: Samples) -> None:
        """Set aside everything up to 16 kHz index `until`, the end of the ring's samples and `tail`."""
        self._closed.extend(self._blocks(ring, until, tail))

    def _blocks(self, ring: Ring, until: int, tail: Samples) -> list[Block]:
        if self.at < ring.oldest:
            self.at = -(-ring.oldest // BLOCK) * BLOCK
        blocks = []
        while self.at < until:
            stop = min(until, self.at - self.at % BLOCK + BLOCK)
            blocks.append(self._block(ring, stop, tail))
            self.at = stop
        return blocks

    def _block(self, ring: Ring, stop: int, tail: Samples) -> Block:
        start, head = self.at, ring.head
        samples = np.empty(stop - start, np.int16)
        stable = max(0, min(stop, head) - start)
        if stable:
            ring.copy_into(samples, start, start + stable)
        samples[stable:] = tail[max(0, start - head) : max(0, stop - head)]
        return Block(source_index(start, self._rate), source_index(stop, self._rate), start, samples)
