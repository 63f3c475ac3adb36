"""What makes scores of a model's numbers, wherever the model runs."""

from enum import StrEnum

import numpy as np
import numpy.typing as npt


class Activation(StrEnum):
    """What makes scores of a model's outputs."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    NONE = "none"
    """They are scores already."""


def activated(activation: Activation, row: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Scores of the classes, shape (classes,); of any finite numbers, however large."""
    values = row.astype(np.float64)
    match activation:
        case Activation.SOFTMAX:
            weights = np.exp(values - values.max())
            return np.asarray(weights / weights.sum())
        case Activation.SIGMOID:
            return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))
        case Activation.NONE:
            return values
