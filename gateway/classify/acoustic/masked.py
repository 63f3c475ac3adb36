"""Means and quantiles over the frames of a batch that a mask picks; shape (B, F) in, (B,) out."""

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]


def mean(values: Float, mask: Bool) -> Float:
    """Mean of the picked frames; 0 where there are none."""
    total = np.where(mask, values, np.float32(0.0)).sum(axis=1)
    return np.asarray(total / np.maximum(mask.sum(axis=1), 1), dtype=np.float32)


def quantiles(values: Float, mask: Bool, at: tuple[float, ...]) -> tuple[Float, ...]:
    """Nearest-rank quantiles `at` (each 0..1) of the picked frames; 0 where there are none."""
    count = mask.sum(axis=1)
    ordered = np.sort(np.where(mask, values, np.float32(np.inf)), axis=1)
    return tuple(_picked(ordered, count, q) for q in at)


def median(values: Float, mask: Bool) -> Float:
    """Nearest-rank median of the picked frames; 0 where there are none."""
    return quantiles(values, mask, (0.5,))[0]


def _picked(ordered: Float, count: npt.NDArray[np.intp], q: float) -> Float:
    rank = np.round(q * np.maximum(count - 1, 0)).astype(np.intp)
    value = np.take_along_axis(ordered, rank[:, None], axis=1)[:, 0]
    return np.where(count > 0, value, np.float32(0.0))
