import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio.pcm import Decoder, looks_like_container
from protocol.audio import AudioEncoding, AudioFormat
from protocol.errors import ErrorCode, ProtocolError

FORMATS = [AudioFormat(encoding, 16_000, channels) for encoding in AudioEncoding for channels in (1, 2)]


def decoded(fmt: AudioFormat, data: bytes) -> list[int]:
    return [int(sample) for sample in Decoder(fmt).decode(data)]


def f32(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def mulaw_by_the_book(code: int) -> int:
    """G.711 µ-law, one code at a time: inverted bits, sign, chord, step; 14 bits scaled to 16."""
    bits = code ^ 0xFF
    chord, step = bits >> 4 & 7, bits & 15
    magnitude = ((2 * step + 33) * (1 << chord) - 33) * 4
    return -magnitude if bits & 0x80 else magnitude


def alaw_by_the_book(code: int) -> int:
    """G.711 A-law: even bits inverted, sign, chord, step; 13 bits scaled to 16."""
    bits = code ^ 0x55
    chord, step = bits >> 4 & 7, bits & 15
    magnitude = (2 * step + 1 if chord == 0 else (2 * step + 33) * (1 << chord - 1)) * 8
    return magnitude if bits & 0x80 else -magnitude


def test_mulaw_is_g711() -> None:
    """All 256 µ-law codes decode to the values of the recommendation."""
    codes = bytes(range(256))
    assert decoded(AudioFormat(AudioEncoding.MULAW), codes) == [mulaw_by_the_book(c) for c in codes]
    assert decoded(AudioFormat(AudioEncoding.MULAW), b"\x00\x80\xff\x7f") == [-32124, 32124, 0, 0]


def test_alaw_is_g711() -> None:
    """All 256 A-law codes decode to the values of the recommendation."""
    codes = bytes(range(256))
    assert decoded(AudioFormat(AudioEncoding.ALAW), codes) == [alaw_by_the_book(c) for c in codes]
    assert decoded(AudioFormat(AudioEncoding.ALAW), b"\xaa\x2a\xd5\x55") == [32256, -32256, 8, -8]


def test_float_is_clipped_and_rounds_half_to_even() -> None:
    """±1 is full scale, more is clipped, and exact halves go to the even neighbour."""
    fmt = AudioFormat(AudioEncoding.PCM_F32LE)
    assert decoded(fmt, f32(1.0, -1.0, 7.5, -3e38, 0.0)) == [32767, -32767, 32767, -32767, 0]
    halves = f32(16384.5 / 32767, 0.5)  # 0.5 * 32767 = 16383.5
    assert decoded(fmt, halves)[1] == 16384


def test_stereo_is_the_mean_of_its_channels() -> None:
    """Channels are averaged without overflow, in every encoding."""
    pairs = np.array([32767, 32767, -32768, -32768, 100, -50], "<i2").tobytes()
    assert decoded(AudioFormat(channels=2), pairs) == [32767, -32768, 25]
    stereo_f32 = AudioFormat(AudioEncoding.PCM_F32LE, channels=2)
    assert decoded(stereo_f32, f32(1.0, 0.0, -1.0, -1.0)) == [16384, -32767]
    assert decoded(AudioFormat(AudioEncoding.MULAW, channels=2), b"\x80\xff") == [16062]
    assert decoded(AudioFormat(AudioEncoding.ALAW, channels=2), b"\xaa\xd5") == [16132]


def test_plain_pcm_is_not_copied() -> None:
    """Mono 16-bit PCM on a sample boundary is a view of the frame."""
    frame = bytearray(range(20))
    samples = Decoder(AudioFormat()).decode(frame)
    assert np.shares_memory(samples, np.frombuffer(frame, np.uint8))


@given(st.sampled_from(FORMATS), st.binary(max_size=64), st.lists(st.integers(0, 64), max_size=6))
@settings(max_examples=200, deadline=None)
def test_any_split_gives_the_same_samples(fmt: AudioFormat, data: bytes, cuts: list[int]) -> None:
    """Bytes of an unfinished sample wait, so it doesn't matter where frames end."""
    if fmt.encoding is AudioEncoding.PCM_F32LE:
        data = np.frombuffer(data, np.int8).astype("<f4").tobytes()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    decoder = Decoder(fmt)
    got = [int(s) for a, b in pairwise(edges) for s in decoder.decode(data[a:b])]
    assert got == decoded(fmt, data)
    assert len(got) == fmt.samples(len(data))
    assert decoder.dangling == len(data) % fmt.bytes_per_sample
    assert decoder.drop_dangling() == len(data) % fmt.bytes_per_sample
    assert decoder.dangling == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_bad_float_consumes_nothing(bad: float) -> None:
    """A frame with a sample that is no number leaves the decoder as it was, and can be skipped instead."""
    fmt = AudioFormat(AudioEncoding.PCM_F32LE)
    decoder = Decoder(fmt)
    decoder.decode(f32(0.5)[:3])
    frame = f32(0.5)[3:] + f32(0.25, bad) + b"\0\0"
    for attempt in (decoder.decode, decoder.check):
        with pytest.raises(ProtocolError) as error:
            attempt(frame)
        assert error.value.code is ErrorCode.INVALID_AUDIO
        assert not error.value.fatal
        assert decoder.dangling == 3
    assert decoder.skip(frame) == 3
    assert decoder.dangling == 2


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"RIFF\x24\x08\x00\x00WAVEfmt ", "WAV"),
        (b"OggS\0\x02", "Ogg"),
        (b"\x1a\x45\xdf\xa3\x9f", "WebM"),
        (b"fLaC\0\0\0\x22", "FLAC"),
        (b"ID3\x04\0", "MP3"),
        (b"\0\0\0\x20ftypisom", "MP4"),
        (b"RIFF\x24\x08\x00\x00AVI LIST", None),
        (b"\xff\xfb\x90\x64\0\0", None),
        (b"", None),
        (b"\0\0\x01\0\xff\xff", None),
    ],
)
def test_file_formats_are_told_from_pcm(head: bytes, name: str | None) -> None:
    """Headers of audio files are recognised; silence, a quiet start and chance sync bits are not."""
    assert looks_like_container(head) == name
