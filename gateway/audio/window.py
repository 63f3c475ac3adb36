"""Frames of PCM in, windows of 16 kHz audio out: the decoder, resampler, ring and grid of one session."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np

from gateway.audio.grid import Grid
from gateway.audio.pcm import Decoder, looks_like_container
from gateway.audio.resample import RATE_OUT, Resampler, position
from gateway.audio.ring import Ring, RingOverrunError, Samples
from gateway.audio.tap import BLOCK, Block, Tap
from protocol.audio import AudioEncoding, AudioFormat
from protocol.errors import ErrorCode, ProtocolError

__all__ = ["Block", "Cut", "Frame", "RingOverrunError", "WindowCutter", "position"]

Frame: TypeAlias = bytes | bytearray | memoryview
"""PCM in the session's format; a memoryview is one of bytes."""

_SLACK: Final = 64
"""16 kHz samples a ring holds beyond a window: room for the rounding of both its ends."""
_GROWTH: Final = 2_048
"""16 kHz samples: a ring grows by pages of memory."""
_CALM_CUTS: Final = 8
"""Cuts in a row that were read in time before a grown ring shrinks back."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One window of a session: where it lies, and the way back to its samples.

    At a rate other than 16 kHz it carries its provisional tail, so that its samples are the same whenever
    they are read.
    """

    start_sample: int
    """First sample analysed, at the client's rate."""
    end_sample: int
    """End of what is analysed and of what is owned, at the client's rate."""
    owned_start: int
    """First sample no earlier window has covered, at the client's rate."""
    position16k_start: int
    """16 kHz index: `position16k_stop` less the window, for a full one; always less than the stop."""
    position16k_stop: int
    """16 kHz index: `position(end_sample)`."""
    number: int
    """Cuts of a session count from 1."""
    ring: Ring = field(repr=False, compare=False)
    """Where the samples lie."""
    exists_from: int = field(repr=False, compare=False)
    """16 kHz index of the first sample there is; up to two before it, from rounding, repeat it."""
    tail: Samples = field(repr=False, compare=False)
    """The last samples, where the resampler had not yielded them yet."""

    @property
    def samples16k(self) -> int:
        """Length at 16 kHz: `window_ms * 16` for a full window, at least 1 for a flushed one."""
        return self.position16k_stop - self.position16k_start

    def owning_from(self, sample: int) -> "Cut":
        """The same, owning nothing before `sample`."""
        return self if self.owned_start >= sample else replace(self, owned_start=sample)


class WindowCutter:
    """Cuts one session's audio into windows: synchronous, and the same for any split into frames.

    A cut stays readable until it was read, or `waiting` + 1 later ones were made and another begins to
    overwrite it. The ring holds one window, and grows only while cuts wait to be read.
    """

    __slots__ = (
        "_calm",
        "_decoder",
        "_direct",
        "_end",
        "_fed_from",
        "_fmt",
        "_grid",
        "_held",
        "_low",
        "_made",
        "_readable",
        "_resampler",
        "_ring",
        "_short",
        "_tap",
        "next_sample",
    )

    next_sample: int
    """Samples received and skipped so far, at the client's rate; the index of the next one."""

    def __init__(self, fmt: AudioFormat, window_ms: int, hop_ms: int, *, waiting: int) -> None:
        """Cut windows of `window_ms` every `hop_ms` ≤ `window_ms`, of which `waiting` ≥ 0 may wait unread."""
        self._fmt = fmt
        self._direct = fmt == AudioFormat(AudioEncoding.PCM_S16LE, RATE_OUT, 1)
        self._decoder = Decoder(fmt)
        self._resampler = Resampler(fmt.sample_rate)
        self._grid = Grid(fmt.sample_rate, window_ms, hop_ms)
        self._ring = Ring(self._base)
        self._held: list[Cut] = []  # few: an empty deque takes 760 bytes
        self._readable = waiting + 2
        self._made = 0
        self._tap: Tap | None = None
        self._calm = self._fed_from = self.next_sample = 0
        self._find_low()
        self._find_short()

    @property
    def pending(self) -> int:
        """Samples received that no cut owns yet, at the client's rate."""
        return self.next_sample - self._grid.owned

    @property
    def dangling(self) -> int:
        """Bytes of an unfinished sample."""
        return self._decoder.dangling

    @property
    def filling_from(self) -> int:
        """First sample of the window being filled, at the client's rate."""
        return self._grid.start

    def on_grid(self, window_from: int, sample: int) -> int:
        """The first sample of the last window that begins at or before `sample`, counted back in hops from
        one that begins at `window_from`; the oldest there is where the audio begins later. All at the
        client's rate."""
        hop = self._grid.hop
        back = max(0, -(-(window_from - sample) // hop))
        # A window from before the present stretch of audio can't be counted back: its own is forgotten.
        return max(min(self._grid.floor, window_from), window_from - back * hop)

    # What comes in -------------------------------------------------------------------------------------

    def absorb(self, data: Frame) -> int:
        """Take one frame the short way, which most go: whole samples as the ring holds them, no further than
        the end of the window. Returns their number; 0 where `feed` has to take the frame.

        The window may be complete then: see `due`.
        """
        nbytes = len(data)
        count = nbytes >> 1
        after = self.next_sample + count
        if not self._short or nbytes & 1 or after > self._end:
            return 0
        # The bytes are the ring's own: no array is needed.
        ring = self._ring
        self._fed_from = head = ring.head
        low = self._low if self._tap is None else self._wanted_from()
        if head + count - low > ring.capacity:
            self._make_room(count)
        ring.write(data)
        self.next_sample = after
        return count

    @property
    def due(self) -> bool:
        """Whether the window being filled is complete, and `cut` is what comes next."""
        return self.next_sample >= self._end

    def cut(self) -> Cut:
        """The window being filled, which must be complete; the next one begins."""
        grid = self._grid
        cut = self._cut(grid.start16k, self.next_sample, self._resampler.tail())
        grid.advance()
        self._find_low()
        return cut

    def feed(self, data: Frame) -> list[Cut]:
        """Take one frame of any size; returns the windows it completed, oldest first.

        Raises:
            ProtocolError: `invalid_audio`; nothing was consumed (see `unusable`).
        """
        if self.absorb(data):
            return [self.cut()] if self.due else []
        self._fed_from = self._ring.head
        samples = self._decoder.decode(data)
        self._find_short()
        return self._take(samples)

    def pieces(self, data: Frame) -> Sequence[Frame]:
        """`data` in pieces that complete one window at most, for frames longer than what may wait.

        Raises:
            ProtocolError: as `feed` would for any of the pieces, before the first is fed.
        """
        size = self._grid.hop * self._fmt.bytes_per_sample
        if len(data) <= size:
            return (data,)
        self._decoder.check(data)
        view = memoryview(data)
        return [view[at : at + size] for at in range(0, len(view), size)]

    def check(self, data: Frame) -> None:
        """Raise as `feed` would, and consume nothing."""
        self._decoder.check(data)

    def unusable(self, data: Frame) -> int:
        """Consume a frame that `feed` refused; returns the samples it took up, for the caller to skip."""
        skipped = self._decoder.skip(data)
        self._find_short()
        return skipped

    def drop_dangling(self) -> int:
        """Forget the bytes of an unfinished sample; returns their number."""
        dropped = self._decoder.drop_dangling()
        self._find_short()
        return dropped

    def refuse_container(self, data: Frame) -> None:
        """Look at a session's first frame.

        Raises:
            ProtocolError: `unsupported_audio`, fatal: it begins a file format, so the rest is no PCM either.
        """
        found = looks_like_container(data)
        if found is not None:
            raise ProtocolError(
                ErrorCode.UNSUPPORTED_AUDIO,
                f"this is a {found} stream; send the {self._fmt.encoding} samples alone",
                fatal=True,
            )

    def flush(self) -> Cut | None:
        """Cut the window being filled short; a first window follows. None where nothing is pending."""
        grid = self._grid
        tail = self._resampler.tail()
        if self._tap is not None:
            self._tap.close(self._ring, self._position(self.next_sample), tail)
        if not self.pending:
            return None
        start = max(grid.start16k, grid.floor16k)
        cut = self._cut(min(start, self._position(self.next_sample) - 1), self.next_sample, tail)
        grid.begin(self.next_sample, floor=grid.floor)
        self._find_low()
        return cut

    def skip(self, to_sample: int) -> None:
        """The audio up to `to_sample` is missing: the clock jumps there, and a first window begins.

        What is pending is dropped, so flush first to keep it. Cuts made before stay readable. The bytes of
        an unfinished sample stay too: they belong to the byte stream, not to the clock.

        Raises:
            ValueError: `to_sample` lies in the past.
        """
        if to_sample < self.next_sample:
            raise ValueError(f"sample {to_sample} is before {self.next_sample}")
        if self._tap is not None:
            self._tap.close(self._ring, self._position(self.next_sample), self._resampler.tail())
            self._tap.at = self._position(to_sample)
        self._resampler.reset(to_sample)
        self._grid.begin(to_sample, floor=to_sample)
        self.next_sample = to_sample
        if self._held:
            self._ring = Ring(self._base, start=self._resampler.head)
        else:
            self._ring.restart(self._resampler.head)
        self._find_low()

    def configure(self, window_ms: int, hop_ms: int) -> None:
        """Change window and hop from the next window on; at once where the one being filled is empty.

        The window being filled keeps its end. Windows that would need audio older than its start begin
        there, and are short.

        Raises:
            ValueError: not 0 < `hop_ms` ≤ `window_ms`; nothing has changed.
        """
        self._grid.configure(window_ms, hop_ms, started=self.pending > 0)
        self._find_low()

    def release(self) -> None:
        """No audio comes any more: let go of the resampler's state, some hundred KiB that Python's garbage
        collector knows nothing of and would leave for long. The clock stays."""
        self._resampler.reset(self.next_sample)

    # What comes out ------------------------------------------------------------------------------------

    def samples(self, cut: Cut) -> Samples:
        """The samples of `cut`, shape (n,) int16 at 16 kHz, as a copy.

        Raises:
            RingOverrunError: the cut is older than what stays readable.
        """
        if not len(cut.tail) and cut.exists_from == cut.position16k_start:
            row = cut.ring.copy(cut.position16k_start, cut.position16k_stop)
            self._release(cut)
        else:
            row = np.empty(cut.samples16k, np.int16)
            self.copy_into(cut, row)
        return row

    def copy_into(self, cut: Cut, row: Samples) -> int:
        """Copy the samples of `cut` to the front of `row`; returns their number n ≤ len(row).

        Raises:
            RingOverrunError: the cut is older than what stays readable.
        """
        count = cut.samples16k
        missing = cut.exists_from - cut.position16k_start
        stable = count - len(cut.tail)
        if missing < stable:
            cut.ring.copy_into(row[missing:], cut.exists_from, cut.position16k_start + stable)
        row[stable:count] = cut.tail
        if missing:
            row[:missing] = row[missing] if missing < count else 0
        self._release(cut)
        return count

    def tap(self) -> list[Block]:
        """The 16 kHz stream since the last call, in blocks of 100 ms: only what will not change any more.

        Call it after each feed, flush and skip: what a frame brought is kept until the next frame. A flush or
        skip lets the last, shorter block go too, its end provisional. The first call begins with the window
        being filled, so a call before the first feed misses nothing. Costs nothing if never called.
        """
        if self._tap is None:
            self._tap = Tap(self._fmt.sample_rate, self._position(self._grid.start))
        return self._tap.take(self._ring)

    # Inside --------------------------------------------------------------------------------------------

    def _take(self, samples: Samples) -> list[Cut]:
        cuts: list[Cut] = []
        at = 0
        while self.next_sample + len(samples) - at >= self._grid.end:
            part = self._grid.end - self.next_sample
            self._push(samples[at : at + part])
            at += part
            cuts.append(self.cut())
        if at < len(samples):
            self._push(samples[at:])
        return cuts

    def _push(self, samples: Samples) -> None:
        self.next_sample += len(samples)
        stable = self._resampler.feed(samples)
        self._make_room(len(stable))
        self._ring.write(stable)

    def _cut(self, start16k: int, end: int, tail: Samples) -> Cut:
        """Make the window from `start16k` to client sample `end` a cut, and hold its samples."""
        if self._ring.capacity > self._base:
            self._give_room_back()
        stop16k = self._position(end)
        exists_from = min(max(start16k, self._grid.floor16k), stop16k)
        wanted = stop16k - exists_from
        self._made += 1
        while self._held and self._held[0].number <= self._made - self._readable:
            del self._held[0]
        cut = Cut(
            number=self._made,
            start_sample=self._grid.start,
            end_sample=end,
            owned_start=self._grid.owned,
            position16k_start=start16k,
            position16k_stop=stop16k,
            ring=self._ring,
            exists_from=exists_from,
            tail=tail[max(0, len(tail) - wanted) :],
        )
        self._held.append(cut)
        return cut

    def _release(self, cut: Cut) -> None:
        """Let the ring overwrite what only `cut` needed."""
        if self._held and self._held[0] is cut:
            del self._held[0]
            self._find_low()
        elif cut in self._held:
            self._held.remove(cut)
            self._find_low()

    # Room in the ring ----------------------------------------------------------------------------------

    @property
    def _base(self) -> int:
        return self._grid.window16k + _SLACK

    def _make_room(self, count: int) -> None:
        """Grow the ring where `count` more samples would overwrite what is still wanted."""
        ring = self._ring
        wanted = ring.head + count - self._wanted_from()
        if wanted > ring.capacity:
            ring.resize(-(-wanted // _GROWTH) * _GROWTH)

    def _give_room_back(self) -> None:
        """Shrink a grown ring once windows have been read in time for a while."""
        self._calm = 0 if self._held else self._calm + 1
        if self._calm >= _CALM_CUTS and self._ring.head - self._wanted_from() <= self._base:
            self._ring.resize(self._base)
            self._calm = 0

    def _wanted_from(self) -> int:
        """16 kHz index of the oldest sample that must not be overwritten."""
        if self._tap is None:
            return self._low
        return min(self._low, max(self._tap.at, self._fed_from - BLOCK))

    def _find_short(self) -> None:
        """Whether a frame of whole samples may take the short way. Kept, as is the end of the window: each
        frame asks, and of many sessions every object looked at is fetched from far."""
        self._short = self._direct and not self._decoder.dangling

    def _find_low(self) -> None:
        """The oldest 16 kHz sample that cuts and the window being filled want; the grid has moved."""
        self._end = self._grid.end
        ring = self._ring
        low = self._grid.start16k
        for cut in self._held:
            if cut.ring is ring and cut.exists_from < low:
                low = cut.exists_from
        self._low = low

    def _position(self, sample: int) -> int:
        return position(sample, self._fmt.sample_rate)
