"""Bytes → frames as clients send them: RFC 6455 section 5.2, masked.

All connections of a process are read into one buffer, which so stays in the processor's cache: a read is
looked at before the next one begins, and only what is left of a frame that isn't whole is kept by its
connection. That is why this is not a library's parser: theirs have a buffer for each connection, and on this
way a frame costs least (`python -m benchmarks.micro_lane`). Payloads are unmasked by websockets' C function.

What is checked here: masks, opcodes, lengths (minimal ones only), the size and the FIN bit of control frames,
the size of data frames. A header is enough to be told of a violation, after all frames that came before it.
Reserved bits, the order of fragments, UTF-8 and close codes are `gateway.server.lane`'s.
"""

from collections.abc import Callable
from typing import Final, Protocol

from gateway.server import frames

try:
    from websockets.speedups import apply_mask
except ImportError:  # where there was no compiler for it
    from websockets.utils import apply_mask

PIECE_BYTES: Final = 8 * 1024
"""What is read from the kernel at once: a peer that sends as fast as it can gets this much, then its budgets
are looked at. A frame of 100 ms at 16 kHz fits, at 48 kHz it takes two."""

WHOLE_BINARY: Final = frames.FIN | frames.BINARY
"""The first byte of a message of audio in one frame."""

_MASKED: Final = 0x80
_MASK_BYTES: Final = 4
_MAX_CONTROL_BYTES: Final = 125
_OPCODES: Final = frozenset(
    (frames.CONTINUATION, frames.TEXT, frames.BINARY, frames.CLOSE, frames.PING, frames.PONG)
)
_AUDIO_HEAD: Final = bytes((WHOLE_BINARY, _MASKED | frames.LENGTH_16))
"""How nearly every frame begins: whole, binary, 126 to 65,535 bytes."""
_AUDIO_PAYLOAD_AT: Final = 8

_unmasked: Final[Callable[[memoryview, memoryview], bytes]] = apply_mask  # type: ignore[assignment]
"""Its declaration leaves out views, which it takes as well."""

_received: Final = bytearray(PIECE_BYTES)
RECEIVED: Final = memoryview(_received)
"""Where the next bytes go, of whichever connection; they are to be fed to its parser at once."""


class Violation(Exception):
    """The peer broke RFC 6455; the connection is to be failed (section 7.1.7).

    Args:
        code: the close code.
        reason: for the close frame.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class FrameTaker(Protocol):
    """Who wants the frames of a connection."""

    def take_frame(self, head: int, payload: bytes) -> bool:
        """One whole frame.

        Args:
            head: its first byte: FIN, reserved bits, opcode.
            payload: unmasked.

        Returns whether the next one is wanted, too.
        """
        ...


class FrameParser:
    """Hands each frame of one connection to `taker`.

    Args:
        max_frame_bytes: a data frame with more payload is a violation (1009).
    """

    __slots__ = ("_max_bytes", "_rest", "_taker", "_wanted")

    def __init__(self, taker: FrameTaker, max_frame_bytes: int) -> None:
        self._taker = taker
        self._max_bytes = max_frame_bytes
        self._rest: bytearray | None = None
        self._wanted = 0
        """Bytes that `_rest` needs before it is worth looking at."""

    @property
    def kept(self) -> int:
        """Bytes of a frame that isn't whole yet."""
        return 0 if self._rest is None else len(self._rest)

    def feed(self, nbytes: int) -> None:
        """`nbytes` were put into `RECEIVED`.

        Raises:
            Violation: nothing may be fed any more.
        """
        rest = self._rest
        if rest is None:
            at = self._parse(_received, RECEIVED, nbytes)
            if at < nbytes:
                self._rest = bytearray(RECEIVED[at:nbytes])
            return
        rest += RECEIVED[:nbytes]
        size = len(rest)
        if size < self._wanted:
            return
        with memoryview(rest) as view:
            at = self._parse(rest, view, size)
        if at == size:
            self._rest = None
        elif at:
            del rest[:at]

    def _parse(self, data: bytearray, view: memoryview, size: int) -> int:
        """Hand over the whole frames in the first `size` bytes of `data`; returns where the next begins, or
        `size` where nothing more is wanted."""
        at = 0
        while at < size:
            head = data[at]
            if data.startswith(_AUDIO_HEAD, at, size) and size - at >= _AUDIO_PAYLOAD_AT:
                start = at + _AUDIO_PAYLOAD_AT
                length = data[at + 2] << 8 | data[at + 3]
                if not frames.LENGTH_16 <= length <= self._max_bytes:
                    raise self._wrong_length(length)
            else:
                start, length = self._header(data, at, size)
            stop = start + length
            if stop > size:
                self._wanted = stop - at
                return at
            payload = _unmasked(view[start:stop], view[start - _MASK_BYTES : start])
            if not self._taker.take_frame(head, payload):
                return size
            at = stop
        return at

    def _header(self, data: bytearray, at: int, size: int) -> tuple[int, int]:
        """Where the payload of the frame at `at` begins, and how long it is; as far as is known, where the
        header isn't whole."""
        opcode = data[at] & frames.OPCODE_BITS
        if opcode not in _OPCODES:
            raise Violation(frames.PROTOCOL_ERROR, f"there is no opcode {opcode}")
        control = opcode >= frames.CLOSE
        if control and not data[at] & frames.FIN:
            raise Violation(frames.PROTOCOL_ERROR, "a control frame in fragments")
        if size - at < 2:
            return at + 2, 0
        if not data[at + 1] & _MASKED:
            raise Violation(frames.PROTOCOL_ERROR, "a frame of a client must be masked")
        length = data[at + 1] & ~_MASKED
        if control and length > _MAX_CONTROL_BYTES:
            raise Violation(frames.PROTOCOL_ERROR, f"a control frame of more than {_MAX_CONTROL_BYTES} bytes")
        more = {frames.LENGTH_16: 2, frames.LENGTH_64: 8}.get(length, 0)
        start = at + 2 + more
        if size < start:
            return start, 0
        if more:
            length = int.from_bytes(data[at + 2 : start])
            if length < (frames.LENGTH_16 if more == 2 else 1 << 16) or length >> 63:
                raise self._wrong_length(length)
        if length > self._max_bytes:
            raise self._wrong_length(length)
        return start + _MASK_BYTES, length

    def _wrong_length(self, length: int) -> Violation:
        if self._max_bytes < length < 1 << 63:
            return Violation(frames.MESSAGE_TOO_BIG, f"a frame of more than {self._max_bytes} bytes")
        return Violation(frames.PROTOCOL_ERROR, "a length that is not written as the RFC has it")
