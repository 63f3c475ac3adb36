"""WAV files written byte by byte, so that every odd one can be made."""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

SUBTYPE_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes, *, size: int | None = None) -> bytes:
    """A RIFF chunk, padded to an even length; `size` is what its header claims."""
    claimed = len(body) if size is None else size
    return name + struct.pack("<I", claimed) + body + b"\0" * (len(body) % 2)


def fmt(tag: int, channels: int, rate: int, bits: int, *, extensible: bool = False) -> bytes:
    """A `fmt ` chunk."""
    align = channels * ((bits + 7) // 8)
    outer = 0xFFFE if extensible else tag
    body = struct.pack("<HHIIHH", outer, channels, rate, rate * align, align, bits)
    if extensible:
        body += struct.pack("<HHIH", 22, bits, 0, tag) + SUBTYPE_TAIL
    return chunk(b"fmt ", body)


def wav(*chunks: bytes, magic: bytes = b"RIFF", size: int | None = None) -> bytes:
    """A whole file."""
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack("<I", len(body) if size is None else size) + body


def simple(data: bytes, *, tag: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16) -> bytes:
    """The plainest file around `data`."""
    return wav(fmt(tag, channels, rate, bits), chunk(b"data", data))


def sine(rate: int, seconds: float, *, hertz: float = 440.0, level: float = 0.5) -> npt.NDArray[np.float64]:
    """A test tone, full scale ±1."""
    return level * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def s16(samples: npt.NDArray[Any]) -> bytes:
    """Floats as 16-bit little-endian."""
    return bytes(np.rint(samples * 32_767).astype("<i2").tobytes())
