"""Sample, byte and second arithmetic, and what formats are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.audio import AudioEncoding, AudioFormat
from protocol.errors import ErrorCode, ProtocolError
from tests.protocol.strategies import FORMATS


def test_defaults() -> None:
    """Without a word, audio is 16-bit mono at 16 kHz, 3,200 bytes in 100 ms."""
    audio = AudioFormat()
    assert (audio.encoding, audio.sample_rate, audio.channels) == (AudioEncoding.PCM_S16LE, 16_000, 1)
    assert audio.bytes(audio.samples_of_ms(100)) == 3_200


@pytest.mark.parametrize(
    ("encoding", "channels", "size"),
    [("pcm_s16le", 1, 2), ("pcm_s16le", 2, 4), ("pcm_f32le", 2, 8), ("mulaw", 1, 1), ("alaw", 2, 2)],
)
def test_bytes_per_sample(encoding: str, channels: int, size: int) -> None:
    """A sample index counts all channels."""
    assert AudioFormat(AudioEncoding(encoding), 8_000, channels).bytes_per_sample == size


@given(FORMATS, st.integers(0, 2**40))
def test_arithmetic_agrees(audio: AudioFormat, samples: int) -> None:
    """Bytes and samples are inverse, an incomplete sample doesn't count, and milliseconds never drift."""
    assert audio.samples(audio.bytes(samples)) == samples
    assert audio.samples(audio.bytes(samples) + audio.bytes_per_sample - 1) == samples
    assert audio.samples_of_ms(3_600_000) == 3600 * audio.sample_rate
    assert audio.seconds(audio.sample_rate) == 1.0


def test_windows_are_cut_downwards() -> None:
    """333 ms at 44.1 kHz are 14,685 whole samples."""
    assert AudioFormat(sample_rate=44_100).samples_of_ms(333) == 14_685


@given(FORMATS)
def test_flat_maps_round_trip(audio: AudioFormat) -> None:
    """REST body, query and `welcome.audio` all mean the same format."""
    flat = audio.to_dict()
    assert AudioFormat.from_mapping(flat) == audio
    assert AudioFormat.from_mapping({**flat, "user_id": "x"}) == audio
    assert AudioFormat.from_query({name: str(value) for name, value in flat.items()}) == audio


def test_missing_and_null_fields_are_defaults() -> None:
    """A body that says nothing of audio, or null, asks for the defaults."""
    assert AudioFormat.from_mapping({"encoding": None, "other": 1}) == AudioFormat()
    assert AudioFormat.from_query({}) == AudioFormat()


@pytest.mark.parametrize(
    ("flat", "param"),
    [
        ({"encoding": "opus"}, "encoding"),
        ({"encoding": 1}, "encoding"),
        ({"encoding": []}, "encoding"),
        ({"sample_rate": 7_999}, "sample_rate"),
        ({"sample_rate": 48_001}, "sample_rate"),
        ({"sample_rate": 16_000.0}, "sample_rate"),
        ({"sample_rate": "16000"}, "sample_rate"),
        ({"channels": 0}, "channels"),
        ({"channels": 3}, "channels"),
        ({"channels": True}, "channels"),
    ],
)
def test_refused_formats(flat: dict[str, Any], param: str) -> None:
    """What isn't supported is refused by name."""
    with pytest.raises(ProtocolError) as refused:
        AudioFormat.from_mapping(flat)
    assert (refused.value.code, refused.value.param) == (ErrorCode.INVALID_FIELD, param)


@pytest.mark.parametrize("text", ["", "16k", "-1", "1e4", "٣٢٠٠٠", " 16000", "9" * 5_000])
def test_refused_query_numbers(text: str) -> None:
    """A query's number is plain decimal digits, and few of them."""
    with pytest.raises(ProtocolError) as refused:
        AudioFormat.from_query({"sample_rate": text})
    assert refused.value.param == "sample_rate"
