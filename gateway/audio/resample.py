"""Any rate from 8 to 48 kHz to 16 kHz, so that output index and input index keep telling the same time.

libsoxr filters in blocks, so its stream trails the input by 100 to 1,900 output samples, differently at each
call. It adds no delay of its own: its output sample k lies at k / 16000 s of the input. What is missing at
the moment a window ends, the *tail*, is therefore computed apart: the last stretch of input is resampled once
more, from an input index where both rates' grids meet, and with its last sample held to the right in place of
the audio that is not there yet. The stream itself is not touched and later yields those samples for good.

Input enters the stream in blocks aligned to its own index, whatever the sizes it came in: output and tail
depend on what was fed, never on how it was split.
"""

from math import gcd
from typing import Final

import numpy as np
import numpy.typing as npt
import soxr

from gateway.audio.ring import Samples

RATE_OUT: Final = 16_000
"""Hertz."""

_BLOCK_MS: Final = 100
"""Input enters the stream in blocks this long. At 20 ms the fixed cost of a call adds two thirds."""
_LEFT: Final = 128
"""Output samples of context before a tail; its start is then within -98 dB of the stream's output."""
_RIGHT: Final = 64
"""Output samples' worth of held input after a tail."""
_QUALITY: Final = "HQ"

_EMPTY: Final[Samples] = np.empty(0, np.int16)


def position(sample: int, rate_in: int) -> int:
    """16 kHz samples that lie within the first `sample` samples at `rate_in`: the index both share."""
    return sample * RATE_OUT // rate_in


def source_index(position16k: int, rate_in: int) -> int:
    """The first input sample index at or after 16 kHz index `position16k`."""
    return -(-position16k * rate_in // RATE_OUT)


class Resampler:
    """One session's way to 16 kHz. At 16 kHz it hands its input through and holds nothing.

    Holds one soxr stream, from the first whole block on, and the input that the next tail may need: 100 ms
    and the stream's lag, or one second where the rate has no grid in common with 16 kHz (a prime rate).
    """

    __slots__ = (
        "_block",
        "_history",
        "_origin",
        "_period",
        "_stream",
        "_streamed",
        "_yielded",
        "fed",
        "head",
        "rate",
    )

    rate: int
    """Hertz of the input."""
    fed: int
    """Input index of the next sample fed."""
    head: int
    """16 kHz index of the next sample that `feed` returns."""

    def __init__(self, rate_in: int) -> None:
        self.rate = rate_in
        self._block = rate_in * _BLOCK_MS // 1000
        self._period = rate_in // gcd(rate_in, RATE_OUT)
        self.reset()

    def reset(self, at: int = 0) -> None:
        """Forget everything fed; the next sample has input index `at`.

        The grids of the two rates meet at every `period`th input sample, so silence is put between the last
        meeting and `at`: indices stay true to a fraction of a sample after a jump too.
        """
        self.fed = at
        self.head = position(at, self.rate)
        self._origin = self._streamed = at - at % self._period
        self._yielded = position(self._origin, self.rate)
        self._history: Samples = np.zeros(at - self._origin, np.int16)
        self._stream: soxr.ResampleStream | None = None

    def feed(self, samples: Samples) -> Samples:
        """Take shape (n,) int16 input; returns what became stable from `head` on: shape (m,) int16, m ≥ 0."""
        self.fed += len(samples)
        if self.rate == RATE_OUT:
            self.head = self.fed
            return samples
        self._history = np.concatenate((self._history, samples))
        if self.fed < self._boundary():
            return _EMPTY
        output = self._run_stream()
        self._trim()
        return output

    def tail(self) -> Samples:
        """The provisional samples from `head` to `position(fed)`, shape (m,) int16; changes nothing.

        Against what the stream yields later, on speech: -43 dB or better before the last millisecond, -22 to
        -35 dB in it, since the filter lacks the audio to come; -67 dB or better over a 1 s window.
        """
        stop = position(self.fed, self.rate)
        if stop <= self.head:
            return _EMPTY
        start = self._context_start()
        known = self.fed - start
        context = np.empty(known + self.rate * _RIGHT // RATE_OUT + 1, np.float32)
        context[:known] = self._history[start - self._origin :]
        context[known:] = context[known - 1]
        resampled = soxr.resample(context, self.rate, RATE_OUT, quality=_QUALITY)
        first = position(start, self.rate)
        return _quantised(resampled[self.head - first : stop - first])

    def _boundary(self) -> int:
        """Input index at which the block now being filled ends."""
        return self._streamed - self._streamed % self._block + self._block

    def _run_stream(self) -> Samples:
        """Push every whole block; returns the output from `head` on."""
        if self._stream is None:
            self._stream = soxr.ResampleStream(self.rate, RATE_OUT, 1, dtype="float32", quality=_QUALITY)
        outputs = []
        while self.fed >= (boundary := self._boundary()):
            block = self._history[self._streamed - self._origin : boundary - self._origin]
            outputs.append(self._stream.resample_chunk(block.astype(np.float32)))
            self._streamed = boundary
        output = outputs[0] if len(outputs) == 1 else np.concatenate(outputs)
        surplus = self.head - self._yielded
        self._yielded += len(output)
        self.head = max(self.head, self._yielded)
        return _quantised(output[surplus:] if surplus > 0 else output)

    def _context_start(self) -> int:
        """Input index on the common grid from which a tail at `head` has enough context."""
        wanted = max(0, self.head - _LEFT) * self.rate // RATE_OUT
        return max(self._origin, wanted - wanted % self._period)

    def _trim(self) -> None:
        """Let go of input that no tail can need any more."""
        start = self._context_start()
        self._history = self._history[start - self._origin :].copy()
        self._origin = start


def _quantised(values: npt.NDArray[np.float32]) -> Samples:
    """Round to int16, clipping the overshoot of the filter."""
    return np.clip(np.rint(values), -32768, 32767).astype(np.int16)
