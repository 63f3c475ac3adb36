"""Exact-frequency detection in one window: what counts as a tone, what doesn't, and where it lies."""

import numpy as np
import pytest

from gateway.classify.acoustic import tones
from gateway.classify.acoustic.tones import STEP, ToneBlocks
from tests import signals
from tests.signals import RATE, Signal


def detect(*windows: Signal) -> list[ToneBlocks]:
    longest = max(map(len, windows))
    batch = np.zeros((len(windows), longest), dtype=np.float32)
    for row, window in zip(batch, windows, strict=True):
        row[: len(window)] = window
    return tones.detect(batch, np.array([len(window) for window in windows]))


def test_mask_marks_where_the_digit_lies() -> None:
    """The mask covers an 80 ms digit to within a step at each side, and nothing else."""
    [blocks] = detect(np.concatenate([signals.silence(0.3), signals.digit("5"), signals.silence(0.62)]))
    marked = np.flatnonzero(blocks.mask) * STEP / RATE
    assert blocks.is_tone
    assert marked.min() == pytest.approx(0.30, abs=0.011)
    assert marked.max() + 0.01 == pytest.approx(0.38, abs=0.011)


def test_tone_at_maps_sample_positions_of_an_uneven_window() -> None:
    """Sample positions find their own step although the grid is anchored at the window's end."""
    [blocks] = detect(np.concatenate([signals.white(0.2537, 0.05), signals.sines([440, 480], 0.3)]))
    first = blocks.length % STEP
    assert first > 0
    everywhere = blocks.tone_at(np.arange(blocks.length))
    np.testing.assert_array_equal(everywhere[first:], np.repeat(blocks.mask, STEP))
    assert everywhere[0] == blocks.mask[0]
    assert not everywhere[: round(0.25 * RATE)].any()
    assert everywhere[round(0.31 * RATE) :].all()


@pytest.mark.parametrize("hertz", [(440, 480), (480, 620), (400, 450), (425,), (400,)])
def test_call_progress_tones_are_marked(hertz: tuple[float, ...]) -> None:
    """Each call-progress tone is a tone at 10 dB SNR."""
    [blocks] = detect(signals.with_noise(signals.sines(hertz, 1.0), 10))
    assert blocks.is_tone
    assert blocks.mask.mean() > 0.9


@pytest.mark.parametrize(
    "hertz", [(350, 440), (1000,), (410,), (440,), (697,), (1209,), (697, 770), (440, 620)]
)
def test_other_tones_are_not(hertz: tuple[float, ...]) -> None:
    """Dial tone, single tones, and pairs that no standard names, are no signalling tones."""
    [blocks] = detect(signals.sines(hertz, 1.0))
    assert not blocks.mask.any()


def test_noise_silence_and_vowels_are_not_tones() -> None:
    """White noise at full scale, digital silence and a gliding vowel mark nothing."""
    glide = signals.vowel(np.geomspace(100, 400, RATE), 1.0)
    for blocks in detect(signals.white(1.0, 0.3), signals.silence(1.0), glide):
        assert not blocks.mask.any()
        assert not blocks.is_tone


def test_a_tone_below_the_floor_is_not_heard() -> None:
    """At -60 dBFS a digit is silence; at -45 dBFS it counts."""
    faint, audible = detect(
        signals.at(-60, signals.digit("1", 0.5)), signals.at(-45, signals.digit("1", 0.5))
    )
    assert not faint.is_tone
    assert audible.is_tone


@pytest.mark.parametrize("length", [0, 1, 159, 160, 639, 640, 4800])
def test_windows_of_any_length(length: int) -> None:
    """A window cut short has the whole steps that fit, counted from its end."""
    [blocks] = detect(signals.digit("9", 1.0)[:length])
    assert len(blocks.mask) == len(blocks.energy) == len(blocks.correlations) == length // STEP
    assert blocks.is_tone == (length >= 640)
    assert len(blocks.tone_at(np.arange(3))) == 3


def test_a_mixed_batch_equals_its_windows_alone() -> None:
    """Batching windows of different lengths changes nothing."""
    windows = [signals.digit("3", 0.5), signals.white(1.0, 0.1), signals.digit("#", 1.0)]
    for together, [alone] in zip(detect(*windows), [detect(window) for window in windows], strict=True):
        np.testing.assert_array_equal(together.mask, alone.mask)
        np.testing.assert_allclose(together.correlations, alone.correlations, atol=1e-4)
        np.testing.assert_allclose(together.energy, alone.energy, rtol=1e-4)


def test_full_scale_and_offset_are_finite() -> None:
    """Constant full scale and a square wave at full scale yield finite numbers and no tone."""
    square = np.sign(np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE))
    for blocks in detect(np.full(RATE, -1.0), square):
        assert np.isfinite(blocks.correlations).all()
        assert not blocks.is_tone
