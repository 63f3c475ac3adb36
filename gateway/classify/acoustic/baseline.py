"""What is usual for one voice: robust centre and spread of pitch, level and spectral balance.

Median and MAD over the voice's history, shrunk to a prior by n / (n + 8), so that the first window can
already be compared with something and after forty the prior matters little (template: Bone, Lee and Narayanan
2014, IEEE TAFFC 5(2), who take the speaker's own neutral speech as the reference). Level is absolute: nothing
is normalised before.

The history is an even sample of all that was said: when it is full, every second entry goes and from then on
only every second (fourth, …) window is taken. So it stays small, and a long excited passage doesn't become
usual by pushing out the calm before it.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

CAPACITY = 32
"""Entries kept."""
PRIOR_WEIGHT = 8
"""Windows that the prior is worth."""
FLOORS = (1.0, 2.0, 2.0)
"""Least spread: semitones, dB, dB."""
MOST_Z = 3.0
"""Deviations further than this count as this."""
LOW_VOICE_ST, HIGH_VOICE_ST = 2.0, 11.0
"""Prior pitch of low and high voices, semitones above 100 Hz: 112 and 189 Hz."""
BETWEEN_ST = 1.2
"""Semitones over which the one prior passes into the other."""
PRIOR_LEVEL_DB, PRIOR_HF500_DB = -22.0, -10.0
"""dBFS of a well-set microphone, and dB, as measured on recordings of a dozen voices."""
PRIOR_SPREADS = (2.5, 6.0, 5.0)
"""Semitones, dB, dB."""
_MAD_TO_SIGMA = 1.4826

Cues = tuple[float, float, float]
"""Pitch in semitones above 100 Hz, level in dBFS, HF500 in dB."""


@dataclass(slots=True)
class Baseline:
    """One voice's history."""

    count: int = 0
    """Windows seen, whether kept or not."""
    stride: int = 1
    """Every how many windows one is kept."""
    history: list[list[int]] = field(default_factory=list)
    """Cues in hundredths (16-bit), oldest first."""

    @property
    def trust(self) -> float:
        """Weight of the voice's own history against the prior, 0..1."""
        return self.count / (self.count + PRIOR_WEIGHT)

    def deviations(self, cues: Cues) -> Cues:
        """How far `cues` lie from what is usual, in spreads, each within ±3."""
        centres, spreads = self.reference(cues[0])
        pitch, level, balance = (
            max(-MOST_Z, min(MOST_Z, (cue - centre) / spread))
            for cue, centre, spread in zip(cues, centres, spreads, strict=True)
        )
        return pitch, level, balance

    def reference(self, pitch_st: float) -> tuple[Cues, Cues]:
        """Centres and spreads; `pitch_st` tells a high voice from a low one while nothing else is known."""
        columns = [[value / 100.0 for value in column] for column in zip(*self.history, strict=True)]
        medians = [_median(column) for column in columns] if columns else None
        own = self.trust
        prior = (_prior_pitch(medians[0] if medians else pitch_st), PRIOR_LEVEL_DB, PRIOR_HF500_DB)
        if medians is None:
            return prior, PRIOR_SPREADS
        mads = [
            _MAD_TO_SIGMA * _median([abs(value - median) for value in column])
            for column, median in zip(columns, medians, strict=True)
        ]
        centres = [own * median + (1.0 - own) * p for median, p in zip(medians, prior, strict=True)]
        spreads = [
            max(floor, own * mad + (1.0 - own) * p)
            for floor, mad, p in zip(FLOORS, mads, PRIOR_SPREADS, strict=True)
        ]
        return (centres[0], centres[1], centres[2]), (spreads[0], spreads[1], spreads[2])

    def pack(self) -> list[int | bytes]:
        flat = [value for entry in self.history for value in entry]
        return [self.count, self.stride, struct.pack(f"<{len(flat)}h", *flat)]

    @classmethod
    def unpack(cls, packed: list[Any]) -> "Baseline":
        count, stride, raw = packed
        return cls(count, stride, [list(entry) for entry in struct.iter_unpack("<3h", raw)])

    def add(self, cues: Cues) -> None:
        """Let the voice's next second of speech count."""
        if self.count % self.stride == 0:
            self.history.append([round(100.0 * cue) for cue in cues])
        self.count += 1
        if len(self.history) > CAPACITY:
            del self.history[1::2]
            self.stride *= 2


def _prior_pitch(pitch_st: float) -> float:
    middle = 0.5 * (LOW_VOICE_ST + HIGH_VOICE_ST)
    high = 1.0 / (1.0 + math.exp(-(pitch_st - middle) / BETWEEN_ST))
    return LOW_VOICE_ST + high * (HIGH_VOICE_ST - LOW_VOICE_ST)


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else 0.5 * (ordered[middle - 1] + ordered[middle])
