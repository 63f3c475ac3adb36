"""WebSocket frames by hand, right and wrong ones, as a client writes and a server's are read (RFC 6455
section 5.2).

Written from the RFC alone: nothing here is shared with the gateway, so both can't be wrong in the same way.
"""

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass


class Op(enum.IntEnum):
    """Opcodes, section 11.8."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class Form(enum.IntEnum):
    """How a length is written; the value is the code in the seven bits, where it is one."""

    SEVEN_BITS = 0
    SIXTEEN_BITS = 126
    SIXTY_FOUR_BITS = 127


MASK = b"\x37\xfa\x21\x3d"
"""That of the examples in section 5.7; a server can't tell a fixed one from a random one."""
LONGEST_CONTROL = 125
"""Bytes that a control frame may hold (section 5.5)."""

NO_STATUS = 1005
"""Stands for a close frame without a code (section 7.1.5)."""
NO_CLOSE_FRAME = 1006
"""Stands for a connection that ended without one."""

_FIN = 0x80
_MASKED = 0x80


def frame(
    op: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    form: Form | None = None,
    announces: int | None = None,
) -> bytes:
    """One frame as a client writes it, or as it must not.

    Args:
        op: four bits.
        payload: before masking.
        fin: whether the message ends here.
        rsv: the three reserved bits as a number from 0 to 7; RSV1 is 4.
        mask: four bytes; None sends the payload unmasked.
        form: how the length is written; None takes the shortest.
        announces: the length that is claimed; None tells the truth.
    """
    first = (_FIN if fin else 0) | rsv << 4 | op
    size = len(payload) if announces is None else announces
    head = bytes((first,)) + _length(size, mask is not None, form)
    return head + payload if mask is None else head + mask + masked(payload, mask)


def text(payload: str | bytes, *, fin: bool = True) -> bytes:
    """A text frame."""
    return frame(Op.TEXT, payload.encode() if isinstance(payload, str) else payload, fin=fin)


def binary(payload: bytes, *, fin: bool = True) -> bytes:
    """A binary frame."""
    return frame(Op.BINARY, payload, fin=fin)


def more(payload: str | bytes = b"", *, fin: bool = False) -> bytes:
    """A continuation; another one follows unless `fin`."""
    return frame(Op.CONTINUATION, payload.encode() if isinstance(payload, str) else payload, fin=fin)


def ping(payload: bytes = b"") -> bytes:
    """A ping."""
    return frame(Op.PING, payload)


def pong(payload: bytes = b"") -> bytes:
    """A pong."""
    return frame(Op.PONG, payload)


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A close frame; without a code it is empty."""
    return frame(Op.CLOSE, b"" if code is None else code.to_bytes(2) + reason)


def split(op: Op, payload: bytes, size: int) -> tuple[bytes, ...]:
    """One message in fragments of `size` bytes, the last one shorter."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    last = len(pieces) - 1
    return tuple(
        frame(op if n == 0 else Op.CONTINUATION, piece, fin=n == last) for n, piece in enumerate(pieces)
    )


def masked(payload: bytes, mask: bytes) -> bytes:
    """`payload` masked, or unmasked again (section 5.3)."""
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(len(payload))


def _length(size: int, has_mask: bool, form: Form | None) -> bytes:
    if form is None:
        shortest = Form.SIXTEEN_BITS if size < 1 << 16 else Form.SIXTY_FOUR_BITS
        form = Form.SEVEN_BITS if size < Form.SIXTEEN_BITS else shortest
    bit = _MASKED if has_mask else 0
    match form:
        case Form.SEVEN_BITS:
            return bytes((bit | size,))
        case Form.SIXTEEN_BITS:
            return struct.pack("!BH", bit | form, size)
        case Form.SIXTY_FOUR_BITS:
            return struct.pack("!BQ", bit | form, size)


@dataclass(frozen=True, slots=True)
class Frame:
    """What a server sent."""

    op: Op
    payload: bytes

    @property
    def code(self) -> int:
        """Of a close frame."""
        return int.from_bytes(self.payload[:2]) if self.payload else NO_STATUS


class ServerFrames:
    """A server's bytes → its frames. It is held to the RFC too."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole with `data`.

        Raises:
            AssertionError: the server broke the RFC, or sent a message in fragments, which ours never does.
        """
        self._bytes += data
        while (found := self._next()) is not None:
            size, one = found
            del self._bytes[:size]
            yield one

    def _next(self) -> tuple[int, Frame] | None:
        if len(self._bytes) < 2:
            return None
        first, second = self._bytes[:2]
        assert first & 0x70 == 0, "a server that negotiated nothing has set reserved bits"
        assert first & _FIN, "a server's fragment"
        assert not second & _MASKED, "a server must not mask"
        begin, size = 2, second
        if second >= Form.SIXTEEN_BITS:
            begin, least = (4, Form.SIXTEEN_BITS) if second == Form.SIXTEEN_BITS else (10, 1 << 16)
            if len(self._bytes) < begin:
                return None
            size = int.from_bytes(self._bytes[2:begin])
            assert size >= least, "not the shortest way to write a length"
        if len(self._bytes) < begin + size:
            return None
        return begin + size, _checked(Frame(Op(first & 0xF), bytes(self._bytes[begin : begin + size])))


def _checked(one: Frame) -> Frame:
    if one.op >= Op.CLOSE:
        assert len(one.payload) <= LONGEST_CONTROL, "a control frame that is too long"
    if one.op is Op.CLOSE:
        assert len(one.payload) != 1, "half a close code"
        one.payload[2:].decode()
    elif one.op is Op.TEXT:
        one.payload.decode()
    return one
