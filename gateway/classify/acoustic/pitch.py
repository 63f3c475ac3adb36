"""Pitch and voicing by autocorrelation, for a whole batch at once.

The autocorrelation comes from the power spectrum of 60 Hz to 2 kHz by a product with a cosine matrix, and is
divided by that of the Hann window (Boersma 1993, "Accurate short-term analysis of the fundamental frequency
and the harmonics-to-noise ratio of a sampled sound", IFA Proceedings 17): a perfectly periodic frame then has
1 at its period, whatever the period. A small cost for long periods prefers the shortest of equal ones, and
frames an octave off the window's own median are looked up again near it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.classify.port import SAMPLE_RATE

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

LOWEST_HZ = 60.0
HIGHEST_HZ = 500.0
OCTAVE_COST = 0.02
"""Periodicity a period must have more than one half as long."""
VOICING = 0.55
"""Least periodicity of a voiced frame: as much noise as voice leaves about 0.5."""
AUDIBLE_DB = -60.0
"""dBFS below which nothing is voiced."""
RANGE_DB = 35.0
"""Frames further below the window's loudest aren't voiced: reverberation and crosstalk are periodic too."""
STRAY_OCTAVES = 0.7
"""Distance from the window's median pitch at which an octave error is suspected."""
NEAR_OCTAVES = 0.45
"""Where the period is looked for again."""
KEEP = 0.8
"""Part of its periodicity that the nearer period must have."""

_FRAME = 640
_FFT = 1024
_BINS = 129
_SHORTEST = int(SAMPLE_RATE // HIGHEST_HZ)
_LONGEST = int(SAMPLE_RATE // LOWEST_HZ)
_LAGS = np.arange(_SHORTEST - 1, _LONGEST + 2)
"""One more at each end, for the parabola."""


def _weights() -> npt.NDArray[np.float64]:
    """Per bin: nothing of direct current and its leakage, a soft edge at 2 kHz; twice for both signs."""
    weights = np.full(_BINS, 2.0)
    weights[:3], weights[3] = 0.0, 1.0
    edge = np.arange(16)
    weights[-16:] *= 0.5 + 0.5 * np.cos(np.pi * (edge + 1) / 17)
    return weights


def _window_correlation() -> npt.NDArray[np.float64]:
    """The Hann window's autocorrelation at the lags, 1 at lag 0 (Boersma 1993, equation 8)."""
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(_FRAME) + 0.5) / _FRAME)
    own = np.array([hann[: _FRAME - lag] @ hann[lag:] for lag in _LAGS])
    correlation: npt.NDArray[np.float64] = own / (hann @ hann)
    return correlation


_COSINES: Float = (
    _weights()[:, None]
    * np.cos(2.0 * np.pi / _FFT * np.arange(_BINS)[:, None] * _LAGS)
    / _window_correlation()
).astype(np.float32)
_TOTAL: Float = _weights().astype(np.float32)
_COST: Float = (OCTAVE_COST * np.log2(_LAGS[1:-1] / _SHORTEST)).astype(np.float32)
_LOG_HZ: Float = np.log2(SAMPLE_RATE / _LAGS[1:-1]).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """The pitch of every frame; shape (B, F)."""

    f0_hz: Float
    """0 where unvoiced."""
    hnr_db: Float
    """0 where unvoiced."""
    voiced: Bool


def track(power: Float, level_db: Float) -> Track:
    """The pitch of every frame, and whether it is voiced.

    Args:
        power: shape (B, F, bins >= 129), of 1024-point transforms of Hann-windowed frames of 640 samples.
        level_db: shape (B, F), dBFS.
    """
    r = _periodicity(power)
    middle = r[..., 1:-1]
    score = np.where((middle >= r[..., :-2]) & (middle > r[..., 2:]), middle - _COST, np.float32(-1.0))
    best = score.argmax(axis=2)
    audible = level_db > np.maximum(AUDIBLE_DB, level_db.max(axis=1, keepdims=True) - RANGE_DB)
    strength = np.take_along_axis(score, best[..., None], axis=2)[..., 0] + _COST[best]
    voiced = _without_blips(audible & (strength > VOICING))
    best = _without_octave_errors(best, score, voiced)
    f0, strength = _interpolated(r, best)
    hnr = 10.0 * np.log10(np.clip(strength / (1.0 - np.minimum(strength, 0.9999)), 0.01, 1e4))
    return Track(
        np.where(voiced, f0, 0.0).astype(np.float32), np.where(voiced, hnr, 0.0).astype(np.float32), voiced
    )


def _periodicity(power: Float) -> Float:
    """How periodic every frame is at every lag: 1 for perfectly, around 0 for noise. Shape (B, F, lags)."""
    low = power[..., :_BINS].reshape(-1, _BINS)
    r = low @ _COSINES
    r /= (low @ _TOTAL + np.float32(1e-9))[:, None]
    return r.reshape(*power.shape[:-1], len(_LAGS))


def _without_blips(voiced: Bool) -> Bool:
    """One voiced frame alone is no voice."""
    around = np.zeros_like(voiced)
    around[:, 1:] |= voiced[:, :-1]
    around[:, :-1] |= voiced[:, 1:]
    kept: Bool = voiced & around
    return kept


def _without_octave_errors(best: npt.NDArray[np.intp], score: Float, voiced: Bool) -> npt.NDArray[np.intp]:
    """Frames far off their window's median pitch take a period near it, if one is nearly as good."""
    octave = _LOG_HZ[best]
    count = voiced.sum(axis=1)
    ordered = np.sort(np.where(voiced, octave, np.inf), axis=1)
    median = np.take_along_axis(ordered, (np.maximum(count, 1) // 2)[:, None], axis=1)
    median = np.where(np.isfinite(median), median, 0.0)
    stray = voiced & (np.abs(octave - median) > STRAY_OCTAVES)
    if not stray.any():
        return best
    rows, frames = np.nonzero(stray)
    away = np.abs(_LOG_HZ - median[rows]) > NEAR_OCTAVES
    near = np.where(away, np.float32(-1.0), score[rows, frames])
    nearest = near.argmax(axis=1)
    good = near.max(axis=1) > KEEP * score[rows, frames, best[rows, frames]]
    fixed = best.copy()
    fixed[rows[good], frames[good]] = nearest[good]
    return fixed


def _interpolated(r: Float, best: npt.NDArray[np.intp]) -> tuple[Float, Float]:
    """Pitch in hertz and periodicity at the top of the parabola through the three lags around `best`."""
    left, top, right = (np.take_along_axis(r, best[..., None] + k, axis=2)[..., 0] for k in range(3))
    bend = left - 2.0 * top + right
    offset = np.where(bend < -1e-9, 0.5 * (left - right) / np.minimum(bend, -1e-9), 0.0)
    offset = np.clip(offset, -0.5, 0.5)
    lag = _LAGS[1] + best + offset
    return (SAMPLE_RATE / lag).astype(np.float32), (top - 0.25 * (left - right) * offset).astype(np.float32)
