"""A WAV reader for files and pipes: it never seeks, and plays what is there when a header lies.

The standard library's `wave` knows neither float samples, G.711, WAVE_FORMAT_EXTENSIBLE nor the headers
that streaming writers leave behind. Format: Microsoft "Multiple Channel Audio Data and WAVE Files" (2007);
RF64: EBU Tech 3306.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

_LEAST_RATE = 1_000
"""Hertz below which nobody recorded a voice: the header is damaged, and its minutes would become hours."""

MAGIC_BYTES = 12
"""Bytes of a file that `is_wav` looks at"""

_STREAMING_SIZE = 0x7FFF_F000
"""Bytes; sizes from here on are placeholders of a writer that could not seek back (sox, ffmpeg, arecord)"""
_MAX_CHUNK = 1 << 24
"""Bytes; a `fmt ` chunk claiming more than this is no WAV file"""
_EXTENSIBLE = 0xFFFE
_SUBTYPE_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_OTHER_CODECS = {2: "MS ADPCM", 0x11: "IMA ADPCM", 0x31: "GSM 6.10", 0x50: "MPEG", 0x55: "MP3", 0xFF: "AAC"}


class WavError(ValueError):
    """The bytes are no WAV file, or one we cannot play; the message says why, for people."""


class Coding(IntEnum):
    """The sample codings we read (`wFormatTag`)."""

    PCM = 1
    FLOAT = 3
    ALAW = 6
    MULAW = 7


_WIDTHS = {Coding.PCM: (8, 16, 24, 32), Coding.FLOAT: (32, 64), Coding.ALAW: (8,), Coding.MULAW: (8,)}


@dataclass(frozen=True, slots=True)
class WavFormat:
    """What the `fmt ` chunk says."""

    coding: Coding
    sample_rate: int
    """Hertz"""
    channels: int
    bits: int
    """Bits of one channel's sample in the file"""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample index (all channels)."""
        return self.channels * self.bits // 8


def is_wav(magic: bytes) -> bool:
    """Whether the first `MAGIC_BYTES` of a stream announce a WAV file."""
    return magic[:4] in (b"RIFF", b"RF64") and magic[8:12] == b"WAVE"


class WavReader:
    """Reads one WAV stream from its start, or from just behind `magic` if that was read already.

    `available` is the number of bytes the stream holds in all, where that is known (a regular file): it
    tells a truncated file from a complete one before anything is played. Raises WavError.
    """

    def __init__(self, stream: BinaryIO, *, magic: bytes = b"", available: int | None = None) -> None:
        self._stream = stream
        self._available = available
        self._read = 0
        self._long_data: int | None = None
        self.warnings: list[str] = []
        self._check_magic(magic or stream.read(MAGIC_BYTES))
        self.format, declared = self._headers()
        self.data_bytes = self._data_bytes(declared)
        """Bytes of audio to come, whole sample indices only; None where only the stream's end will tell"""

    def blocks(self, size: int) -> Iterator[bytes]:
        """The audio in blocks of `size` bytes, the last one shorter; only whole sample indices.

        A stream that ends before its header said so ends the iteration and leaves a warning.
        """
        left = self.data_bytes
        carry = b""
        while left is None or left > 0:
            data = self._stream.read(size if left is None else min(size, left))
            if not data:
                break
            left = None if left is None else left - len(data)
            data = carry + data if carry else data
            whole = len(data) - len(data) % self.format.frame_bytes
            carry = data[whole:]
            if whole:
                yield data[:whole]
        if left:
            self.warnings.append(
                f"the audio ends {left:,} bytes before its header says; played what was there"
            )

    def _check_magic(self, magic: bytes) -> None:
        self._read = len(magic)
        if magic[:4] == b"RIFX":
            raise WavError("this is a big-endian WAV file (RIFX)")
        if not is_wav(magic):
            raise WavError("this is not a WAV file")

    def _headers(self) -> tuple[WavFormat, int | None]:
        """Everything up to the first byte of audio: the format, and the audio bytes the header declares."""
        found: WavFormat | None = None
        while True:
            header = self._take(8)
            if len(header) < 8:
                raise WavError("the file ends before any audio" if found else "the file has no format chunk")
            name, size = struct.unpack("<4sI", header)
            if name == b"data":
                if found is None:
                    raise WavError("the file has no format chunk before its audio")
                return found, self._declared_size(size)
            body = self._body(name, size)
            if name == b"fmt ":
                found = _parse_format(body)
            elif name == b"ds64" and len(body) >= 16:
                self._long_data = struct.unpack_from("<Q", body, 8)[0]

    def _body(self, name: bytes, size: int) -> bytes:
        """A chunk's bytes (only `fmt ` and `ds64` are kept), with the padding byte behind an odd size."""
        padded = size + (size & 1)
        if name in (b"fmt ", b"ds64"):
            if size > _MAX_CHUNK:
                raise WavError("the file's format chunk is damaged")
            return self._take(padded)[:size]
        while padded:
            got = self._take(min(padded, 65_536))
            if not got:
                break
            padded -= len(got)
        return b""

    def _declared_size(self, size: int) -> int | None:
        if size == 0xFFFF_FFFF and self._long_data is not None:
            return self._long_data
        if size >= _STREAMING_SIZE:
            return None
        if size == 0 and self._available != self._read:
            return None
        return size

    def _data_bytes(self, declared: int | None) -> int | None:
        if self._available is None:
            return None if declared is None else declared - declared % self.format.frame_bytes
        there = max(0, self._available - self._read)
        if declared is not None and declared > there:
            self.warnings.append(
                f"the file is cut short: {there:,} of {declared:,} bytes of audio; playing what is there"
            )
        usable = there if declared is None else min(declared, there)
        return usable - usable % self.format.frame_bytes

    def _take(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._read += len(data)
        return data


def _parse_format(body: bytes) -> WavFormat:
    if len(body) < 16:
        raise WavError("the file's format chunk is too short")
    tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE:
        if len(body) < 40 or body[26:40] != _SUBTYPE_TAIL:
            raise WavError("the file's extensible format is unknown")
        tag = struct.unpack_from("<H", body, 24)[0]
    coding = _coding(tag)
    if not 1 <= channels <= 64 or not _LEAST_RATE <= rate <= 1_000_000:
        raise WavError(f"the file's format is damaged ({channels} channels at {rate} Hz)")
    # Odd widths (12 or 20 bits) sit left-aligned in whole bytes, which the block size tells.
    width = align * 8 // channels if coding is Coding.PCM and align % channels == 0 and align else bits
    if width not in _WIDTHS[coding]:
        raise WavError(f"the file has {bits}-bit {coding.name.lower()} samples, which we cannot read")
    return WavFormat(coding=coding, sample_rate=rate, channels=channels, bits=width)


def _coding(tag: int) -> Coding:
    try:
        return Coding(tag)
    except ValueError:
        name = _OTHER_CODECS.get(tag, f"format {tag:#06x}")
        raise WavError(f"the file's audio is compressed ({name})") from None
