"""What one window's speech is like, on signals and recordings whose answer is known."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.acoustic.prosody import Prosody, measure, terminal_slope, theil_sen
from tests import signals
from tests.acoustic import TEXT, features_of, real
from tests.needs import need_command
from tests.signals import RATE, Signal


def voice(name: str, folder: Path, *options: str) -> Signal:
    """TEXT in a flite voice, with flite's own options."""
    path = folder / "speech.wav"
    command = [need_command("flite"), "-voice", name, *options, "-t", TEXT, "-o", str(path)]
    subprocess.run(command, check=True)
    return real(signals.recording(path))


def seconds(sound: Signal) -> list[Prosody]:
    """The prosody of each second that has speech."""
    parts = [sound[at : at + RATE] for at in range(0, len(sound) - RATE + 1, RATE)]
    return [heard for heard in measure(features_of(*parts)) if heard.voiced_s > 0.1]


def usual(heard: list[Prosody], name: str) -> float:
    return float(np.median([getattr(one, name) for one in heard]))


def rate(heard: list[Prosody]) -> float:
    return sum(one.nuclei for one in heard) / sum(one.speech_s for one in heard)


@pytest.mark.parametrize("gain_db", [-12.0, 6.0])
def test_level_follows_gain_and_nothing_else_does(gain_db: float, tmp_path: Path) -> None:
    """The same words at another gain differ in level by just that, and not in pitch or spectral balance."""
    sound = 0.4 * voice("rms", tmp_path)
    before, after = seconds(sound), seconds(sound * 10 ** (gain_db / 20))
    assert usual(after, "level_db") - usual(before, "level_db") == pytest.approx(gain_db, abs=0.3)
    assert usual(after, "f0_st") == pytest.approx(usual(before, "f0_st"), abs=0.2)
    assert usual(after, "hf500_db") == pytest.approx(usual(before, "hf500_db"), abs=0.5)


def test_pitch_follows_a_shifted_voice(tmp_path: Path) -> None:
    """A voice synthesised a third higher is found higher by that, in semitones."""
    low = seconds(voice("kal16", tmp_path, "--setf", "int_f0_target_mean=95"))
    high = seconds(voice("kal16", tmp_path, "--setf", "int_f0_target_mean=120"))
    apart = usual(high, "f0_st") - usual(low, "f0_st")
    assert apart == pytest.approx(12 * np.log2(120 / 95), abs=1.0)


def test_women_are_higher_than_men(tmp_path: Path) -> None:
    """The female voice lies at least six semitones over the male ones."""
    male = [usual(seconds(voice(name, tmp_path)), "f0_st") for name in ("rms", "kal16")]
    assert usual(seconds(voice("slt", tmp_path)), "f0_st") > max(male) + 6.0


def test_rate_follows_stretched_speech(tmp_path: Path) -> None:
    """The same words stretched have fewer syllables a second, and hurried ones more."""
    slow, plain, fast = (
        rate(seconds(voice("rms", tmp_path, "--setf", f"duration_stretch={stretch}")))
        for stretch in (2.0, 1.0, 0.6)
    )
    assert slow < 0.75 * plain
    assert fast > 1.2 * plain
    assert 3.0 < plain < 5.0


def test_hf500_follows_the_treble(tmp_path: Path) -> None:
    """A brighter voice (first difference added) has more energy above 500 Hz."""
    sound = voice("rms", tmp_path)
    bright = sound + 4.0 * np.diff(sound, prepend=0.0)
    assert usual(seconds(bright), "hf500_db") > usual(seconds(sound), "hf500_db") + 2.0


def test_noise_level_is_that_of_the_pauses(tmp_path: Path) -> None:
    """With a second of noise in half of which somebody speaks, the noise's level is told."""
    noise = signals.at(-50.0, signals.white(1.0, 0.1))
    words = real(signals.recording(signals.ALSA_SOUNDS / "Front_Center.wav", 0.5, 0.2))
    (heard,) = measure(features_of(noise + np.concatenate([words, signals.silence(0.5)])))
    assert heard.noise_db == pytest.approx(-50.0, abs=1.5)


def test_nothing_is_made_up_without_speech() -> None:
    """Silence and noise have no voiced speech, and zeros for all that is measured on it."""
    for heard in measure(features_of(signals.silence(1.0), signals.white(1.0, 0.1), signals.silence(0.01))):
        assert heard.speech_s == heard.voiced_s == heard.nuclei == 0
        assert heard.f0_st == heard.range_st == heard.level_db == heard.hf500_db == heard.hnr_db == 0.0
        assert heard.terminal_st_s is None


@pytest.mark.parametrize("slope", [-20.0, 0.0, 15.0])
def test_terminal_slope(slope: float) -> None:
    """The end's slope is told in semitones a second, one octave error notwithstanding."""
    voiced = np.zeros(100, dtype=np.bool_)
    voiced[20:70] = True
    semitones = slope * np.arange(100) * 0.01
    semitones[60] += 12.0
    assert terminal_slope(voiced, semitones, 0.01) == pytest.approx(slope, abs=0.5)


def test_only_the_end_counts() -> None:
    """A fall before the last 300 ms doesn't hide that the end rises."""
    voiced = np.ones(100, dtype=np.bool_)
    voiced[80:] = False
    semitones = np.concatenate([np.linspace(10, 0, 50), np.linspace(0, 6, 50)])
    slope = terminal_slope(voiced, semitones, 0.01)
    assert slope is not None
    assert slope > 10.0


@pytest.mark.parametrize("stop", [95, 100])
def test_no_terminal_before_a_pause(stop: int) -> None:
    """Where the voice runs to the window's end nobody knows yet whether the phrase ends."""
    voiced = np.zeros(100, dtype=np.bool_)
    voiced[20:stop] = True
    assert terminal_slope(voiced, np.zeros(100), 0.01) is None


def test_a_blip_is_no_terminal() -> None:
    """Fewer than 80 ms of voice tell no slope."""
    voiced = np.zeros(100, dtype=np.bool_)
    voiced[40:46] = True
    assert terminal_slope(voiced, np.arange(100.0), 0.01) is None


@given(slope=st.floats(-50, 50), start=st.floats(-20, 20), wrong=st.integers(0, 3))
def test_theil_sen_ignores_outliers(slope: float, start: float, wrong: int) -> None:
    """A line's slope is found although some points lie anywhere."""
    x = np.arange(20.0)
    y = start + slope * x
    y[5 : 5 + wrong] += 1000.0
    assert theil_sen(x, y) == pytest.approx(
        slope, abs=1e-6 + (0.0 if wrong == 0 else 1e-6 * abs(slope) + 1e-6)
    )
