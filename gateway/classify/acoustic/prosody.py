"""What each window's speech is like as a whole: a dozen numbers from the frames, for a batch at once.

Medians over voiced speech, as in Bone, Lee and Narayanan 2014 (IEEE TAFFC 5(2)); rates and ranges as in
GeMAPS (Eyben et al. 2016). One window is short for a rate: `tone` averages it over several.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from gateway.classify.acoustic import masked
from gateway.classify.acoustic.features import Features

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

REFERENCE_HZ = 100.0
"""Hertz that count as 0 semitones."""
NUCLEUS = 5
"""Frames (50 ms) each side over which a loudness peak must be the highest."""
VALLEY = 10
"""Frames (100 ms) each side in which the loudness must have been lower by `PROMINENCE`."""
PROMINENCE = 0.15
"""Part of a peak's loudness by which it stands out."""
TERMINAL = 30
"""Frames (300 ms) at most of the voice's end that tell whether it rises."""
LEAST_TERMINAL = 8
"""Frames (80 ms) below which it isn't told."""
PAUSE = 12
"""Frames (120 ms) without voice that end a phrase."""


@dataclass(frozen=True, slots=True)
class Prosody:
    """One window's speech."""

    speech_s: float
    voiced_s: float
    """Voiced speech."""
    f0_st: float
    """Median pitch, semitones above 100 Hz."""
    range_st: float
    """20th to 80th percentile of pitch, semitones."""
    level_db: float
    """Median level, dBFS."""
    hf500_db: float
    """Median energy above 500 Hz over that below, dB."""
    hnr_db: float
    """Median harmonics to noise, dB."""
    noise_db: float
    """The level that a tenth of the window's frames stay under, dBFS."""
    nuclei: int
    """Loudness peaks in voiced speech: about one a syllable."""
    terminal_st_s: float | None
    """Pitch slope where the voice ends before a pause, semitones a second; None where no phrase ends."""


def measure(features: Features) -> list[Prosody]:
    """The prosody of every window; all numbers 0 where there is no voiced speech."""
    voiced = features.voiced & features.speech
    semitones = 12.0 * np.log2(np.where(voiced, features.f0_hz, REFERENCE_HZ) / REFERENCE_HZ)
    low, middle, high = masked.quantiles(semitones.astype(np.float32), voiced, (0.2, 0.5, 0.8))
    columns = (
        features.speech.sum(axis=1) * features.frame_hop_s,
        voiced.sum(axis=1) * features.frame_hop_s,
        middle,
        high - low,
        masked.median(features.level_db, voiced),
        masked.median(features.hf500_db, voiced),
        masked.median(features.hnr_db, voiced),
        masked.quantiles(features.level_db, features.valid, (0.1,))[0],
    )
    nuclei = _nuclei(features.loudness, voiced).tolist()
    terminal = [
        terminal_slope(voiced[i, :count], semitones[i, :count], features.frame_hop_s)
        for i, count in enumerate(features.frames.tolist())
    ]
    rows = zip(*(np.asarray(column, dtype=np.float64).tolist() for column in columns), strict=True)
    return [
        Prosody(speech, voice, f0, spread, level, hf500, hnr, noise, count, slope)
        for (speech, voice, f0, spread, level, hf500, hnr, noise), count, slope in zip(
            rows, nuclei, terminal, strict=True
        )
    ]


def _nuclei(loudness: Float, voiced: Bool) -> npt.NDArray[np.intp]:
    """Peaks of loudness that are the highest of 110 ms and stand out on both sides; shape (B,)."""
    smooth = _around(loudness, 1).mean(axis=2)
    peak = smooth >= _around(smooth, NUCLEUS).max(axis=2)
    padded = np.pad(smooth, ((0, 0), (VALLEY, VALLEY)), mode="edge")
    lowest = sliding_window_view(padded, VALLEY + 1, axis=1).min(axis=2)
    valley = np.maximum(lowest[:, :-VALLEY], lowest[:, VALLEY:])
    stands = valley < (1.0 - PROMINENCE) * smooth
    return np.asarray((peak & stands & voiced).sum(axis=1), dtype=np.intp)


def _around(values: Float, reach: int) -> Float:
    """Each frame with `reach` neighbours on both sides; shape (B, F, 2 reach + 1)."""
    return sliding_window_view(np.pad(values, ((0, 0), (reach, reach)), mode="edge"), 2 * reach + 1, axis=1)


def terminal_slope(voiced: Bool, semitones: npt.NDArray[np.floating], frame_s: float) -> float | None:
    """Theil-Sen slope of the last voiced stretch (at most 300 ms) if a pause follows it in the window.

    Args:
        voiced: shape (F,).
        semitones: shape (F,).
        frame_s: seconds between frames.
    """
    heard = np.flatnonzero(voiced)
    if len(heard) == 0 or len(voiced) - 1 - heard[-1] < PAUSE:
        return None
    last = heard[-TERMINAL:]
    breaks = np.flatnonzero(np.diff(last) > 2)
    last = last[breaks[-1] + 1 :] if len(breaks) else last
    if len(last) < LEAST_TERMINAL:
        return None
    return theil_sen(last * frame_s, semitones[last])


def theil_sen(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> float:
    """Median slope over all pairs of at least two points (Sen 1968): a few octave errors don't move it.

    `x` increases strictly.
    """
    first, second = _pairs(len(x))
    slopes = np.sort((y[second] - y[first]) / (x[second] - x[first]))
    return 0.5 * float(slopes[(len(slopes) - 1) // 2] + slopes[len(slopes) // 2])


@lru_cache(maxsize=TERMINAL)
def _pairs(count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    return np.triu_indices(count, k=1)
