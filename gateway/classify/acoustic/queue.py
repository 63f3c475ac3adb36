"""What state the call is in: silence, dead air, hold music, ringing, busy, and the digits somebody keys.

One state at a time, decided from the part of the window that no earlier one covered and from what the
session's state carries. A state is told when it begins, and again every ten seconds while it lasts, so that a
late observer learns it; digits are told once. Talking, and sounds that are none of these, are no event.

Confidences are scores from the measured margin, not calibrated probabilities:

- `dtmf_tone`: the mean share of the block's energy in the pair (0.7 to 0.99);
- `ringback`, `busy`: 0.5 to 0.9, growing with each repetition of the cadence (`cadence.Progress`);
- `silence`: 0.5 at the threshold of quiet, 0.9 from 20 dB below; `dead_air` 0.1 less, since that somebody
  ought to be speaking is an inference;
- `hold_music`: 0.5 to 0.85 by the margin of `music.Meter`.
"""

import math
from dataclasses import dataclass

import numpy as np

from gateway.classify.acoustic import cadence, digits, music
from gateway.classify.acoustic.features import Features
from gateway.classify.acoustic.frames import centres, owned_frames
from gateway.classify.acoustic.tones import ToneBlocks
from gateway.classify.port import SAMPLE_RATE, AnalysisState, QueueObservation, Window

REPEAT_S = 10.0
"""Seconds after which a state that lasts is told again."""
SILENCE_S = 2.0
"""Seconds of quiet that make a silence rather than a pause."""
DEAD_AIR_S = 5.0
"""Seconds of quiet after speech that make dead air."""
QUIET_DB = -50.0
"""dBFS below which a frame is quiet whatever else it is."""
QUIET_CAP_DB = -35.0
"""dBFS above which no frame is quiet, however steady the noise."""
FLOOR_MARGIN_DB = 6.0
"""Noise this close to the session's noise floor is quiet."""
FLOOR_RISE_DB = 1.0
"""Decibels a second by which the noise floor may rise."""
NOISE_FLATNESS = 0.08
"""Spectral flatness from which a faint sound is noise rather than something to listen to."""
CLICK_S = 0.05
"""Seconds of sound that don't break a silence."""
SPEECH_S = 0.3
"""Seconds of speech in a window that count as somebody talking."""
SPOKEN_MARGIN, SPOKEN_SHARE, SPOKEN_S = -2.0, 0.3, 0.9
"""Somebody speaks where music was: stretches that alone are this far from music, this part of them speech,
for so many seconds running. Of 18 minutes of Asterisk's hold music 0.3 % of the seconds are like that, and
98 % of the seconds of recorded speech."""
ANSWER_S = 0.4
"""Seconds of speech, running, that end ringing and busy: a tone's edges can pass for a moment of voice."""
OTHER_S = 1.5
"""Seconds, running, of sounds that are no tone and end ringing and busy: music began, or a room."""
MUSIC_TONE = 0.2
"""Part of a window in signalling tones from which it says nothing about music."""
JUMP_S = 0.02
"""Seconds by which windows may seem apart, from rounding, without audio missing between them."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """The owned part of a window in seconds."""

    seconds: float
    speech: float
    tone: float
    """Signalling tones."""
    loud: float
    """Anything but quiet."""
    trailing: float
    """Quiet at the end."""
    music: music.Meter | None
    """What it says of music alone."""
    depth_db: float
    """How far its level (that which a tenth of the frames exceed) lies below the threshold of quiet."""


def observe(
    features: Features, i: int, blocks: ToneBlocks, state: AnalysisState, window: Window
) -> list[QueueObservation]:
    """What changed in the state of the call with this window.

    Args:
        features: of the whole batch, signalling tones taken out of `speech`; `i` is this window's row.
        blocks: `tones.detect` for the same row.
        state: the classifier's state of the session; `tones` and `queue` in it are updated.
    """
    tone_state: AnalysisState = state.setdefault("tones", {})
    mine: AnalysisState = state.setdefault("queue", {})
    if _jumped(mine, window):
        _forget(tone_state, mine)
    mine["end_s"] = window.end_s
    keyed = digits.advance(tone_state.setdefault("digits", {}), blocks, window.owned)
    signal = cadence.advance(tone_state.setdefault("progress", {}), blocks, window.owned, window.end_s)
    label, confidence = _settle(mine, features, i, blocks, window)
    out: list[QueueObservation] = []
    if keyed.keys:
        share = round(min(0.99, keyed.share), 3)
        out.append(QueueObservation(label="dtmf_tone", confidence=share, digits=keyed.keys))
    extra: dict[str, list[float]] = {}
    answered = float(mine.get("talk_s", 0.0)) >= ANSWER_S or float(mine.get("other_s", 0.0)) >= OTHER_S
    if signal is not None and answered:
        tone_state["progress"] = {}
    elif signal is not None:
        mine["spoke"] = False
        mine.pop("music", None)
        label, confidence, extra = signal.label, signal.confidence, {"tone_hz": list(signal.hertz)}
    mine["confidence"] = confidence
    if _due(mine, label, window.end_s):
        out.append(QueueObservation(label=label, confidence=round(confidence, 3), extra=extra))
    return out


def _jumped(mine: AnalysisState, window: Window) -> bool:
    begin = window.end_s - window.owned / SAMPLE_RATE
    return "end_s" in mine and abs(begin - float(mine["end_s"])) > JUMP_S


def _forget(tone_state: AnalysisState, mine: AnalysisState) -> None:
    """Audio is missing: what needs it unbroken begins anew. The state that was told, and when, stays."""
    tone_state.clear()
    mine.pop("music", None)
    mine["quiet_s"] = mine["talk_s"] = 0.0


def _due(mine: AnalysisState, label: str, now: float) -> bool:
    """Whether `label` is to be told now; notes that it was."""
    changed = label != mine.get("label", "")
    mine["label"] = label
    if label in ("", "speech"):
        return False
    if not changed and now - float(mine["told_s"]) < REPEAT_S - JUMP_S:
        return False
    mine["told_s"] = now
    return True


def _settle(
    mine: AnalysisState, features: Features, i: int, blocks: ToneBlocks, window: Window
) -> tuple[str, float]:
    """The state by everything but call progress, and its confidence."""
    label, confidence = str(mine.get("label", "")), float(mine.get("confidence", 0.0))
    label = "" if label in ("ringback", "busy") else label
    owned = owned_frames(features, i, window)
    if owned.start >= owned.stop:
        return label, confidence
    meter = music.restore(mine)
    heard = _hear(mine, meter, features, i, owned, blocks, window)
    if _voice_after_music(mine, heard, label == "hold_music" or meter.is_music) and heard.music is not None:
        meter = heard.music
    music.save(meter, mine)
    mine["quiet_s"] = _quiet(float(mine.get("quiet_s", 0.0)), heard)
    other = heard.loud - heard.tone >= 0.5 * heard.seconds
    mine["other_s"] = float(mine.get("other_s", 0.0)) + heard.seconds if other else 0.0
    talking = heard.speech >= min(SPEECH_S, 0.5 * heard.seconds)
    mine["talk_s"] = float(mine.get("talk_s", 0.0)) + heard.speech if talking else 0.0
    mine["spoke"] = talking or bool(mine.get("spoke"))
    if mine["quiet_s"] >= SILENCE_S:
        mine.pop("music", None)
        clear = 0.5 + 0.4 * min(1.0, max(0.0, heard.depth_db / 20.0))
        dead = mine["spoke"] and mine["quiet_s"] >= DEAD_AIR_S
        return ("dead_air", clear - 0.1) if dead else ("silence", clear)
    if meter.is_music or (label == "hold_music" and meter.evidence > 0.0):
        mine["spoke"] = False
        return "hold_music", 0.5 + 0.35 * math.tanh(max(0.0, meter.margin) / 4.0)
    if talking:
        return "speech", 0.0
    kept = heard.loud <= CLICK_S or label == "speech"
    return (label, confidence) if kept else ("", 0.0)


def _voice_after_music(mine: AnalysisState, heard: _Heard, was_music: bool) -> bool:
    """Whether somebody has clearly begun to speak, so that the seconds of music before count no more."""
    spoken = (
        was_music
        and heard.music is not None
        and heard.music.margin < SPOKEN_MARGIN
        and heard.speech >= SPOKEN_SHARE * heard.seconds
    )
    mine["spoken_s"] = float(mine.get("spoken_s", 0.0)) + heard.seconds if spoken else 0.0
    return float(mine["spoken_s"]) >= SPOKEN_S


def _quiet(before: float, heard: _Heard) -> float:
    unbroken = heard.loud <= CLICK_S and heard.tone <= CLICK_S and heard.speech <= CLICK_S
    return before + heard.seconds if unbroken else heard.trailing


def _hear(
    mine: AnalysisState,
    meter: music.Meter,
    features: Features,
    i: int,
    owned: slice,
    blocks: ToneBlocks,
    window: Window,
) -> _Heard:
    level, speech = features.level_db[i, owned], features.speech[i, owned]
    frame_s = features.frame_hop_s
    seconds = window.owned / SAMPLE_RATE
    tenth = len(level) // 10
    ordered = np.partition(level, (tenth, len(level) - 1 - tenth))
    low_db, high_db = float(ordered[tenth]), float(ordered[len(level) - 1 - tenth])
    tone_s, alone = 0.0, None
    if blocks.mask.any():
        tone_s = float(np.count_nonzero(blocks.tone_at(centres(features, owned)))) * frame_s
    if tone_s <= MUSIC_TONE * seconds:
        alone = music.listen(meter, level, high_db, features.f0_hz[i, owned], frame_s, seconds)
    threshold = _threshold(mine, low_db, seconds)
    loud = level > threshold
    if threshold > QUIET_DB:
        loud |= (level > QUIET_DB) & (features.flatness[i, owned] < NOISE_FLATNESS)
    where = np.flatnonzero(loud)
    trailing = len(level) - 1 - int(where[-1]) if len(where) else len(level)
    return _Heard(
        seconds=seconds,
        speech=float(np.count_nonzero(speech)) * frame_s,
        tone=tone_s,
        loud=len(where) * frame_s,
        trailing=trailing * frame_s,
        music=alone,
        depth_db=threshold - high_db,
    )


def _threshold(mine: AnalysisState, low_db: float, seconds: float) -> float:
    """dBFS below which noise is quiet: a little above the quietest tenth of late, within fixed bounds."""
    floor = min(low_db, float(mine.get("floor_db", low_db)) + FLOOR_RISE_DB * seconds)
    mine["floor_db"] = max(-120.0, floor)
    return min(QUIET_CAP_DB, max(QUIET_DB, floor + FLOOR_MARGIN_DB))
