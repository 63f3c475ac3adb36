"""What a window costs here and now: a few batches of made-up voices, and the processor's own clock.

The processor's time and not the wall's: who else is busy on the machine changes it little, and what cores
share (caches, the two threads of one core) changes it as it will change the work.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np

from gateway.classify.acoustic.classifier import STATE, analyse
from gateway.classify.port import SAMPLE_RATE, Window

VOICES: Final = 4
HEARD_S: Final = 6
"""Seconds that each was heard before, so that there is as much to remember as usual."""
ROUNDS: Final = 3
AT_LEAST: Final = 8
"""Windows in a round of any size: a fifth of a second for all sizes together."""

Clock = Callable[[], float]


def costs(sizes: Sequence[int], clock: Clock = time.process_time, rounds: int = ROUNDS) -> dict[int, float]:
    """Seconds of CPU a window by batch size; of each the best of some rounds, taken in turns.

    Args:
        clock: of this process, or of this thread where others are at work.
    """
    windows = _windows()
    batches = {size: [windows[i % VOICES] for i in range(size)] for size in sizes}
    best = dict.fromkeys(sizes, float("inf"))
    for _ in range(rounds):
        for size, batch in batches.items():
            times = max(1, AT_LEAST // size)
            begun = clock()
            for _ in range(times):
                analyse(batch)
            best[size] = min(best[size], (clock() - begun) / (times * size))
    return best


def in_thread(sizes: Sequence[int]) -> dict[int, float]:
    """Likewise, on a thread of a process that has others to run."""
    return costs(sizes, time.thread_time)


@cache
def _windows() -> tuple[Window, ...]:
    """One of each voice; `analyse` leaves their states alone, so they serve again and again."""
    windows = [Window(_voice(number), SAMPLE_RATE, 1.0, {}) for number in range(VOICES)]
    for second in range(HEARD_S):
        heard = [replace(window, end_s=1.0 + second) for window in windows]
        windows = [
            replace(window, end_s=2.0 + second, state={STATE: state})
            for window, (_, state) in zip(heard, analyse(heard), strict=True)
        ]
    return tuple(windows)


def _voice(number: int) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    """A second of gliding harmonics in syllables: the classifier takes it for speech."""
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    f0 = (110 + 30 * number) * 2 ** (0.25 * np.sin(2 * np.pi * 2.5 * time_s))
    phase = 2 * np.pi * np.cumsum(f0) / SAMPLE_RATE
    sound = sum((np.sin(k * phase) / k for k in range(1, 13)), np.zeros(SAMPLE_RATE))
    sound *= 0.55 + 0.45 * np.sin(2 * np.pi * 4 * time_s)
    sound += np.random.default_rng(number).normal(0, 0.01, SAMPLE_RATE)
    pcm: np.ndarray[tuple[int], np.dtype[np.int16]] = (sound / np.abs(sound).max() * 9_000).astype(np.int16)
    return pcm
