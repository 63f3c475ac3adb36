import wave
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio.resample import Resampler, position, source_index
from gateway.audio.ring import Samples
from tests.needs import need_file

RATES = [8_000, 11_025, 22_050, 44_100, 48_000, 47_999]
VOICE = "/usr/share/sounds/alsa/Front_Center.wav"

Floats = npt.NDArray[np.float64]


def sine(hertz: float, rate: int, seconds: float, amplitude: float = 10_000.0) -> Floats:
    return np.asarray(amplitude * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate))


def sweep(rate: int, seconds: float) -> Floats:
    """100 Hz to 3 kHz, linear."""
    t = np.arange(int(rate * seconds)) / rate
    return np.asarray(8_000 * np.sin(2 * np.pi * (100 * t + 1_450 * t**2 / seconds)))


def int16(values: Floats) -> Samples:
    return np.rint(values).astype(np.int16)


def whole(resampler: Resampler, samples: Samples) -> Samples:
    return np.concatenate((resampler.feed(samples), resampler.tail()))


def error_db(got: npt.NDArray[np.generic], wanted: Floats) -> float:
    """Level of the difference below the level of what was wanted."""
    difference = got.astype(np.float64) - wanted
    return float(10 * np.log10(np.mean(difference**2) / np.mean(wanted**2)))


def lag(got: Floats, wanted: Floats) -> float:
    """Samples by which `got` comes late, to a hundredth: the cross-correlation's peak, by a parabola."""
    size = 2 * len(got)
    spectrum = np.fft.rfft(got, size) * np.conj(np.fft.rfft(wanted, size))
    correlation = np.fft.irfft(spectrum, size)
    peak = int(np.argmax(correlation))
    a, b, c = (correlation[(peak + i) % size] for i in (-1, 0, 1))
    return float((peak + size // 2) % size - size // 2 + (a - c) / (2 * (a - 2 * b + c)))


@pytest.mark.parametrize("rate", RATES)
def test_a_sweep_stays_where_it_was(rate: int) -> None:
    """Delay is compensated: against the same sweep made at 16 kHz the offset is below 1/100 sample."""
    got = whole(Resampler(rate), int16(sweep(rate, 1.5)))
    wanted = sweep(16_000, 1.5)
    n = min(len(got), len(wanted)) - 100
    assert abs(lag(got[:n].astype(np.float64), wanted[:n])) < 0.01


@pytest.mark.parametrize("rate", RATES)
def test_a_sine_is_clean(rate: int) -> None:
    """A 1 kHz sine differs from the ideal one by no more than rounding to int16 twice: -80 dB."""
    got = whole(Resampler(rate), int16(sine(1_000, rate, 1.0)))
    wanted = sine(1_000, 16_000, 1.0)
    assert error_db(got[1_000:14_000], wanted[1_000:14_000]) < -80


def test_what_16_khz_cannot_hold_is_removed() -> None:
    """A 10 kHz sine at 48 kHz, above what 16 kHz can carry, leaves nothing."""
    got = whole(Resampler(48_000), int16(sine(10_000, 48_000, 1.0)))
    assert np.abs(got[1_000:15_000]).max() <= 1


def test_overshoot_is_clipped() -> None:
    """Full-scale steps, which the filter overshoots, saturate and don't wrap around."""
    square = np.where(np.arange(48_000) // 240 % 2, 32_767, -32_768).astype(np.int16)
    got = whole(Resampler(48_000), square)
    assert got.max() == 32_767
    assert got.min() == -32_768
    assert (got[40:80] < -20_000).all()


def test_an_hour_later_it_is_still_in_time() -> None:
    """After an hour of 44.1 kHz an impulse comes out where it went in, to 1/100 sample."""
    rate, at = 44_100, 3_600 * 44_100 + 22_050
    resampler = Resampler(rate)
    second = np.zeros(rate, np.int16)
    for _ in range(3_600):
        resampler.feed(second)
    start = resampler.head
    impulse = second.copy()
    impulse[at % rate] = 30_000
    got = np.concatenate((resampler.feed(impulse), resampler.feed(second))).astype(np.float64)
    wanted = 30_000 * 16_000 / rate * np.sinc(start + np.arange(len(got)) - at * 16_000 / rate)
    assert abs(lag(got, wanted)) < 0.01


@pytest.mark.parametrize("rate", RATES)
def test_the_tail_is_close_to_what_comes_later(rate: int) -> None:
    """On a voice the tail is within -75 dB well before its end, and -20 dB in its last millisecond."""
    voice = _voice(rate)
    resampler, stable = Resampler(rate), Resampler(rate)
    truth = stable.feed(np.concatenate((voice, np.zeros(rate, np.int16)))).astype(np.float64)
    early, last = [], []
    step = rate // 20 + 7
    for at in range(0, len(voice) - step, step):
        resampler.feed(voice[at : at + step])
        tail = resampler.tail()
        wanted = truth[resampler.head : resampler.head + len(tail)]
        early.append(tail[:-100] - wanted[:-100])
        last.append(tail[-16:] - wanted[-16:])
    level = float(np.sqrt(np.mean(truth**2)))
    assert np.sqrt(np.mean(np.concatenate(early) ** 2)) / level < 10 ** (-75 / 20)
    assert np.sqrt(np.mean(np.concatenate(last) ** 2)) / level < 10 ** (-20 / 20)


@given(st.sampled_from(RATES), st.lists(st.integers(0, 9_000), max_size=8))
@settings(max_examples=40, deadline=None)
def test_output_depends_on_what_was_fed_not_on_the_split(rate: int, sizes: list[int]) -> None:
    """Stable samples and tail are bit-exact the same for any sizes, and add up to `position`."""
    rng = np.random.default_rng(sum(sizes))
    samples = rng.integers(-9_000, 9_000, sum(sizes)).astype(np.int16)
    at_once, split = Resampler(rate), Resampler(rate)
    wanted = at_once.feed(samples)
    edges = np.cumsum([0, *sizes])
    parts = [split.feed(samples[a:b]) for a, b in pairwise(edges)]
    got = np.concatenate([np.empty(0, np.int16), *parts])
    assert np.array_equal(got, wanted)
    assert np.array_equal(split.tail(), at_once.tail())
    assert np.array_equal(split.tail(), split.tail())
    assert len(got) == split.head
    assert len(got) + len(split.tail()) == position(len(samples), rate)


@pytest.mark.parametrize("rate", RATES)
def test_after_a_jump_the_clock_is_true(rate: int) -> None:
    """Reset to an odd index, samples keep their time: a sweep is found at its place to 1/100 sample."""
    samples, at = int16(sweep(rate, 1.5)), 7_347
    resampler = Resampler(rate)
    resampler.feed(samples[:5_000])
    resampler.reset(at)
    assert (resampler.fed, resampler.head) == (at, position(at, rate))
    got = whole(resampler, samples[at:]).astype(np.float64)
    assert position(at, rate) + len(got) == position(len(samples), rate)
    wanted = sweep(16_000, 1.5)[position(at, rate) :][: len(got) - 100]
    assert abs(lag(got[: len(wanted)][200:], wanted[200:])) < 0.01


def test_16_khz_goes_through_untouched() -> None:
    """At 16 kHz the very array comes back, there is never a tail, and nothing is kept."""
    resampler = Resampler(16_000)
    samples = np.arange(100, dtype=np.int16)
    assert resampler.feed(samples) is samples
    assert (resampler.fed, resampler.head, len(resampler.tail())) == (100, 100, 0)


@given(st.integers(8_000, 48_000), st.integers(0, 10**10))
def test_both_clocks_agree(rate: int, index: int) -> None:
    """`source_index` is the first sample whose position is at or past a 16 kHz index."""
    sample = source_index(index, rate)
    assert position(sample, rate) >= index
    assert sample == 0 or (sample - 1) * 16_000 < index * rate


def _voice(rate: int) -> Samples:
    with wave.open(str(need_file(VOICE))) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        if file.getframerate() == rate:
            return samples
        moved = soxr.resample(samples.astype(np.float64), file.getframerate(), rate)
    return int16(np.clip(moved, -32_768, 32_767))
