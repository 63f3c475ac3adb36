"""Whether a window holds any sound at all.

Decided on the samples as they came: normalised, a silent room is as loud as a shout, and a model that
normalises its input hears a voice in its noise.
"""

import math

import numpy as np
import numpy.typing as npt

FRAME = 320
"""Samples: 20 ms."""
AUDIBLE_DB = -55.0
"""dBFS (RMS of a frame) below which nothing is speech."""
LOUDEST = 0.1
"""Part of a window's frames that must be audible: a click is no voice."""

_LEAST_POWER = (32768.0 * 10.0 ** (AUDIBLE_DB / 20.0)) ** 2


def audible(samples: npt.NDArray[np.int16]) -> bool:
    """Whether a tenth of the 20 ms frames of `samples`, shape (n,), are louder than -55 dBFS.

    A constant offset counts for nothing. What is shorter than a frame is one frame.
    """
    whole = len(samples) // FRAME * FRAME or len(samples)
    if whole == 0:
        return False
    signal = samples[-whole:].astype(np.float32)
    frames = (signal - signal.mean()).reshape(-1, min(FRAME, whole))
    power = np.einsum("ij,ij->i", frames, frames) / frames.shape[1]
    needed = max(1, math.ceil(LOUDEST * len(power)))
    return int((power > _LEAST_POWER).sum()) >= needed
