"""The demo's recording: its course, and the three places its speech can come from."""

from pathlib import Path

import numpy as np
import pytest

from gateway.commands import demo_audio, synth
from gateway.commands.demo_audio import build, flite_turns, formant_turns, recorded_turns
from tests.gateway.commands.wavs import s16, simple, sine
from tests.needs import need_command, need_file


def test_recording_is_about_half_a_minute() -> None:
    """It lasts 22 to 32 seconds, does not clip, and is never digitally silent for long."""
    audio = build()
    assert 22 <= len(audio.samples) / synth.RATE <= 32
    assert 8_000 < np.abs(audio.samples).max() < 32_768
    assert (audio.samples[:1_600] != 0).any()


def test_same_recording_each_time() -> None:
    """The same machine always gets the same samples."""
    assert np.array_equal(build().samples, build().samples)


def test_flite_speaks_three_turns() -> None:
    """With flite: the calm turn is softer and lower than the animated one; the text is known."""
    need_command("flite")
    calm, animated, other = flite_turns()
    assert np.abs(calm.sound).max() == pytest.approx(0.35, abs=0.01)
    assert np.abs(animated.sound).max() == pytest.approx(0.85, abs=0.01)
    assert "Monday" in calm.text
    assert len(other.sound) > 2 * synth.RATE


def test_recordings_are_real_voices() -> None:
    """Without flite: recordings of a system package, resampled to 16 kHz, none longer than 6 s."""
    need_file("/usr/share/sounds/alsa/Front_Center.wav")
    turns = recorded_turns()
    assert turns
    assert all(0 < len(turn.sound) <= 6 * synth.RATE for turn in turns)


def test_without_anything_our_own_voice_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a bare machine there is still a demo, and it says whose voice it is."""
    monkeypatch.setattr(demo_audio, "_SPEECH", (("nobody", list),))
    audio = build()
    assert "built-in" in audio.speech_from
    assert len(audio.samples) > 20 * synth.RATE


def test_own_voice_has_a_calm_an_animated_and_a_second_turn() -> None:
    """Three turns that differ in level, without words."""
    levels = [float(np.abs(turn.sound).max()) for turn in formant_turns()]
    assert levels == pytest.approx([0.25, 0.75, 0.4], rel=0.01)
    assert {turn.text for turn in formant_turns()} == {""}


@pytest.mark.parametrize("status", ["missing", "failing"])
def test_broken_flite_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: str) -> None:
    """A flite that is absent, or that fails, leads to the next source instead of an error."""
    if status == "failing":
        broken = tmp_path / "flite"
        broken.write_text("#!/bin/sh\nexit 1\n")
        broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert flite_turns() == []


def test_recordings_are_brought_to_one_form(tmp_path: Path) -> None:
    """Stereo at another rate becomes mono 16 kHz at the wanted level; a silent or odd file is left out."""
    stereo = np.repeat(sine(48_000, 1.0), 2)
    (tmp_path / "a.wav").write_bytes(simple(s16(stereo), channels=2, rate=48_000))
    (tmp_path / "b.wav").write_bytes(simple(bytes(3_200)))
    (tmp_path / "c.wav").write_bytes(simple(bytes(3_200), bits=8))
    got = demo_audio._load(tmp_path / "a.wav", 0.3)
    assert got is not None
    assert len(got) == pytest.approx(synth.RATE, abs=2)
    assert np.abs(got).max() == pytest.approx(0.3)
    assert demo_audio._load(tmp_path / "b.wav", 0.3) is None
    assert demo_audio._load(tmp_path / "c.wav", 0.3) is None
    assert demo_audio._load(tmp_path / "none.wav", 0.3) is None
