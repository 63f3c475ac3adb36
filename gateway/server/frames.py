"""Frames as a server sends them: RFC 6455 section 5.2, never masked, never fragmented."""

import struct
from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
"""Opcodes, RFC 6455 section 11.8; those from `CLOSE` up are control frames."""

PROTOCOL_ERROR: Final = 1002
INVALID_PAYLOAD: Final = 1007
POLICY_VIOLATION: Final = 1008
MESSAGE_TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012
"""Close codes that the server gives by itself, RFC 6455 section 7.4.1."""

MAX_REASON_BYTES: Final = 123
"""A control frame holds 125 bytes, two of them the code."""

FIN: Final = 0x80
"""The first bit of the first byte: nothing of the message follows in another frame."""
RESERVED_BITS: Final = 0x70
OPCODE_BITS: Final = 0x0F
"""The other bits of that byte."""
LENGTH_16: Final = 126
LENGTH_64: Final = 127
"""In place of a length: it follows, in 16 bits, or in 64."""


def encode(opcode: int, payload: bytes) -> bytes:
    """One whole frame."""
    size = len(payload)
    if size < LENGTH_16:
        return bytes((FIN | opcode, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", FIN | opcode, LENGTH_16, size) + payload
    return struct.pack("!BBQ", FIN | opcode, LENGTH_64, size) + payload


def message(said: bytes | str) -> bytes:
    """The frame of a whole message: text, or binary."""
    return encode(TEXT, said.encode()) if isinstance(said, str) else encode(BINARY, said)


def encode_close(code: int | None, reason: str = "") -> bytes:
    """A close frame; without a code an empty one. A reason too long for it loses its end."""
    if code is None:
        return encode(CLOSE, b"")
    told = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
    return encode(CLOSE, code.to_bytes(2) + told)
