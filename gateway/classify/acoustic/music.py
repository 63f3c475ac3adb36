"""Is this music on hold? Evidence gathered over seconds, from how steady the sound is.

Held notes keep the spectrum's shape from one frame to the next and the level from falling away; speech changes
shape with every phone and stops between words. So the mean spectral flux of the sounding frames says most
(Scheirer and Slaney 1997 rank its kin first), and the share of quiet frames, the spread of the level and the
spectral flatness (noise isn't music) help where it alone errs. The four are averaged over about two seconds,
weighed into one margin, and the margin is summed over time: what sounds like music has to do so for three
seconds before it counts.
"""

import math
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from gateway.classify.port import AnalysisState

Float = npt.NDArray[np.float32]

AVERAGE_S = 1.5
"""Seconds: time constant of the averages."""
NEEDED = 3.0
"""Evidence at which it is music: seconds of a sure margin."""
MOST = 6.0
"""Evidence is bounded, so that three seconds of anything else end the music."""
RANGE_DB = 30.0
"""Frames further below the peak than this aren't part of the sound."""
QUIET_DB = 15.0
"""Frames further below the peak than this are pauses, which music has few of."""
PEAK_FALL_DB = 3.0
"""Decibels a second by which the remembered peak falls."""
AUDIBLE_DB = -50.0
"""dBFS below which no frame is part of music."""

W_FLUX, W_PAUSES, W_FLATNESS, W_SPREAD, BIAS = -178.0, 3.7, -4.4, -0.52, 16.1
STEADIEST = 0.015
"""Mean flux below which a sound is a machine's tone rather than music."""


@dataclass(slots=True)
class Meter:
    """Running averages; all plain floats."""

    weight: float = 0.0
    flux: float = 0.0
    pauses: float = 0.0
    flatness: float = 0.0
    level: float = 0.0
    power: float = 0.0
    """Mean square of the level in dB."""
    peak: float = -120.0
    """dBFS."""
    evidence: float = 0.0

    @property
    def margin(self) -> float:
        """Above 0 for music, below for anything else; about 3 either way where it is clear."""
        if self.weight <= 0.0:
            return 0.0
        level, flux = self.level / self.weight, self.flux / self.weight
        if flux < STEADIEST:
            return -1.0
        spread = math.sqrt(max(0.0, self.power / self.weight - level * level))
        rest = W_PAUSES * self.pauses + W_FLATNESS * self.flatness
        return W_FLUX * flux + rest / self.weight + W_SPREAD * spread + BIAS

    @property
    def is_music(self) -> bool:
        return self.evidence >= NEEDED


def restore(state: AnalysisState) -> Meter:
    """The meter as the last window left it."""
    return Meter(*state.get("music", ()))


def save(meter: Meter, state: AnalysisState) -> None:
    state["music"] = list(astuple(meter))


def listen(meter: Meter, level_db: Float, flux: Float, flatness: Float, seconds: float) -> None:
    """Take the frames of the next `seconds`; shape (frames,) each."""
    fall = PEAK_FALL_DB * seconds
    meter.peak = max(
        float(np.partition(level_db, -1 - len(level_db) // 10)[-1 - len(level_db) // 10]), meter.peak - fall
    )
    sounding = level_db > max(AUDIBLE_DB, meter.peak - RANGE_DB)
    count = int(np.count_nonzero(sounding))
    if count < 5 or count < 0.05 * len(level_db):
        meter.evidence = max(0.0, meter.evidence - 0.5 * seconds)
        return
    keep = math.exp(-seconds / AVERAGE_S)
    gain = 1.0 - keep
    lifted = np.maximum(level_db, meter.peak - RANGE_DB)
    meter.weight = meter.weight * keep + gain
    meter.flux = meter.flux * keep + gain * float(flux @ sounding) / count
    meter.flatness = meter.flatness * keep + gain * float(flatness @ sounding) / count
    meter.pauses = meter.pauses * keep + gain * float(
        np.count_nonzero(level_db < meter.peak - QUIET_DB)
    ) / len(level_db)
    meter.level = meter.level * keep + gain * float(lifted.sum()) / len(lifted)
    meter.power = meter.power * keep + gain * float(lifted @ lifted) / len(lifted)
    step = seconds * min(1.0, max(-2.0, meter.margin))
    meter.evidence = min(MOST, max(0.0, meter.evidence + step))
