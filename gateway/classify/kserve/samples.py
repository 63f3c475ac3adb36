"""Windows → the rows of a model's input. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gateway.classify.kserve.model import InputSpec, Keep, Normalize, Pad
from gateway.classify.kserve.protocol import Rows
from gateway.classify.port import Window

VARIANCE_FLOOR = 1e-7
"""Added to a window's variance before it is divided by, as feature extractors for wav2vec2 do."""

_FULL_SCALE = np.float32(1.0 / 32768.0)


def is_silent(window: Window, below_dbfs: float) -> bool:
    """Whether the window as a whole has less power than that; a full-scale square wave has 0 dBFS.

    A constant offset counts for nothing.
    """
    samples = window.samples.astype(np.float32)
    samples -= samples.mean()
    power = float(np.dot(samples, samples)) / len(samples) * float(_FULL_SCALE) ** 2
    return bool(power < 10.0 ** (below_dbfs / 10.0))


def groups(windows: Sequence[Window], spec: InputSpec, most: int) -> list[list[int]]:
    """Indices of windows of which the model hears one length, at most `most` each."""
    by_length: dict[int, list[int]] = {}
    for i, window in enumerate(windows):
        by_length.setdefault(spec.samples or len(window.samples), []).append(i)
    return [same[at : at + most] for same in by_length.values() for at in range(0, len(same), most)]


def rows(windows: Sequence[Window], spec: InputSpec, *, whole: bool) -> Rows:
    """What the model hears, [windows, samples]; the windows are of one group.

    Args:
        windows: they are not changed.
        spec: how to feed it.
        whole: whether samples are int16, as they are, or float32 from -1 to 1.
    """
    length = spec.samples or len(windows[0].samples)
    filled = np.zeros((len(windows), length), dtype=np.int16 if whole else np.float32)
    for row, window in zip(filled, windows, strict=True):
        heard = _cut(window.samples, length, spec.keep)
        part = row[length - len(heard) :] if spec.pad is Pad.BEFORE else row[: len(heard)]
        if whole:
            part[:] = heard
        else:
            np.multiply(heard, _FULL_SCALE, out=part)
            if spec.normalize is Normalize.ZERO_MEAN_UNIT_VARIANCE:
                part -= part.mean()
                part /= np.sqrt(part.var() + VARIANCE_FLOOR)
    return filled


def _cut(samples: npt.NDArray[np.int16], length: int, keep: Keep) -> npt.NDArray[np.int16]:
    return samples[-length:] if keep is Keep.NEWEST else samples[:length]
