"""Bytes in the session's format to mono int16 samples at the client's rate.

µ-law and A-law as in ITU-T Recommendation G.711.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.audio.ring import Samples
from protocol.audio import AudioEncoding, AudioFormat
from protocol.errors import ErrorCode, ProtocolError

_FULL_SCALE: Final = 32767.0
_F32: Final = np.dtype("<f4")
_S16: Final = np.dtype("<i2")


def _mulaw_table() -> Samples:
    """16-bit value of each of the 256 µ-law codes (G.711 table 2, scaled from 14 bits to 16)."""
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)
    value = magnitude - 0x84
    return np.where(code & 0x80, -value, value).astype(np.int16)


def _alaw_table() -> Samples:
    """16-bit value of each of the 256 A-law codes (G.711 table 1, scaled from 13 bits to 16)."""
    code = np.arange(256) ^ 0x55
    step = (code >> 4) & 7
    mantissa = ((code & 0x0F) << 4) + 8
    value = np.where(step > 0, (mantissa + 0x100) << np.maximum(step - 1, 0), mantissa)
    return np.where(code & 0x80, value, -value).astype(np.int16)


_MULAW: Final = _mulaw_table()
_ALAW: Final = _alaw_table()


def _s16(data: memoryview, channels: int) -> Samples:
    samples: Samples = np.frombuffer(data, _S16)
    return samples if channels == 1 else _mean(samples)


def _mulaw(data: memoryview, channels: int) -> Samples:
    samples: Samples = _MULAW[np.frombuffer(data, np.uint8)]
    return samples if channels == 1 else _mean(samples)


def _alaw(data: memoryview, channels: int) -> Samples:
    samples: Samples = _ALAW[np.frombuffer(data, np.uint8)]
    return samples if channels == 1 else _mean(samples)


def _f32(data: memoryview, channels: int) -> Samples:
    """±1 to ±32767; what lies beyond is clipped, halves round to even."""
    values: npt.NDArray[np.float32] = np.frombuffer(data, _F32)
    if not np.isfinite(values).all():
        raise ProtocolError(ErrorCode.INVALID_AUDIO, "a sample is not a finite number")
    scaled = np.clip(values, -1.0, 1.0)
    if channels == 2:
        scaled = (scaled[0::2] + scaled[1::2]) * np.float32(0.5)
    scaled *= _FULL_SCALE
    return np.rint(scaled, out=scaled).astype(np.int16)


def _mean(interleaved: Samples) -> Samples:
    """Mean of two channels, rounded down; in 32 bits, where the sum fits."""
    total = np.add(interleaved[0::2], interleaved[1::2], dtype=np.int32)
    return (total >> 1).astype(np.int16)


_DECODERS: Final[dict[AudioEncoding, Callable[[memoryview, int], Samples]]] = {
    AudioEncoding.PCM_S16LE: _s16,
    AudioEncoding.PCM_F32LE: _f32,
    AudioEncoding.MULAW: _mulaw,
    AudioEncoding.ALAW: _alaw,
}


class Decoder:
    """Turns frames of any size into samples; the bytes of an unfinished sample wait for the next frame."""

    __slots__ = ("_channels", "_convert", "_rest", "_size")

    def __init__(self, fmt: AudioFormat) -> None:
        self._convert = _DECODERS[fmt.encoding]
        self._channels = fmt.channels
        self._size = fmt.bytes_per_sample
        self._rest = b""

    @property
    def dangling(self) -> int:
        """Bytes of an unfinished sample that wait for the rest of it."""
        return len(self._rest)

    def decode(self, data: bytes | bytearray | memoryview) -> Samples:
        """The samples that `data` completes: shape (n,), int16, mono, at the client's rate.

        For `pcm_s16le` mono on a sample boundary this is a view of `data`; else a new array.

        Raises:
            ProtocolError: `invalid_audio`, a float sample is NaN or infinite; nothing was consumed, and the
                caller either drops the frame or declares it a gap with `skip`.
        """
        whole, rest = self._split(data)
        samples = self._convert(whole, self._channels)
        self._rest = rest
        return samples

    def check(self, data: bytes | bytearray | memoryview) -> None:
        """Raise as `decode` would, and consume nothing."""
        if self._convert is _f32:
            _f32(self._split(data)[0], self._channels)

    def skip(self, data: bytes | bytearray | memoryview) -> int:
        """Consume `data` without decoding it; returns the samples it completes."""
        whole, self._rest = self._split(data)
        return len(whole) // self._size

    def drop_dangling(self) -> int:
        """Forget the unfinished sample; returns how many bytes it had."""
        dropped = len(self._rest)
        self._rest = b""
        return dropped

    def _split(self, data: bytes | bytearray | memoryview) -> tuple[memoryview, bytes]:
        """Whole samples, and the bytes left over."""
        view = memoryview(self._rest + bytes(data) if self._rest else data)
        end = len(view) - len(view) % self._size
        return view[:end], bytes(view[end:])


def looks_like_container(data: bytes | bytearray | memoryview) -> str | None:
    """Name of the file format that `data`, a session's first bytes, begins with; None for raw PCM.

    Each signature is 24 bits at least. A bare MPEG or ADTS frame sync is 11 or 12 bits that raw PCM holds
    by chance once in thousands of sessions, so it isn't one of them.
    """
    head = bytes(data[:12])
    if head[4:8] == b"ftyp":
        return "MP4"
    if head[:4] == b"RIFF" and head[8:12] in (b"WAVE", b""):
        return "WAV"
    return next((name for magic, name in _SIGNATURES if head.startswith(magic)), None)


_SIGNATURES: Final = (
    (b"OggS", "Ogg"),
    (b"\x1a\x45\xdf\xa3", "WebM"),
    (b"fLaC", "FLAC"),
    (b"ID3", "MP3"),
)
