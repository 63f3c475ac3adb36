"""The newest stretch of one session's 16 kHz audio, addressed by absolute sample index."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = npt.NDArray[np.int16]
Writable: TypeAlias = bytes | bytearray | memoryview | Samples

_ITEM = 2
"""Bytes of one int16."""


class RingOverrunError(IndexError):
    """The samples asked for were overwritten, or were dropped by a restart."""


class Ring:
    """Holds the last `capacity` int16 samples written; sample `i` lies at `i % capacity`.

    Writes go through one cached `memoryview` of the buffer: a third cheaper than assigning numpy slices,
    and a network frame needs no array around it. Reads are views, so nothing is copied until someone asks.
    Bytes written are taken as native int16, which on the little-endian machines served is `pcm_s16le`.
    """

    __slots__ = ("_buffer", "_bytes", "_floor", "capacity", "head")

    capacity: int
    """Samples held at most."""
    head: int
    """Absolute index of the next sample written; the total written where the ring began at 0."""

    def __init__(self, capacity: int, *, start: int = 0) -> None:
        """An empty ring of `capacity` > 0 samples whose first sample will have index `start`."""
        self._allocate(capacity)
        self.head = self._floor = start

    @property
    def oldest(self) -> int:
        """Absolute index of the oldest sample held; equals `head` while nothing is."""
        return max(self._floor, self.head - self.capacity)

    def write(self, samples: Writable) -> None:
        """Append `samples`: int16, or bytes of whole int16s. Of more than `capacity`, the last ones stay."""
        data = samples if isinstance(samples, bytes) else _as_bytes(samples)
        nbytes = len(data)
        size = self.capacity * _ITEM
        head = self.head + nbytes // _ITEM
        if nbytes > size:
            data = data[nbytes - size :]
            nbytes = size
        start = head * _ITEM - nbytes
        start %= size
        stop = start + nbytes
        if stop <= size:
            self._bytes[start:stop] = data
        else:
            split = size - start
            self._bytes[start:] = data[:split]
            self._bytes[: stop - size] = data[split:]
        self.head = head

    def views(self, start: int, stop: int) -> tuple[Samples, ...]:
        """Samples [start, stop) where they lie: one view, or two where they wrap; valid until the next write.

        Raises:
            RingOverrunError: `start` is no longer held.
            IndexError: `stop` is not written yet, or lies before `start`.
        """
        self._check(start, stop)
        first = start % self.capacity
        last = first + stop - start
        if last <= self.capacity:
            return (self._buffer[first:last],)
        return self._buffer[first:], self._buffer[: last - self.capacity]

    def copy(self, start: int, stop: int) -> Samples:
        """Samples [start, stop), shape (stop - start,); raises as `views` does."""
        views = self.views(start, stop)
        return views[0].copy() if len(views) == 1 else np.concatenate(views)

    def copy_into(self, out: npt.NDArray[np.int16], start: int, stop: int) -> None:
        """Copy samples [start, stop) to the front of `out`; raises as `views` does."""
        at = 0
        for view in self.views(start, stop):
            out[at : at + len(view)] = view
            at += len(view)

    def resize(self, capacity: int) -> None:
        """Change the capacity to `capacity` > 0 samples; the newest that fit stay, under their indices."""
        start = max(self.oldest, self.head - capacity)
        kept = self.views(start, self.head)
        self._allocate(capacity)
        self.restart(start)
        for view in kept:
            self.write(view)

    def restart(self, start: int) -> None:
        """Drop everything; the next sample written has index `start`."""
        self.head = self._floor = start

    def _allocate(self, capacity: int) -> None:
        if capacity <= 0:
            raise ValueError("a ring holds at least one sample")
        self.capacity = capacity
        self._buffer: Samples = np.empty(capacity, np.int16)
        self._bytes = self._buffer.data.cast("B")

    def _check(self, start: int, stop: int) -> None:
        if not start <= stop <= self.head:
            raise IndexError(f"[{start}, {stop}) is not within what was written, up to {self.head}")
        if start < self.oldest:
            raise RingOverrunError(f"sample {start} is gone; the oldest held is {self.oldest}")


def _as_bytes(samples: bytearray | memoryview | Samples) -> memoryview:
    """A flat byte view; an empty one has to be made, since Python casts none."""
    view = samples.data if isinstance(samples, np.ndarray) else memoryview(samples)
    return view.cast("B") if view.nbytes else memoryview(b"")
