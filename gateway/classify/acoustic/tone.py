"""How it was said: arousal against the speaker's own baseline, and a label that claims no more than that.

`arousal = logistic(mean(z_F0, z_level, z_HF500))` (Bone, Lee and Narayanan 2014, IEEE TAFFC 5(2),
10.1109/TAFFC.2014.2326393). Labels are ranges of it: Subdued, Calm, Neutral, then Animated, or Tense where
the spectrum rose more than the pitch. Prosody alone doesn't tell pleasant from unpleasant (Laukka, Juslin
and Bresin 2005), so `valence` and `dominance` stay None; the two labels that hint at it, Warm and Frustrated,
need every one of several cues and never exceed confidence 0.35. Others never exceed 0.6.

Confidence is the cap x margin to the next label x voiced ratio x clearness over the room x
(0.5 + 0.5 n/(n+8)), n being the seconds this voice is known: a score for sorting and thresholds, not a
calibrated probability.
"""

import math

import numpy as np

from gateway.classify.acoustic.baseline import Cues
from gateway.classify.acoustic.flags import RATE_SPOKEN_S, flags
from gateway.classify.acoustic.prosody import Prosody, theil_sen
from gateway.classify.acoustic.state import MOST_RECENT, Memory, Voice
from gateway.classify.arousal import EDGES, inside
from gateway.classify.port import SAMPLE_RATE, ToneObservation, Window

LEAST_VOICED_S = 0.08
"""Seconds of voiced speech in a window below which nothing is told."""
USUAL_VOICED_S = 0.2
"""Seconds below which a window doesn't enter the baseline."""
USUAL_EVERY_S = 0.95
"""Seconds of audio between two entries, so that overlapping windows count no more than others."""

TENSE_Z = 0.8
"""Spectral balance, in spreads, that makes high arousal Tense if pitch rose less."""

FAST_S, SLOW_S = 1.5, 8.0
"""Time constants of the two averages whose difference is the shift."""
SHIFT_SCALE = 3.0
"""Shift magnitude per difference: 0.33 is as large as sudden changes get."""
STABLE = 0.06
"""Difference under which nothing shifts."""
RATE_S = 4.0
"""Seconds of speech over which syllables are counted."""
TREND_POINTS, TREND_PER_S = 3, 0.02
"""Points needed, and arousal a second from which it rises or falls."""
TREND_APART_S = 0.45
"""Seconds between two points of the trend."""

CAP, VALENCE_CAP = 0.6, 0.35
SNR_DB = (3.0, 20.0)
"""Voice over room from which clearness grows, and where it is full."""
LEAST_CLEARNESS = 0.4
FULL_VOICED = 0.6
"""Voiced part of speech from which the voiced ratio is full."""


def observe(
    heard: Prosody, memory: Memory, window: Window, speaker: str | None, model: str
) -> ToneObservation | None:
    """The tone of one window; None where nobody speaks.

    Args:
        heard: the window's prosody.
        memory: of the session, updated in place.
        window: for its time and the length of its owned part.
        speaker: who speaks, where that is known.
        model: name to sign with.
    """
    owned_s = window.owned / SAMPLE_RATE
    floor = memory.hear_room(heard.noise_db, owned_s)
    if heard.voiced_s < LEAST_VOICED_S:
        return None
    voice = memory.voice(speaker)
    snr = heard.level_db - floor
    clear = _clearness(snr)
    cues = (heard.f0_st, heard.level_db, heard.hf500_db)
    pitch, level, balance = voice.baseline.deviations(cues)
    deviations = (pitch, level, balance * clear)
    arousal = 1.0 / (1.0 + math.exp(-sum(deviations) / 3.0))
    label, cap = _label(arousal, deviations, heard)
    sure = cap * _margin(arousal) * min(1.0, heard.voiced_s / (FULL_VOICED * heard.speech_s)) * clear
    sure *= 0.5 + 0.5 * voice.baseline.trust
    shift = _shift(voice, arousal, owned_s)
    rate = _rate(voice, heard, window)
    told = ToneObservation(
        label=label,
        confidence=round(sure, 3),
        speaker_id=speaker,
        shift_magnitude=None if shift is None else round(min(1.0, SHIFT_SCALE * abs(shift)), 3),
        shift_direction=None if shift is None else _direction(shift),
        prosody_flags=flags(heard, deviations, rate, snr),
        arousal=round(arousal, 3),
        arousal_delta=None if voice.last is None else round(arousal - voice.last, 3),
        trend=_trend(voice, arousal, window.end_s),
        model=model,
    )
    _remember(voice, heard, cues, arousal, window)
    return told


def _clearness(snr_db: float) -> float:
    low, high = SNR_DB
    return max(LEAST_CLEARNESS, min(1.0, (snr_db - low) / (high - low)))


def _label(arousal: float, deviations: Cues, heard: Prosody) -> tuple[str, float]:
    """The label and the most confidence it may have."""
    pitch, level, balance = deviations
    subdued, calm, neutral = EDGES
    if calm <= arousal < 0.75 and pitch > 0.5 and balance < -0.5 and level < 1.0 and heard.range_st > 6.0:
        return "Warm", VALENCE_CAP
    if arousal >= 0.72 and level > 1.0 and balance > 1.0 and heard.range_st < 3.0:
        return "Frustrated", VALENCE_CAP
    if arousal < subdued:
        return "Subdued", CAP
    if arousal < calm:
        return "Calm", CAP
    if arousal < neutral:
        return "Neutral", CAP
    return ("Tense" if balance > max(TENSE_Z, pitch) else "Animated"), CAP


def _margin(arousal: float) -> float:
    """0.5 at a label's edge, 1 in the middle of its range or well beyond the outer edges."""
    return 0.5 + 0.5 * inside(arousal)


def _shift(voice: Voice, arousal: float, seconds: float) -> float | None:
    """Recent arousal over that of the last while; None for a voice's first window."""
    if voice.fast is None:
        voice.fast = voice.slow = arousal
        return None
    voice.fast += (arousal - voice.fast) * (1.0 - math.exp(-seconds / FAST_S))
    voice.slow += (arousal - voice.slow) * (1.0 - math.exp(-seconds / SLOW_S))
    return voice.fast - voice.slow


def _direction(shift: float) -> str:
    if abs(shift) < STABLE:
        return "stable"
    return "escalating" if shift > 0.0 else "de-escalating"


def _rate(voice: Voice, heard: Prosody, window: Window) -> float | None:
    """Syllables a second of speech, over the last four or so; None while too little was heard."""
    new = window.owned / len(window.samples)
    keep = math.exp(-heard.speech_s * new / RATE_S)
    voice.nuclei = voice.nuclei * keep + heard.nuclei * new
    voice.spoken_s = voice.spoken_s * keep + heard.speech_s * new
    return voice.nuclei / voice.spoken_s if voice.spoken_s >= RATE_SPOKEN_S else None


def _trend(voice: Voice, arousal: float, now: float) -> str | None:
    """`rising`, `falling` or `steady` over the last several windows; None while there are too few."""
    voice.recent = [point for point in voice.recent if point[0] < round(now, 3)]
    if len(voice.recent) > 1 and voice.recent[-1][0] - voice.recent[-2][0] < TREND_APART_S:
        voice.recent.pop()
    voice.recent = [*voice.recent, [round(now, 3), round(arousal, 3)]][-MOST_RECENT:]
    if len(voice.recent) < TREND_POINTS:
        return None
    points = np.array(voice.recent)
    slope = theil_sen(points[:, 0], points[:, 1])
    if abs(slope) < TREND_PER_S:
        return "steady"
    return "rising" if slope > 0.0 else "falling"


def _remember(voice: Voice, heard: Prosody, cues: Cues, arousal: float, window: Window) -> None:
    voice.last = arousal
    voice.heard_s = window.end_s
    voice.due_s += window.owned / SAMPLE_RATE
    if heard.voiced_s >= USUAL_VOICED_S and voice.due_s >= USUAL_EVERY_S:
        voice.baseline.add(cues)
        voice.due_s = 0.0
