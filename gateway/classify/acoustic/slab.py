"""The audio between the gateway and one worker: memory that both see, so that a window is copied once.

It is anonymous (`memfd_create(2)`): no name in any file system, gone with the two processes. Whoever writes
does so only while the other has nothing to do with it.
"""

import mmap
import os
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.classify.port import SAMPLE_RATE

WINDOWS: Final = 32
"""As many of the longest windows that a session may have fit in."""
WINDOW_S: Final = 5
CAPACITY: Final = WINDOWS * WINDOW_S * SAMPLE_RATE
"""Samples. Only what was ever used is resident."""

Samples = npt.NDArray[np.int16]


class Slab:
    """One side's view of it.

    Args:
        fd: as the other side's `fd`; None makes a new one. It is this side's from then on.

    Raises:
        OSError: there is no memory for it, or `fd` is none.
    """

    def __init__(self, fd: int | None = None) -> None:
        self._fd = os.memfd_create("undertone-windows", os.MFD_CLOEXEC) if fd is None else fd
        if fd is None:
            os.ftruncate(self._fd, 2 * CAPACITY)
        self._samples: Samples | None = np.frombuffer(mmap.mmap(self._fd, 2 * CAPACITY), dtype="<i2")

    @property
    def fd(self) -> int:
        """For the other side to map."""
        return self._fd

    def put(self, windows: Sequence[Samples]) -> None:
        """One after the other, from the beginning; they must fit."""
        assert self._samples is not None
        at = 0
        for samples in windows:
            self._samples[at : at + len(samples)] = samples
            at += len(samples)

    def views(self, lengths: Sequence[int]) -> list[Samples]:
        """What was put, without a copy.

        Raises:
            ValueError: so much does not fit.
        """
        assert self._samples is not None
        if sum(lengths) > CAPACITY or min(lengths, default=0) < 0:
            raise ValueError("more samples than there is room for")
        found, at = [], 0
        for length in lengths:
            found.append(self._samples[at : at + length])
            at += length
        return found

    def close(self) -> None:
        """Let go of it; the memory is free once nobody looks at it any more. May be called twice."""
        if self._samples is not None:
            self._samples = None
            os.close(self._fd)


def parts(lengths: Sequence[int], most: int = CAPACITY) -> list[range]:
    """Which windows go together so that each part fits; one that never fits stands alone."""
    found: list[range] = []
    begin = held = 0
    for place, length in enumerate(lengths):
        if place > begin and held + length > most:
            found.append(range(begin, place))
            begin, held = place, 0
        held += length
    return [*found, range(begin, len(lengths))] if lengths else []
