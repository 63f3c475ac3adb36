"""Who speaks: a hint at turns, by clustering a few seconds of voice at a time.

Two seconds of speech are summed up as 25 numbers: mean and standard deviation of mel-frequency cepstral
coefficients 1 to 12 (Davis and Mermelstein 1980; coefficient 0 is level, and left out) and the mean log F0.
Each is divided by how much it varies within one speaker, and the root mean square of the difference to a
cluster's centre is the distance of a voice. Speech that fits its current speaker moves their centre. When two
pieces running don't, the two together decide: the nearest centre wins, or, where all are farther than `FAR`,
a new cluster is opened, while the session may have more speakers (two, unless it says otherwise). So a change
of turn is told two to three seconds after it happens.

This is no identification: confidence stays at or under 0.5, two similar voices become one, and overlapping or
synthetic speech isn't recognised as such.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gateway.classify.acoustic.features import Features
from gateway.classify.acoustic.frames import owned_frames
from gateway.classify.port import SAMPLE_RATE, AnalysisState, SpeakerObservation, Window

Vector: TypeAlias = npt.NDArray[np.float64]

COEFFICIENTS = slice(1, 13)
EVIDENCE_S = 2.0
"""Seconds of speech that describe a speaker."""
CHUNK_S = 0.75
"""Seconds of new speech that lead to a decision."""
AGREE = 2
"""Decisions running that must doubt the current speaker."""
SUSPECT = 1.7
"""Distance from the current speaker at which new speech is doubtful, while there may be somebody new."""
FAR = 1.6
"""Distance from every centre at which a voice is a new one."""
MEMORY_S = 30.0
"""Seconds of speech after which a centre moves no slower."""
IDLE_S = 3.0
"""Seconds without speech after which nobody speaks."""
SPEECH_S = 0.1
"""Seconds of speech in a window below which it has none."""
MOST_SPEAKERS = 8
DEFAULT_SPEAKERS = 2
MOST_CONFIDENCE, LEAST_CONFIDENCE = 0.5, 0.1
FIRST_CONFIDENCE = 0.2
"""Before there is enough speech to compare: the first speaker is Speaker A whoever it is."""
JUMP_S = 0.02

WITHIN: Vector = np.array(
    (
        *(1.38, 1.25, 0.78, 0.73, 0.45, 0.45, 0.36, 0.31, 0.24, 0.26, 0.20, 0.20),
        *(1.04, 0.76, 0.57, 0.34, 0.31, 0.22, 0.22, 0.16, 0.16, 0.14, 0.12, 0.11),
        1.06,
    )
)
"""Standard deviation within one speaker, over stretches of two seconds, pooled over nine voices."""


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Sums over speech frames, as one vector of 27: frames, voiced frames, their log F0 in semitones, the
    twelve coefficients, and their squares."""

    values: Vector

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(self.values + other.values)

    @property
    def frames(self) -> float:
        return float(self.values[0])

    def vector(self) -> Vector:
        """The 25 numbers, shape (25,), divided by WITHIN; NaN for the pitch where nothing was voiced."""
        frames, voiced, semitones = self.values[:3].tolist()
        out = np.empty(25)
        mean = self.values[3:15] / frames
        out[:12] = mean
        out[12:24] = np.sqrt(np.maximum(0.0, self.values[15:] / frames - mean * mean))
        out[24] = semitones / voiced if voiced else np.nan
        out /= WITHIN
        return out

    def pack(self) -> bytes:
        return self.values.astype("<f4").tobytes()

    @classmethod
    def unpack(cls, data: bytes) -> "_Sums":
        return cls(np.frombuffer(data, dtype="<f4").astype(np.float64))


def observe(features: Features, i: int, state: AnalysisState, window: Window) -> list[SpeakerObservation]:
    """Who is heard after this window, if that changed.

    Args:
        features: of the whole batch; `i` is this window's row.
        state: the classifier's state of the session; `speaker` in it is updated, and `speaker.current` is the
            id of whoever speaks, or None.
    """
    mine: AnalysisState = state.setdefault("speaker", {"current": None})
    begin = window.end_s - window.owned / SAMPLE_RATE
    if abs(begin - float(mine.get("end_s", begin))) > JUMP_S:
        mine["doubts"] = []
    mine["end_s"] = window.end_s
    heard = None if _on_hold(state) else _gather(features, i, window)
    if heard is None:
        return _idle(mine, window.owned / SAMPLE_RATE)
    mine["idle_s"] = 0.0
    confidence = _follow(mine, heard, features.frame_hop_s, _limit(window))
    return _tell(mine, "human_single", mine["current"], confidence)


def _on_hold(state: AnalysisState) -> bool:
    return str(state.get("queue", {}).get("label", "")) in ("hold_music", "ringback", "busy")


def _limit(window: Window) -> int:
    return max(1, min(MOST_SPEAKERS, window.hints.num_speakers or DEFAULT_SPEAKERS))


def _gather(features: Features, i: int, window: Window) -> _Sums | None:
    """The owned part's speech, or None where there is too little."""
    owned = owned_frames(features, i, window)
    speech = features.speech[i, owned]
    count = int(np.count_nonzero(speech))
    if count * features.frame_hop_s < min(SPEECH_S, 0.5 * window.owned / SAMPLE_RATE) or count == 0:
        return None
    mfcc = features.mfcc[i, owned, COEFFICIENTS][speech]
    f0 = features.f0_hz[i, owned][speech]
    f0 = f0[f0 > 0.0]
    values = np.empty(27)
    values[0], values[1], values[2] = count, len(f0), 12.0 * float(np.log2(f0).sum())
    mfcc.sum(axis=0, dtype=np.float64, out=values[3:15])
    values[15:] = np.einsum("ij,ij->j", mfcc, mfcc)
    return _Sums(values)


def _idle(mine: AnalysisState, seconds: float) -> list[SpeakerObservation]:
    mine["idle_s"] = min(1e6, float(mine.get("idle_s", 0.0)) + seconds)
    if mine["idle_s"] < IDLE_S - 1e-6:
        return []
    mine["current"] = None
    mine["doubts"] = []
    mine.pop("building", None)
    return _tell(mine, "no_speaker", None, MOST_CONFIDENCE)


def _tell(
    mine: AnalysisState, label: str, speaker: str | None, confidence: float
) -> list[SpeakerObservation]:
    if mine.get("told") == [label, speaker]:
        return []
    mine["told"] = [label, speaker]
    return [SpeakerObservation(label=label, speaker_id=speaker, confidence=round(confidence, 3))]


def _follow(mine: AnalysisState, heard: _Sums, frame_s: float, limit: int) -> float:
    """Take new speech; sets the current speaker and returns the confidence in them."""
    if mine["current"] is None:
        mine["current"] = _name(int(mine.get("last", 0)))
    if "building" in mine:
        heard = _Sums.unpack(mine["building"]) + heard
    wanted = CHUNK_S if mine.get("centres") else EVIDENCE_S
    if heard.frames * frame_s < wanted:
        mine["building"] = heard.pack()
        return float(mine.get("confidence", FIRST_CONFIDENCE))
    mine.pop("building", None)
    mine["confidence"] = _decide(mine, heard, frame_s, limit)
    return float(mine["confidence"])


def _decide(mine: AnalysisState, chunk: _Sums, frame_s: float, limit: int) -> float:
    centres = [np.frombuffer(data, dtype="<f4").astype(np.float64) for data in mine.get("centres", ())]
    if not centres:
        _open(mine, chunk, frame_s)
        return FIRST_CONFIDENCE
    current = int(mine["last"])
    distances = _distances(chunk, centres)
    room = len(centres) < limit
    if distances.index(min(distances)) == current and not (room and distances[current] > SUSPECT):
        mine["doubts"] = []
        _move(mine, current, centres[current], chunk, frame_s)
        return _confidence(distances, current, chunk.frames * frame_s)
    doubts = [_Sums.unpack(data) for data in mine.get("doubts", ())] + [chunk]
    mine["doubts"] = [doubt.pack() for doubt in doubts[-AGREE:]]
    if len(doubts) < AGREE:
        return LEAST_CONFIDENCE
    return _settle_doubts(mine, _total(doubts), centres, room, frame_s)


def _settle_doubts(
    mine: AnalysisState, evidence: _Sums, centres: list[Vector], room: bool, frame_s: float
) -> float:
    """Whose is the speech that didn't fit: another known speaker's, a new one's, or the same one's?"""
    distances = _distances(evidence, centres)
    best = distances.index(min(distances))
    seconds = evidence.frames * frame_s
    if room and distances[best] > FAR:
        if seconds < EVIDENCE_S * 0.75:
            return LEAST_CONFIDENCE
        _open(mine, evidence, frame_s)
        best, distances = len(centres), [*distances, 0.0]
    elif best != mine["last"]:
        mine["last"], mine["current"] = best, _name(best)
    mine["doubts"] = []
    return _confidence(distances, best, seconds)


def _total(parts: list[_Sums]) -> _Sums:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    return whole


def _open(mine: AnalysisState, speech: _Sums, frame_s: float) -> None:
    """A new speaker, who is the current one."""
    centres: list[bytes] = mine.setdefault("centres", [])
    centres.append(speech.vector().astype("<f4").tobytes())
    mine.setdefault("seconds", []).append(speech.frames * frame_s)
    mine["last"] = len(centres) - 1
    mine["current"] = _name(mine["last"])


def _move(mine: AnalysisState, index: int, centre: Vector, chunk: _Sums, frame_s: float) -> None:
    """Let a centre follow its speaker."""
    seconds = chunk.frames * frame_s
    known = float(mine["seconds"][index])
    vector = chunk.vector()
    vector = np.where(np.isnan(vector), centre, vector)
    moved = centre + (vector - centre) * (seconds / (known + seconds))
    mine["centres"][index] = moved.astype("<f4").tobytes()
    mine["seconds"][index] = min(MEMORY_S, known + seconds)


def _distances(speech: _Sums, centres: list[Vector]) -> list[float]:
    """Root mean square difference to each centre, over the numbers that both have."""
    vector = speech.vector()
    out = []
    for centre in centres:
        difference = vector - centre
        if math.isnan(difference[-1]):
            difference = difference[:-1]
        out.append(math.sqrt(float(difference @ difference) / len(difference)))
    return out


def _confidence(distances: list[float], index: int, seconds: float) -> float:
    """How much nearer this speaker is than the next (or than a stranger would be), up to 0.5."""
    others = [distance for i, distance in enumerate(distances) if i != index]
    margin = 1.0 - distances[index] / max(1e-6, min([*others, 2.0 * FAR]))
    score = MOST_CONFIDENCE * margin * min(1.0, seconds / EVIDENCE_S)
    return min(MOST_CONFIDENCE, max(LEAST_CONFIDENCE, score))


def _name(index: int) -> str:
    return f"Speaker {chr(ord('A') + index)}"
