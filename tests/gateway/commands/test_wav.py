"""The WAV reader: what files say, what they get wrong, and what is played of them."""

import contextlib
import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.wav import MAGIC_BYTES, Coding, WavError, WavReader, is_wav
from tests.gateway.commands.wavs import SUBTYPE_TAIL, chunk, fmt, simple, wav
from tests.needs import need_file


def read(data: bytes, *, known_size: bool = True, block: int = 64) -> tuple[WavReader, bytes]:
    reader = WavReader(io.BytesIO(data), available=len(data) if known_size else None)
    return reader, b"".join(reader.blocks(block))


@pytest.mark.parametrize(
    ("tag", "bits", "coding"),
    [
        (1, 8, Coding.PCM),
        (1, 16, Coding.PCM),
        (1, 24, Coding.PCM),
        (1, 32, Coding.PCM),
        (3, 32, Coding.FLOAT),
        (3, 64, Coding.FLOAT),
        (6, 8, Coding.ALAW),
        (7, 8, Coding.MULAW),
    ],
)
@pytest.mark.parametrize("extensible", [False, True])
def test_reads_every_coding(tag: int, bits: int, coding: Coding, extensible: bool) -> None:
    """Each supported coding is told by its tag, plain or inside WAVE_FORMAT_EXTENSIBLE."""
    data = bytes(range(48))
    reader, audio = read(wav(fmt(tag, 2, 44_100, bits, extensible=extensible), chunk(b"data", data)))
    assert (reader.format.coding, reader.format.bits) == (coding, bits)
    assert (reader.format.channels, reader.format.sample_rate) == (2, 44_100)
    assert audio == data
    assert reader.warnings == []


@given(st.binary(max_size=300).map(lambda data: data[: len(data) // 2 * 2]), st.integers(1, 90))
def test_blocks_keep_every_byte(data: bytes, block: int) -> None:
    """The audio comes out whole and in order, whatever the size of the blocks."""
    reader, audio = read(simple(data) + chunk(b"LIST", b"tail"), block=block)
    # A data chunk of size 0 with more behind it is what a writer leaves that could not seek back.
    if data:
        assert audio == data
        assert reader.data_bytes == len(data)


@given(st.binary(max_size=200))
def test_garbage_raises_only_wav_error(garbage: bytes) -> None:
    """Whatever follows a RIFF header, nothing but WavError is raised."""
    with contextlib.suppress(WavError):
        read(b"RIFF\0\0\0\0WAVE" + garbage, known_size=False)


def test_skips_odd_chunks() -> None:
    """Unknown chunks before the audio are skipped, odd sizes with their padding byte."""
    data = b"\1\2\3\4"
    file = wav(chunk(b"JUNK", b"x"), fmt(1, 1, 8_000, 16), chunk(b"LIST", b"abc"), chunk(b"data", data))
    assert read(file)[1] == data


def test_chunks_after_the_audio_are_not_played() -> None:
    """Metadata behind the audio is no audio."""
    assert read(simple(b"\1\2") + chunk(b"LIST", b"title"))[1] == b"\1\2"


def test_truncated_file_plays_what_is_there() -> None:
    """A file cut short is played to its end, and told to be cut before it starts."""
    whole = simple(bytes(1_000))
    reader = WavReader(io.BytesIO(whole[:-501]), available=len(whole) - 501)
    assert "cut short" in reader.warnings[0]
    assert len(b"".join(reader.blocks(64))) == 498


def test_truncated_pipe_warns_when_it_ends() -> None:
    """On a pipe the missing rest is noticed at the end."""
    reader, audio = read(simple(bytes(1_000))[:-400], known_size=False)
    assert len(audio) == 600
    assert "400 bytes" in reader.warnings[0]


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF, 0x7FFF_FFFF, 0x7FFF_F000])
@pytest.mark.parametrize("known_size", [False, True])
def test_streaming_headers_play_to_the_end(size: int, known_size: bool) -> None:
    """A header whose writer could not seek back (ffmpeg, sox, arecord in a pipe) plays to the end."""
    file = wav(fmt(1, 1, 16_000, 16), chunk(b"data", b"ab" * 50, size=size), size=0xFFFF_FFFF)
    reader, audio = read(file, known_size=known_size)
    assert audio == b"ab" * 50
    assert reader.warnings == []


def test_rf64_takes_its_size_from_ds64() -> None:
    """RF64 keeps 64-bit sizes in a chunk of its own (EBU Tech 3306)."""
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, 6, 3, 0))
    data = chunk(b"data", b"abcdef", size=0xFFFF_FFFF)
    reader, audio = read(wav(ds64, fmt(1, 1, 16_000, 16), data, chunk(b"LIST", b"zz"), magic=b"RF64"))
    assert (reader.data_bytes, audio) == (6, b"abcdef")


def test_incomplete_last_sample_is_left_out() -> None:
    """Only whole sample indices are played."""
    file = wav(fmt(1, 2, 16_000, 24), chunk(b"data", bytes(20)))
    assert len(read(file)[1]) == 18


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "not a WAV"),
        (b"OggS" + bytes(60), "not a WAV"),
        (b"RIFX\0\0\0\0WAVE" + bytes(60), "big-endian"),
        (wav(fmt(1, 1, 16_000, 16)), "before any audio"),
        (wav(chunk(b"data", b"abcd")), "no format chunk"),
        (wav(), "no format chunk"),
        (wav(fmt(0x11, 1, 16_000, 4), chunk(b"data", b"abcd")), "IMA ADPCM"),
        (wav(fmt(0x1234, 1, 16_000, 16), chunk(b"data", b"abcd")), "0x1234"),
        (wav(fmt(1, 0, 16_000, 16), chunk(b"data", b"abcd")), "damaged"),
        (wav(fmt(1, 1, 16_000, 40), chunk(b"data", b"abcd")), "40-bit"),
        (wav(chunk(b"fmt ", b"short"), chunk(b"data", b"abcd")), "too short"),
        (wav(chunk(b"fmt ", b"", size=1 << 30)), "damaged"),
    ],
)
def test_says_what_is_wrong(data: bytes, told: str) -> None:
    """Each unusable file is refused in words a user understands."""
    with pytest.raises(WavError, match=told):
        read(data)


def test_foreign_extensible_subtype_is_refused() -> None:
    """An extensible file of a vendor's own coding is not guessed at."""
    file = wav(fmt(1, 1, 16_000, 16, extensible=True), chunk(b"data", b"abcd"))
    with pytest.raises(WavError, match="extensible"):
        read(file.replace(SUBTYPE_TAIL, b"\x99" * 14))


def test_magic_may_be_read_before() -> None:
    """A caller that looked at the first bytes hands them over, since pipes can't be wound back."""
    stream = io.BytesIO(simple(b"abcd"))
    magic = stream.read(MAGIC_BYTES)
    assert is_wav(magic)
    assert b"".join(WavReader(stream, magic=magic).blocks(10)) == b"abcd"


def test_agrees_with_the_standard_library() -> None:
    """On a real recording, the samples are those that `wave` reads."""
    path = need_file("/usr/share/sounds/alsa/Front_Center.wav")
    with wave.open(str(path)) as standard:
        expected = standard.readframes(standard.getnframes())
    assert read(path.read_bytes())[1] == expected


def test_a_rate_nobody_records_at_is_damage() -> None:
    """One hertz would stretch a second of audio to hours."""
    with pytest.raises(WavError, match="damaged"):
        read(simple(bytes(64), rate=1))
