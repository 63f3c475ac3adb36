"""Speech is found in recordings and synthetic voices, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest

from tests import signals
from tests.acoustic import TEXT, features_of, real
from tests.signals import RATE, Signal

SPEECH_S = 0.2


def shares(sound: Signal) -> Signal:
    """Seconds of speech in each second."""
    seconds = [sound[at : at + RATE] for at in range(0, len(sound) - RATE + 1, RATE)]
    found = [
        features_of(*seconds[at : at + 32]).speech.sum(axis=1) * 0.01 for at in range(0, len(seconds), 32)
    ]
    return np.concatenate(found)


@pytest.mark.parametrize("voice", ["kal16", "awb", "rms", "slt"])
@pytest.mark.parametrize("snr_db", [None, 15.0])
def test_synthetic_voices(voice: str, snr_db: float | None, tmp_path: Path) -> None:
    """Every second of a flite voice holds speech, at 15 dB over white noise too."""
    sound = real(signals.spoken(TEXT, voice, tmp_path))
    heard = shares(sound if snr_db is None else signals.with_noise(sound, snr_db))
    assert (heard >= SPEECH_S).mean() > 0.95


def test_recordings() -> None:
    """Of the seconds of read and recorded speech, 97 in 100 hold some; half of all frames are speech."""
    parts = [real(signals.recording(path)) for path in signals.speech_files()]
    parts += [real(signals.recording(path)) for path in signals.prompt_files(24)]
    heard = shares(np.concatenate(parts))
    assert (heard >= SPEECH_S).mean() > 0.97
    assert heard.mean() > 0.5


@pytest.mark.parametrize("path", signals.music_files(), ids=lambda path: path.stem)
def test_hold_music(path: Path) -> None:
    """At most one second in forty of hold music is taken for speech."""
    assert (shares(real(signals.recording(path, 90.0))) >= SPEECH_S).mean() <= 1 / 40


SOUNDS: dict[str, Signal] = {
    "silence": signals.silence(3.0),
    "white noise": signals.white(3.0, 0.1),
    "faint noise": signals.white(3.0, 0.001),
    "DTMF": signals.dtmf("0123456789*#ABCD"),
    "ringback": signals.ringback("US"),
    "busy": signals.busy("UK"),
    "chord": signals.sines([262.0, 330.0, 392.0], 3.0, 0.1),
    "held vowel": signals.vowel(120.0, 3.0),
    "siren": 0.3 * np.sin(np.cumsum(2 * np.pi * (300 + 150 * np.sin(np.arange(3 * RATE) / RATE * 3)) / RATE)),
    "hum": signals.sines([50.0, 100.0, 150.0], 3.0, 0.05),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_other_sounds(name: str) -> None:
    """Noise, tones, held notes and sirens hold no speech at all."""
    assert shares(SOUNDS[name]).max() == 0.0


def test_wind_is_no_speech() -> None:
    """The rumble that ALSA ships as `Noise.wav` is no speech."""
    assert shares(real(signals.recording(signals.ALSA_SOUNDS / "Noise.wav"))).max() == 0.0


def test_pauses_are_not_speech() -> None:
    """Silence before and after a word isn't part of it."""
    word = real(signals.recording(signals.ALSA_SOUNDS / "Front_Center.wav", 0.5, 0.2))
    speech = features_of(np.concatenate([signals.silence(0.5), word, signals.silence(0.5)])).speech[0]
    assert speech[45:95].mean() > 0.4
    assert not speech[:35].any()
    assert not speech[115:].any()
