"""Which feature frames belong to the part of a window that no earlier window covered."""

import numpy as np
import numpy.typing as npt

from gateway.classify.acoustic.features import Features
from gateway.classify.port import SAMPLE_RATE, Window

FRAME = 640
"""Samples in a feature frame: 40 ms."""


def owned_frames(features: Features, i: int, window: Window) -> slice:
    """The frames of row `i` whose centres lie in the window's last `owned` samples."""
    hop = round(features.frame_hop_s * SAMPLE_RATE)
    begin = len(window.samples) - window.owned - FRAME // 2
    count = int(features.frames[i])
    return slice(min(count, max(0, -(-begin // hop))), count)


def centres(features: Features, frames: slice) -> npt.NDArray[np.intp]:
    """The middle of each frame, in samples of the window."""
    hop = round(features.frame_hop_s * SAMPLE_RATE)
    return np.arange(frames.start, frames.stop) * hop + FRAME // 2
