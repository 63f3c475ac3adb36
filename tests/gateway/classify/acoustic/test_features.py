"""Per-frame measures against signals whose content is known, and on windows of every shape."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.classify.acoustic.features import FRAME, HOP, QUIETEST_DB, Features, frame_count
from tests import signals
from tests.acoustic import features_of, real
from tests.signals import RATE, Signal

ARRAYS = [f.name for f in dataclasses.fields(Features) if f.name not in ("frames", "frame_hop_s")]


def talk(start: float = 0.0, seconds: float = 1.0) -> Signal:
    """Real voice."""
    return real(signals.recording(signals.ALSA_SOUNDS / "Front_Center.wav", seconds, start))


@pytest.mark.parametrize("level", [-60.0, -26.0, -3.0])
def test_level_is_in_dbfs(level: float) -> None:
    """The level is the root mean square against a full-scale square wave, for sine and noise alike."""
    for sound in (signals.sines([1000.0], 0.5), signals.white(0.5, 0.1)):
        assert features_of(signals.at(level, sound)).level_db.mean() == pytest.approx(level, abs=0.1)


def test_full_scale() -> None:
    """A full-scale sine has -3 dBFS, a full-scale square wave 0 dBFS, and silence -120."""
    time = np.arange(RATE // 2) / RATE
    sine, square = (
        np.sin(2 * np.pi * 200 * time),
        np.where(np.sin(2 * np.pi * 200 * time + 0.1) > 0, 1.0, -1.0),
    )
    level = features_of(sine, square, signals.silence(0.5)).level_db
    assert level.mean(axis=1) == pytest.approx([-3.01, 0.0, QUIETEST_DB], abs=0.05)


def test_flatness() -> None:
    """White noise has about 0.56, a sine almost nothing, a voice lies between."""
    found = features_of(signals.white(0.5, 0.1), talk(0.25, 0.5), signals.sines([700.0], 0.5))
    noise, voice, sine = found.flatness.mean(axis=1)
    assert noise == pytest.approx(0.56, abs=0.03)
    assert sine < 1e-4 < voice < 0.3


def test_flux_follows_change() -> None:
    """A held tone has no flux, and where one tone gives way to another it peaks."""
    held = features_of(signals.sines([500.0], 1.0)).flux
    change = features_of(np.concatenate([signals.sines([500.0], 0.5), signals.sines([2000.0], 0.5)])).flux[0]
    assert held.max() < 0.01
    assert 44 <= change.argmax() <= 50
    assert change.max() > 0.1
    assert held[0, 0] == change[0] == 0.0


def test_flux_ignores_level() -> None:
    """A chord that swells by 40 dB in a second keeps its shape, and so has no flux to speak of."""
    swell = 10.0 ** np.linspace(-2.0, 0.0, RATE)
    assert features_of(signals.sines([300.0, 900.0, 2100.0], 1.0) * swell).flux.max() < 0.02


@pytest.mark.parametrize(("low", "high"), [(300.0, 1000.0), (200.0, 3000.0)])
def test_hf500_is_the_ratio_over_500_hz(low: float, high: float) -> None:
    """Two sines at equal amplitude give 0 dB, and 10 dB more of the upper one give 10 dB."""
    even = features_of(signals.sines([low, high], 0.5)).hf500_db
    more = features_of(signals.sines([low], 0.5) + signals.sines([high], 0.5, 0.2 * 10**0.5)).hf500_db
    assert even.mean() == pytest.approx(0.0, abs=0.2)
    assert more.mean() == pytest.approx(10.0, abs=0.2)


def test_alpha_ratio_and_hammarberg() -> None:
    """A sine at 400 Hz and one at 3 kHz, 20 dB down, give -20 dB and 20 dB."""
    found = features_of(signals.sines([400.0], 0.5) + signals.sines([3000.0], 0.5, 0.02))
    assert found.alpha_ratio_db.mean() == pytest.approx(-20.0, abs=0.3)
    assert found.hammarberg_db.mean() == pytest.approx(20.0, abs=0.5)


def test_slopes_see_a_tilt() -> None:
    """Noise whose power falls 10 dB/kHz has that slope in both bands, white noise none."""
    white = signals.white(4.0, 0.1)
    spectrum = np.fft.rfft(white)
    spectrum *= 10.0 ** (-10.0 / 20.0 * np.fft.rfftfreq(len(white), 1 / RATE) / 1000.0)
    tilted = np.fft.irfft(spectrum, len(white))
    found = features_of(white, tilted)
    for slopes in (found.slope_0_500, found.slope_500_1500):
        assert slopes.mean(axis=1) == pytest.approx([0.0, -10.0], abs=1.5)


def test_mfcc_ignore_level_but_for_the_first() -> None:
    """10 dB more level move only coefficient 0; another spectrum moves the others."""
    quiet, loud = signals.white(0.5, 0.02), signals.white(0.5, 0.02 * 10**0.5)
    a, b, c = features_of(quiet, loud, quiet + signals.vowel(120.0, 0.5)).mfcc.mean(axis=1)
    assert a[1:] == pytest.approx(b[1:], abs=0.05)
    assert b[0] - a[0] == pytest.approx(np.log(10) * np.sqrt(26), rel=0.02)
    assert np.abs(c[1:] - a[1:]).max() > 2.0


def test_loudness_grows_with_the_exponent() -> None:
    """10 dB more level make loudness 2 times (power 0.3) as large."""
    loudness = features_of(signals.white(0.5, 0.02), signals.white(0.5, 0.02 * 10**0.5)).loudness
    quiet, loud = loudness.mean(axis=1)
    assert loud / quiet == pytest.approx(10**0.3, rel=0.02)


@pytest.mark.parametrize("samples", [1, 160, FRAME - 1, FRAME, FRAME + HOP - 1, FRAME + HOP, 4800, 16000])
def test_only_whole_frames_count(samples: int) -> None:
    """Windows shorter than a frame have none; each 160 samples more give one more."""
    found = features_of(signals.white(1.0, 0.1)[:samples])
    expected = 0 if samples < FRAME else 1 + (samples - FRAME) // HOP
    assert found.frames.tolist() == [expected] == [frame_count(samples)]
    assert found.valid.sum() == expected


def test_frames_past_the_end_are_filler() -> None:
    """A short window in a batch of longer ones has -120 dBFS, zeros and False behind its end."""
    found = features_of(talk(0.2), talk(0.2, 0.3), signals.silence(1.0))
    count = int(found.frames[1])
    assert (found.level_db[1, count:] == QUIETEST_DB).all()
    for name in ARRAYS:
        if name != "level_db":
            assert not getattr(found, name)[1, count:].any(), name


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, RATE), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_a_batch_is_its_windows(lengths: list[int], seed: int) -> None:
    """A batch of windows of any lengths has the features that each has alone."""
    sounds = [talk(0.01 * (seed + i))[:length] for i, length in enumerate(lengths)]
    together = features_of(*sounds)
    for i, sound in enumerate(sounds):
        alone = features_of(sound)
        count = int(alone.frames[0])
        assert together.frames[i] == count
        for name in ARRAYS:
            batch, single = getattr(together, name)[i, :count], getattr(alone, name)[0, :count]
            np.testing.assert_allclose(batch, single, rtol=1e-3, atol=1e-2, err_msg=name)


@pytest.mark.parametrize(
    "sound",
    [
        np.full(RATE, -1.0),
        np.full(RATE, 1.0),
        np.where(np.arange(RATE) % 2, 1.0, -1.0),
        np.clip(20.0 * signals.vowel(110.0, 1.0), -1.0, 1.0),
        np.eye(1, RATE, RATE // 2)[0],
        signals.silence(1.0),
        signals.silence(1.0)[:1],
    ],
    ids=["all -32768", "all 32767", "alternating", "clipped vowel", "click", "silence", "one sample"],
)
def test_extremes_stay_finite(sound: Signal) -> None:
    """No input gives a NaN or an infinity in any feature."""
    found = features_of(sound)
    for name in ARRAYS:
        assert np.isfinite(getattr(found, name)).all(), name


def test_a_real_voice() -> None:
    """A recorded woman is voiced at 150 to 350 Hz in at least a third of her words' frames."""
    found = features_of(talk(0.2))
    assert found.voiced.mean() > 0.33
    assert 150.0 < np.median(found.f0_hz[found.voiced]) < 350.0
