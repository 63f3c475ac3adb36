"""What tone remembers of a session: a voice for each speaker, and how loud the room is.

Everything packs into plain lists and numbers, at most 2 KiB of msgpack, so that a session can be checkpointed
and go on at another node with the same results.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from gateway.classify.acoustic.baseline import Baseline
from gateway.classify.port import AnalysisState

MOST_VOICES = 4
"""Voices remembered; the one heard longest ago is forgotten for a new one."""
MOST_RECENT = 6
"""Arousals kept for the trend."""
NOBODY = ""
"""Key of the voice heard before the first speaker is known."""
FLOOR_RISE_DB_S = 1.0
"""Decibels a second by which the noise floor may rise; it falls at once."""


@dataclass(slots=True)
class Voice:
    """One speaker's baseline and what was heard of them lately."""

    heard_s: float = 0.0
    """Session time of the last window, seconds."""
    due_s: float = 1.0
    """Seconds of audio since the baseline was last added to."""
    fast: float | None = None
    """Arousal averaged over about 1.5 s; None before the first window."""
    slow: float = 0.5
    """Arousal averaged over about 8 s."""
    last: float | None = None
    """Arousal last told."""
    nuclei: float = 0.0
    """Decaying sum of syllable nuclei."""
    spoken_s: float = 0.0
    """Decaying sum of seconds of speech, alike."""
    recent: list[list[float]] = field(default_factory=list)
    """[session time in seconds, arousal], oldest first."""
    baseline: Baseline = field(default_factory=Baseline)

    def pack(self) -> list[object]:
        return [
            *(self.heard_s, self.due_s, self.fast, self.slow, self.last, self.nuclei, self.spoken_s),
            self.recent,
            self.baseline.pack(),
        ]

    @classmethod
    def unpack(cls, packed: list[Any]) -> "Voice":
        heard_s, due_s, fast, slow, last, nuclei, spoken_s, recent, own = packed
        return cls(heard_s, due_s, fast, slow, last, nuclei, spoken_s, recent, Baseline.unpack(own))


@dataclass(slots=True)
class Memory:
    """Everything tone remembers."""

    floor_db: float | None = None
    """The room's noise, dBFS."""
    voices: dict[str, Voice] = field(default_factory=dict)

    def voice(self, speaker: str | None) -> Voice:
        """The voice of `speaker`. The first one ever known inherits what was heard before they were."""
        key = speaker or NOBODY
        if key not in self.voices:
            inherited = self.voices.pop(NOBODY, None) if key != NOBODY else None
            self.voices[key] = inherited or Voice()
            if len(self.voices) > MOST_VOICES:
                others = (k for k in self.voices if k != key)
                del self.voices[min(others, key=lambda k: self.voices[k].heard_s)]
        return self.voices[key]

    def hear_room(self, noise_db: float, seconds: float) -> float:
        """Follow the noise floor, which speech can't hide for long; returns it in dBFS."""
        rising = math.inf if self.floor_db is None else self.floor_db + FLOOR_RISE_DB_S * seconds
        self.floor_db = min(noise_db, rising)
        return self.floor_db

    def save(self, state: AnalysisState) -> None:
        state["floor_db"] = self.floor_db
        state["voices"] = {key: voice.pack() for key, voice in self.voices.items()}

    @classmethod
    def restore(cls, state: AnalysisState) -> "Memory":
        voices = {key: Voice.unpack(packed) for key, packed in state.get("voices", {}).items()}
        return cls(state.get("floor_db"), voices)
