"""From a file's samples to the gateway's: depths, floats, channels, rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.convert import Converter
from gateway.commands.wav import Coding, WavError, WavFormat
from protocol.audio import AudioEncoding, AudioFormat
from tests.gateway.commands.wavs import s16, sine


def form(coding: Coding, bits: int, *, rate: int = 16_000, channels: int = 1) -> WavFormat:
    return WavFormat(coding=coding, bits=bits, sample_rate=rate, channels=channels)


@pytest.mark.parametrize(
    ("coding", "bits", "encoding"),
    [
        (Coding.PCM, 16, AudioEncoding.PCM_S16LE),
        (Coding.FLOAT, 32, AudioEncoding.PCM_F32LE),
        (Coding.ALAW, 8, AudioEncoding.ALAW),
        (Coding.MULAW, 8, AudioEncoding.MULAW),
    ],
)
def test_native_codings_pass_through(coding: Coding, bits: int, encoding: AudioEncoding) -> None:
    """What the gateway takes as it is, is not touched."""
    converter = Converter(form(coding, bits, rate=44_100, channels=2))
    data = bytes(range(64))
    assert converter.audio == AudioFormat(encoding=encoding, sample_rate=44_100, channels=2)
    assert converter.convert(data) + converter.finish() == data
    assert converter.notes == []


@pytest.mark.parametrize("bits", [24, 32])
@given(value=st.integers(-32_768, 32_767))
def test_wide_integers_keep_their_upper_bits(bits: int, value: int) -> None:
    """A 16-bit value widened to 24 or 32 bits comes back as itself."""
    wide = (value << (bits - 16)).to_bytes(bits // 8, "little", signed=True)
    assert Converter(form(Coding.PCM, bits)).convert(wide) == value.to_bytes(2, "little", signed=True)


@pytest.mark.parametrize("bits", [24, 32])
@given(data=st.data())
def test_wide_integers_round_to_nearest(bits: int, data: st.DataObject) -> None:
    """Any wide value lands within half a step of its place, and the loudest does not wrap around."""
    value = data.draw(st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1))
    raw = value.to_bytes(bits // 8, "little", signed=True)
    got = int.from_bytes(Converter(form(Coding.PCM, bits)).convert(raw), "little", signed=True)
    assert abs(got - min(32_767, value / (1 << (bits - 16)))) <= 0.5


def test_unsigned_bytes_are_centred() -> None:
    """8-bit WAV is unsigned: 128 is silence."""
    got = np.frombuffer(Converter(form(Coding.PCM, 8)).convert(bytes([0, 128, 255])), "<i2")
    assert got.tolist() == [-32_768, 0, 32_512]


def test_doubles_become_singles() -> None:
    """64-bit floats are sent as 32-bit ones; what is too large becomes infinite, not an error."""
    data = np.array([0.25, -1.0, 1e300], "<f8").tobytes()
    got = np.frombuffer(Converter(form(Coding.FLOAT, 64)).convert(data), "<f4")
    assert got.tolist() == [0.25, -1.0, float("inf")]


def test_many_channels_are_mixed_to_one() -> None:
    """More than two channels become their mean, and the user is told."""
    converter = Converter(form(Coding.PCM, 16, channels=4))
    assert converter.convert(np.array([100, 200, 300, 400], "<i2").tobytes()) == np.int16(250).tobytes()
    assert converter.audio.channels == 1
    assert converter.notes == ["4 channels are mixed to one"]


@pytest.mark.parametrize(("rate_in", "rate_out"), [(96_000, 48_000), (192_000, 48_000), (6_000, 8_000)])
def test_odd_rates_are_resampled_to_the_nearest(rate_in: int, rate_out: int) -> None:
    """A rate the gateway does not take goes to the nearest it takes, with length and pitch kept."""
    converter = Converter(form(Coding.PCM, 16, rate=rate_in))
    data = s16(sine(rate_in, 1.0))
    step = len(data) // 10 // 2 * 2
    parts = [converter.convert(data[at : at + step]) for at in range(0, len(data), step)]
    got = np.frombuffer(b"".join(parts) + converter.finish(), "<i2")
    assert converter.audio.sample_rate == rate_out
    assert abs(len(got) - rate_out) <= 2
    assert np.abs(np.fft.rfft(got)).argmax() == pytest.approx(440, abs=1)
    assert np.abs(got).max() == pytest.approx(0.5 * 32_767, rel=0.02)
    assert converter.samples_out(rate_in) == rate_out


def test_stereo_floats_are_resampled_as_stereo_floats() -> None:
    """Resampling keeps channels apart and floats floats."""
    converter = Converter(form(Coding.FLOAT, 32, rate=96_000, channels=2))
    left = sine(96_000, 0.5)
    data = np.stack([left, np.zeros_like(left)], axis=1).astype("<f4").tobytes()
    got = np.frombuffer(converter.convert(data) + converter.finish(), "<f4").reshape(-1, 2)
    assert np.abs(got[:, 0]).max() == pytest.approx(0.5, rel=0.05)
    assert np.abs(got[:, 1]).max() < 1e-6


@pytest.mark.parametrize("wrong", [{"rate": 6_000}, {"channels": 3}])
def test_g711_is_never_decoded(wrong: dict[str, int]) -> None:
    """G.711 that can't pass through as it is, is refused rather than half supported."""
    with pytest.raises(WavError, match=r"G\.711"):
        Converter(form(Coding.MULAW, 8, **wrong))
