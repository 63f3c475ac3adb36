"""Pitch and voicing against signals whose pitch is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import signals
from tests.acoustic import features_of
from tests.signals import RATE, Signal

VOWELS = {
    "a": ((700.0, 90.0), (1220.0, 110.0), (2600.0, 160.0)),
    "i": ((280.0, 60.0), (2250.0, 120.0), (2900.0, 170.0)),
    "u": ((310.0, 60.0), (870.0, 90.0), (2250.0, 150.0)),
}


def cents(f0_hz: np.ndarray[tuple[int, ...], np.dtype[np.float32]], truth: float | Signal) -> Signal:
    return np.asarray(1200.0 * np.abs(np.log2(f0_hz / np.asarray(truth))), dtype=np.float64)


@pytest.mark.parametrize("vowel", VOWELS)
@pytest.mark.parametrize("f0", [75.0, 100.0, 131.0, 180.0, 233.0, 311.0, 440.0])
def test_pitch_of_vowels(f0: float, vowel: str) -> None:
    """Every frame of a vowel is voiced, and its pitch is right to 10 cents."""
    found = features_of(signals.vowel(f0, 0.5, VOWELS[vowel]))
    assert found.voiced.all()
    assert cents(found.f0_hz, f0).max() < 10.0


@settings(max_examples=20, deadline=None)
@given(f0=st.floats(70.0, 450.0), snr_db=st.floats(10.0, 30.0), seed=st.integers(0, 1000))
def test_no_octave_errors_in_noise(f0: float, snr_db: float, seed: int) -> None:
    """Noise down to 10 dB makes no frame of a vowel jump by an octave: voiced ones stay within 100 cents."""
    found = features_of(signals.with_noise(signals.vowel(f0, 0.5), snr_db, seed))
    assert found.voiced.mean() > 0.9
    assert cents(found.f0_hz[found.voiced], f0).max() < 100.0


def test_missing_fundamental() -> None:
    """Over the telephone the fundamental is filtered out; the harmonics still give it away."""
    sound = signals.sines([400.0, 500.0, 600.0, 700.0, 800.0, 900.0], 0.5, 0.05)
    found = features_of(sound)
    assert found.voiced.all()
    assert cents(found.f0_hz, 100.0).max() < 10.0


def test_an_offset_doesnt_hide_pitch() -> None:
    """A microphone's direct-current offset, 15 dB over the voice, changes neither voicing nor pitch."""
    found = features_of(signals.at(-20.0, signals.vowel(90.0, 0.5)) + 0.56)
    assert found.voiced.all()
    assert cents(found.f0_hz, 90.0).max() < 20.0


def test_glides_are_followed() -> None:
    """A pitch that glides an octave in a second is followed within 20 cents of that at the frame's middle."""
    glide = 120.0 * 2.0 ** np.linspace(0.0, 1.0, RATE)
    found = features_of(signals.vowel(glide, 1.0))
    middle = glide[np.arange(found.f0_hz.shape[1]) * 160 + 320]
    assert cents(found.f0_hz[0], middle).max() < 20.0


def test_a_stray_octave_is_looked_up_again() -> None:
    """Frames in which every second period is weaker, as in creaky voice, stay at the window's pitch."""
    steady = signals.vowel(160.0, 0.7)
    creak = signals.vowel(160.0, 0.3) + 0.25 * signals.vowel(80.0, 0.3)
    found = features_of(np.concatenate([steady, creak]))
    assert cents(found.f0_hz[found.voiced], 160.0).max() < 100.0


@pytest.mark.parametrize("hertz", [100.0, 220.0, 440.0])
def test_pure_tones(hertz: float) -> None:
    """A sine is perfectly periodic: right to 5 cents, with a harmonics-to-noise ratio over 25 dB."""
    found = features_of(signals.sines([hertz], 0.5))
    assert cents(found.f0_hz, hertz).max() < 5.0
    assert found.hnr_db.min() > 25.0


@pytest.mark.parametrize("snr_db", [0.0, 5.0, 10.0, 15.0, 20.0])
def test_harmonics_to_noise(snr_db: float) -> None:
    """The ratio told is that of the mixture, to 2 dB, counted in the band that is looked at."""
    tone, rms = signals.sines([200.0, 400.0, 600.0, 800.0, 1000.0], 1.0, 0.05), 0.05 * np.sqrt(5 / 2)
    in_band = 10.0 * np.log10(8000.0 / 1900.0)
    noise = signals.white(1.0, float(rms) * 10 ** (-(snr_db - in_band) / 20))
    found = features_of(tone + noise[: len(tone)])
    assert np.median(found.hnr_db[found.voiced]) == pytest.approx(snr_db, abs=2.0)


@pytest.mark.parametrize("rms", [0.001, 0.1])
def test_noise_is_unvoiced(rms: float) -> None:
    """White noise has no pitch; fewer than one frame in fifty is taken for voiced."""
    assert features_of(signals.white(3.0, rms)).voiced.mean() < 0.02


@pytest.mark.parametrize("sound", [signals.silence(1.0), np.full(RATE, -1.0), np.full(RATE, 0.3)])
def test_silence_and_direct_current_are_unvoiced(sound: Signal) -> None:
    """What doesn't move has no pitch, however loud."""
    found = features_of(sound)
    assert not found.voiced.any()
    assert not found.f0_hz.any()


def test_too_quiet_to_be_voiced() -> None:
    """A vowel at -70 dBFS isn't voiced, and one 40 dB under the window's loudest neither."""
    assert not features_of(signals.at(-70.0, signals.vowel(120.0, 0.5))).voiced.any()
    loud, faint = signals.at(-15.0, signals.vowel(120.0, 0.5)), signals.at(-55.0, signals.vowel(120.0, 0.5))
    found = features_of(np.concatenate([loud, faint]))
    assert found.voiced[0, :40].all()
    assert not found.voiced[0, 55:].any()
