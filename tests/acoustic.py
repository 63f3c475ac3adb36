"""Hand sounds to the acoustic classifier as a session would, for tests."""

from collections.abc import Sequence

import numpy as np

from gateway.classify.acoustic.classifier import analyse
from gateway.classify.acoustic.features import Features, extract
from gateway.classify.port import AnalysisState, Observation, ToneObservation, Window
from tests import signals
from tests.signals import RATE, Pcm, Signal

TEXT = (
    "Good morning, thank you for calling. I would like to ask about my order, which has not arrived yet. "
    "Can you tell me where it is, please? I have been waiting for two weeks and nobody could help me so far."
)


def features_of(*sounds: Signal) -> Features:
    """The features of sounds of any lengths, as one batch."""
    batch = np.zeros((len(sounds), max(map(len, sounds))), dtype=np.float32)
    for row, sound in zip(batch, sounds, strict=True):
        row[: len(sound)] = sound
    return extract(batch, np.array([len(sound) for sound in sounds], dtype=np.intp))


def real(pcm: Pcm) -> Signal:
    """Samples with full scale 1."""
    return pcm / 32768.0


def cut(
    sound: Signal | Pcm, state: AnalysisState, *, window_s: float = 1.0, hop_s: float = 1.0
) -> list[Window]:
    """Whole windows of one session, sharing `state`."""
    pcm = sound if sound.dtype == np.int16 else signals.pcm(np.asarray(sound, dtype=np.float64))
    length, hop = round(window_s * RATE), round(hop_s * RATE)
    return [
        Window(pcm[end - length : end].astype(np.int16), length if end == length else hop, end / RATE, state)
        for end in range(length, len(pcm) + 1, hop)
    ]


def listen(
    sound: Signal | Pcm, state: AnalysisState | None = None, *, window_s: float = 1.0, hop_s: float = 1.0
) -> list[list[Observation]]:
    """What each window of a session leads to, one after another."""
    state = {} if state is None else state
    told = []
    for window in cut(sound, state, window_s=window_s, hop_s=hop_s):
        ((observations, state["acoustic"]),) = analyse([window])
        told.append(observations)
    return told


def tones(told: Sequence[Sequence[Observation]]) -> list[ToneObservation]:
    """The tones among what was told, in order."""
    return [said for window in told for said in window if isinstance(said, ToneObservation)]
