"""The synthesised sounds are what they claim to be, measured on their spectra and envelopes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands import synth
from gateway.commands.synth import RATE, Samples


def peaks(sound: Samples, count: int) -> list[float]:
    """The strongest frequencies, in hertz, at least 20 Hz apart."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 17))
    hertz = np.fft.rfftfreq(1 << 17, 1 / RATE)
    found: list[float] = []
    while len(found) < count:
        best = float(hertz[int(spectrum.argmax())])
        found.append(best)
        spectrum[np.abs(hertz - best) < 20] = 0
    return sorted(found)


def pitch(sound: Samples) -> float:
    """Median pitch of the voiced 50 ms pieces, in hertz, by autocorrelation."""
    found = []
    for start in range(0, len(sound) - 800, 400):
        piece = sound[start : start + 800] * np.hanning(800)
        if np.abs(piece).max() < 0.05 * np.abs(sound).max():
            continue
        correlation = np.correlate(piece, piece, "full")[799:]
        lag = 40 + int(correlation[40:200].argmax())
        if correlation[lag] > 0.5 * correlation[0]:
            found.append(RATE / lag)
    return float(np.median(found))


@pytest.mark.parametrize(("digit", "pair"), [("1", (697, 1_209)), ("5", (770, 1_336)), ("#", (941, 1_477))])
def test_dtmf_has_its_two_tones(digit: str, pair: tuple[int, int]) -> None:
    """A digit is its row's and its column's frequency (ITU-T Q.23)."""
    assert peaks(synth.dtmf(digit)[:1_600], 2) == pytest.approx(pair, abs=2)


def test_dtmf_keeps_digits_apart() -> None:
    """Each digit lasts 100 ms and is followed by as long a pause."""
    sound = synth.dtmf("12")
    assert len(sound) == round(0.4 * RATE)
    assert np.abs(sound[1_600:3_200]).max() == 0
    assert len(synth.dtmf("")) == 0
    with pytest.raises(ValueError, match="no DTMF digit"):
        synth.dtmf("x")


def test_ringback_is_440_and_480() -> None:
    """The US ringing tone."""
    assert peaks(synth.ringback(1.0), 2) == pytest.approx([440, 480], abs=1)


def test_music_is_steady_and_tonal() -> None:
    """Hold music never pauses, and its energy sits in few, narrow lines."""
    music = synth.hold_music(6.5)
    assert len(music) == round(6.5 * RATE)
    inner = music[RATE // 2 : -RATE // 2]
    levels = np.sqrt((inner[: len(inner) // 1_600 * 1_600].reshape(-1, 1_600) ** 2).mean(axis=1))
    assert levels.min() > 0.2 * levels.max()
    power = np.sort(np.abs(np.fft.rfft(inner)) ** 2)
    assert power[-len(power) // 50 :].sum() > 0.9 * power.sum()


@pytest.mark.parametrize("manner", [synth.CALM, synth.ANIMATED, synth.SECOND])
def test_voice_speaks_as_its_manner_says(manner: synth.Manner) -> None:
    """Pitch and level are the manner's, and there are syllables and pauses."""
    sound = synth.voice(4.0, manner)
    assert len(sound) == 4 * RATE
    assert pitch(sound) == pytest.approx(manner.pitch_hz, rel=0.12)
    assert np.abs(sound).max() == pytest.approx(manner.level, rel=0.01)
    levels = np.sqrt((sound.reshape(-1, 320) ** 2).mean(axis=1))
    assert (levels < 0.02 * levels.max()).mean() > 0.02


def test_manners_differ_in_pitch_and_effort() -> None:
    """Animated speech is higher, louder and brighter than calm speech of the same voice."""
    same_words = replace(synth.CALM, seed=synth.ANIMATED.seed)
    calm, animated = synth.voice(4.0, same_words), synth.voice(4.0, synth.ANIMATED)

    def brightness(sound: Samples) -> float:
        power = np.abs(np.fft.rfft(sound)) ** 2
        hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
        return float(power[hertz > 1_000].sum() / power.sum())

    assert pitch(animated) > 1.2 * pitch(calm)
    assert brightness(animated) > 1.2 * brightness(calm)


@given(st.floats(0.2, 3.0), st.integers(0, 2**31))
def test_voice_never_clips_nor_breaks(seconds: float, seed: int) -> None:
    """Whatever the length and the syllables, every sample is finite and within full scale."""
    sound = synth.voice(seconds, synth.Manner(150, 3, 4, 0.8, 800, seed=seed))
    assert len(sound) == round(seconds * RATE)
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() <= 1


def test_pitch_always_glides() -> None:
    """No pitch is held as a note is: over 40 ms it hardly ever stays within a tenth of a semitone."""
    random = np.random.default_rng(0)
    contour = synth._contour(np.full(8, 3_200), synth.CALM, random)
    moved = np.abs(12 * np.log2(contour[640:] / contour[:-640]))
    assert (moved < 0.1).mean() < 0.25


def test_same_sound_each_time() -> None:
    """Nothing is left to chance."""
    assert np.array_equal(synth.voice(2.0, synth.CALM), synth.voice(2.0, synth.CALM))
