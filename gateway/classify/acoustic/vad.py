"""Voice activity: which frames belong to somebody speaking.

Energy and periodicity alone also fire on music, so a window must move like a voice as well. Voices glide from
one pitch to the next where notes are held, change their spectrum with every phone, and one voice is cleaner
than an ensemble; four means over the window are weighed into one margin. The weights come from a logistic
regression on 1 s windows: recordings of pocketsphinx, ALSA and Asterisk and flite voices, clean and in 15 to
5 dB of noise, against Asterisk's hold music. On those same windows the margin is right for all of the clean
speech, 98 % of it at 5 dB, and 99 % of the music; there is no other music it was tried on.

A signal that holds one pitch without gliding isn't taken for speech, were it sung by a person.
"""

import numpy as np
import numpy.typing as npt

from gateway.classify.acoustic import masked

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

AUDIBLE_DB = -55.0
"""dBFS below which nothing is speech."""
RANGE_DB = 30.0
"""Frames further below the window's peak aren't part of the sound."""
NEAR = 15
"""Frames (150 ms) around one that must hold voiced ones: unvoiced consonants and stops are speech too."""
NEAR_VOICED = 3
"""Voiced frames that must be near."""
STEP = 4
"""Frames (40 ms) between two that share no sample, over which pitch is compared."""
STEADY_ST = 0.1
"""Semitones under which pitch is held."""
GLIDE_ST = (0.15, 2.0)
"""Semitones between which it glides; beyond, it leaps."""
LEAST_PAIRS = 5
"""Pairs of voiced frames for which the shares are taken in full."""
LEAST_HNR_DB = 3.0
"""Median harmonics to noise under which the sound is wind or traffic."""
MOST_HNR_DB = 25.0
"""Cleaner counts no more: only machines are."""
LEAST_FLATNESS = 6e-5
"""Geometric mean flatness under which it is a whistle or a siren."""

W_FLUX, W_GLIDE, W_STEADY, W_HNR, BIAS = 82.0, 10.7, -12.4, 0.37, -14.4


def speech(level_db: Float, f0_hz: Float, hnr_db: Float, flux: Float, flatness: Float, valid: Bool) -> Bool:
    """The frames of a batch that belong to somebody speaking; shape (B, F) each, as in `Features`."""
    voiced = f0_hz > 0.0
    sounding = valid & (level_db > np.maximum(AUDIBLE_DB, _peak(level_db, valid) - RANGE_DB))
    human = margin(f0_hz, hnr_db, flux, sounding) > 0.0
    human &= masked.median(hnr_db, voiced) > LEAST_HNR_DB
    human &= masked.mean(np.log(flatness + np.float32(1e-9)), sounding) > np.log(LEAST_FLATNESS)
    spoken: Bool = _near(voiced & sounding) & valid & human[:, None]
    return spoken


def margin(f0_hz: Float, hnr_db: Float, flux: Float, sounding: Bool) -> Float:
    """Above 0 where a window moves like a voice, below where it moves like music; shape (B,).

    Args:
        f0_hz: shape (B, F), 0 where unvoiced.
        hnr_db: shape (B, F), 0 where unvoiced.
        flux: shape (B, F).
        sounding: shape (B, F), frames that are part of the sound.
    """
    both = (f0_hz[:, STEP:] > 0.0) & (f0_hz[:, :-STEP] > 0.0)
    octaves = np.log2(np.maximum(f0_hz, 1.0))
    moved = 12.0 * np.abs(octaves[:, STEP:] - octaves[:, :-STEP])
    pairs = np.maximum(both.sum(axis=1), LEAST_PAIRS)
    steady = (both & (moved < STEADY_ST)).sum(axis=1) / pairs
    glide = (both & (moved > GLIDE_ST[0]) & (moved < GLIDE_ST[1])).sum(axis=1) / pairs
    hnr = np.minimum(masked.median(hnr_db, f0_hz > 0.0), MOST_HNR_DB)
    weighed = W_FLUX * masked.mean(flux, sounding) + W_GLIDE * glide + W_STEADY * steady + W_HNR * hnr + BIAS
    return np.asarray(weighed, dtype=np.float32)


def _peak(level_db: Float, valid: Bool) -> Float:
    """The level that a tenth of the frames exceed; shape (B, 1)."""
    return masked.quantiles(level_db, valid, (0.9,))[0][:, None]


def _near(voiced: Bool) -> Bool:
    """Whether at least NEAR_VOICED of the NEAR frames around each are voiced."""
    half = NEAR // 2
    total = np.cumsum(np.pad(voiced, ((0, 0), (half + 1, half))), axis=1, dtype=np.int32)
    near: Bool = total[:, NEAR:] - total[:, :-NEAR] >= NEAR_VOICED
    return near
