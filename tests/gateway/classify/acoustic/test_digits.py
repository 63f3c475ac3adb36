"""DTMF: every digit exactly once and in order, wherever windows end."""

from collections.abc import Sequence
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.classify.acoustic import digits, tones
from gateway.classify.port import AnalysisState
from tests import signals
from tests.signals import KEYS, RATE, Signal

HOPS_MS = [1000, 500, 333]


def decode(signal: Signal, window_ms: int = 1000, hop_ms: int | None = None) -> str:
    """All digits of a signal; the state goes through msgpack between windows."""
    state: AnalysisState = {}
    heard = ""
    for samples, owned, _ in signals.windows(signal, window_ms, hop_ms):
        [blocks] = tones.detect(samples[None].astype(np.float32), np.array([len(samples)]))
        heard += digits.advance(state, blocks, owned).keys
        state = msgpack.unpackb(msgpack.packb(state))
    return heard


@pytest.mark.parametrize("snr_db", [30, 15, 10])
@pytest.mark.parametrize("key", KEYS)
def test_every_key_at_every_noise_level(key: str, snr_db: float) -> None:
    """Each of the 16 keys, 80 ms long, is told once in white noise of 30, 15 and 10 dB SNR."""
    for seed in range(4):
        call = np.concatenate([signals.silence(0.1 + 0.013 * seed), signals.digit(key), signals.silence(0.3)])
        assert decode(signals.with_noise(call, snr_db, seed)) == key


@settings(max_examples=60, deadline=None)
@given(
    offset=st.integers(0, RATE - 1),
    window_ms=st.sampled_from([1000, 500, 333, 200]),
    hop_ms=st.sampled_from([1000, 500, 333, 100]),
    seed=st.integers(0, 2**16),
)
def test_any_alignment_to_window_borders(offset: int, window_ms: int, hop_ms: int, seed: int) -> None:
    """80 ms digits with 80 ms gaps are each told once and in order, for any offset, window and hop."""
    keys = "".join(np.random.default_rng(seed).choice(list(KEYS), 6)) + "55"
    call = np.concatenate([np.zeros(offset), signals.dtmf(keys), signals.silence(0.2)])
    assert decode(signals.with_noise(call, 20, seed), window_ms, min(hop_ms, window_ms)) == keys


@settings(max_examples=30, deadline=None)
@given(offset=st.integers(0, RATE - 1), hop_ms=st.sampled_from(HOPS_MS))
def test_digits_of_50_ms(offset: int, hop_ms: int) -> None:
    """Digits and gaps of 50 ms, near the shortest that Q.24 allows, still count, across borders too."""
    call = np.concatenate([np.zeros(offset), signals.dtmf("11880", 0.05, 0.05), signals.silence(0.2)])
    assert decode(signals.with_noise(call, 15), hop_ms) == "11880"


def test_a_key_held_for_three_seconds_is_one_digit() -> None:
    """Holding a key over several windows tells it once, in the window where it begins."""
    assert (
        decode(np.concatenate([signals.silence(0.4), signals.digit("7", 3.0), signals.silence(1.0)])) == "7"
    )


def test_a_break_of_10_ms_does_not_double_a_digit() -> None:
    """Q.24: an interruption of 10 ms is still the same digit."""
    held = signals.digit("2", 0.2)
    held[1600:1760] = 0.0
    assert decode(np.concatenate([signals.silence(0.2), held, signals.silence(0.6)])) == "2"


def test_a_burst_of_20_ms_is_no_digit() -> None:
    """Q.24: shorter than 23 ms must not be taken for a digit."""
    assert (
        decode(np.concatenate([signals.silence(0.5), signals.digit("2", 0.02), signals.silence(0.5)])) == ""
    )


@pytest.mark.parametrize(
    ("detune", "heard"), [(0.015, True), (-0.015, True), (0.035, False), (-0.035, False)]
)
def test_frequency_tolerance(detune: float, heard: bool) -> None:
    """Q.24: 1.5 % off nominal is a digit, 3.5 % is not."""
    got = [
        decode(
            np.concatenate([signals.silence(0.2), signals.digit(key, detune=detune), signals.silence(0.3)])
        )
        for key in KEYS
    ]
    assert got == [key if heard else "" for key in KEYS]


@pytest.mark.parametrize(("twist_db", "heard"), [(4, True), (-8, True), (9, False), (-13, False)])
def test_twist(twist_db: float, heard: bool) -> None:
    """Q.24: the high tone may be 4 dB stronger or 8 dB weaker than the low; far beyond is no digit."""
    call = signals.with_noise(
        np.concatenate([signals.silence(0.2), signals.digit("6", twist_db=twist_db), signals.silence(0.3)]),
        30,
    )
    assert decode(call) == ("6" if heard else "")


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        ("5", ""),
        ("55", "5"),
        ("5.5.5", ""),
        ("5555.55", "5"),
        ("5555..55", "55"),
        ("55556666", "56"),
        ("5555655", "5"),
        ("..55..77..", "57"),
    ],
)
def test_what_a_run_of_blocks_tells(blocks: str, told: str) -> None:
    """Two equal blocks running make a digit, two others running end it, and a single one does neither."""
    run = digits.Run()
    assert "".join(run.step("" if key == "." else key) for key in blocks) == told


def test_audio_lost_between_windows_parts_digits() -> None:
    """With the state emptied at a gap, the same key before and after it is two digits."""
    [blocks] = tones.detect(signals.digit("4", 1.0)[None].astype(np.float32), np.array([RATE]))
    state: AnalysisState = {}
    assert [digits.advance(state, blocks, RATE).keys for _ in range(2)] == ["4", ""]
    state.clear()
    assert digits.advance(state, blocks, RATE).keys == "4"


def test_the_state_is_small_and_empties_itself() -> None:
    """State carried between windows stays under 400 bytes, and there is none where no digit is near."""
    state: AnalysisState = {}
    for sound, most in ((signals.digit("4", 1.0), 400), (signals.silence(1.0), 1)):
        [blocks] = tones.detect(sound[None].astype(np.float32), np.array([RATE]))
        digits.advance(state, blocks, RATE)
        assert len(msgpack.packb(state)) <= most


def recordings() -> Sequence[Path]:
    return [*signals.speech_files(), *signals.prompt_files(), *signals.music_files()]


@pytest.mark.parametrize("path", recordings() or [signals.SPHINX_DATA], ids=lambda path: path.stem)
def test_no_digit_in_speech_or_music(path: Path) -> None:
    """Real speech and hold music hold no digit."""
    assert decode(signals.recording(path, 40.0) / 32768) == ""
