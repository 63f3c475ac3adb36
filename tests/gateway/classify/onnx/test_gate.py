"""The gate: what holds no sound never reaches a model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.onnx.gate import FRAME, audible
from tests import signals
from tests.gateway.classify.onnx.cuts import sound


@pytest.mark.parametrize("value", [0, 1, -32768, 32767, 1000])
def test_a_constant_is_silence(value: int) -> None:
    """Direct current at any level is no sound."""
    assert not audible(np.full(16_000, value, np.int16))


def test_a_faint_room_is_silence_and_a_voice_is_not() -> None:
    """Noise at -65 dBFS is silence; a soft voice is sound."""
    assert not audible(sound(16_000, level=18.0))
    assert audible(sound(16_000, level=100.0))
    voice = signals.recording(signals.ASTERISK_SOUNDS / "demo-congrats.wav", 3.0)
    assert audible((voice // 8).astype(np.int16))


def test_a_click_is_no_voice() -> None:
    """A tenth of the window must be audible."""
    samples = np.zeros(16_000, np.int16)
    samples[: 3 * FRAME] = 10_000
    samples[1::2] *= -1
    assert not audible(samples)
    samples[: 6 * FRAME] = sound(6 * FRAME)
    assert audible(samples)


@given(st.integers(1, 2_000))
def test_windows_of_any_length(length: int) -> None:
    """Also shorter than a frame."""
    assert not audible(np.zeros(length, np.int16))
    assert audible(sound(length + 8))
