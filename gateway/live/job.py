"""A window on its way to the classifier and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gateway.audio.window import Cut
from gateway.classify.lanes import Timing
from gateway.classify.port import ClassifierError, Observation, Window

if TYPE_CHECKING:
    from gateway.live.pipeline import Pipeline


@dataclass(slots=True, eq=False)
class WindowJob:
    """One cut window: the session it came from, its audio, and when it was complete."""

    pipeline: Pipeline
    number: int
    """Windows of a session count from 1."""
    cut: Cut
    samples: npt.NDArray[np.int16]
    """Shape (n,), 16 kHz mono: a copy, so the ring may go on."""
    arrived: float
    """Monotonic seconds."""

    @property
    def owned_samples(self) -> int:
        """Samples at the client's rate that this window accounts for."""
        return self.cut.end_sample - self.cut.owned_start

    def window(self) -> Window:
        return self.pipeline.window_of(self)

    def classified(self, observations: list[Observation], timing: Timing) -> None:
        self.pipeline.window_classified(self, observations, timing)

    def failed(self, error: ClassifierError) -> None:
        self.pipeline.window_failed(self, error)

    def shed(self) -> None:
        self.pipeline.window_shed(self)
