"""The WebSocket of one session of a load run, kept cheap: RFC 6455 on an asyncio protocol.

websockets' sans-I/O client opens it. From then on the frames that come in are read here, in less time than a
library needs that must expect anything: a gateway sends whole messages, unmasked, and control frames.
Whatever else comes is a failure.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import cast

from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from protocol.close import NO_CLOSE_FRAME, CloseCode
from protocol.codec import MAX_MESSAGE_BYTES

_HEAD_END = b"\r\n\r\n"
_FINAL = 0x80
_TEXT, _BINARY = _FINAL | Opcode.TEXT, _FINAL | Opcode.BINARY
_CLOSE, _PING, _PONG = _FINAL | Opcode.CLOSE, _FINAL | Opcode.PING, _FINAL | Opcode.PONG
_KNOWN = frozenset((_TEXT, _BINARY, _CLOSE, _PING, _PONG))
_MAX_CONTROL_BYTES = 125
_NO_STATUS = 1005
"""Of a close frame without a code (RFC 6455 section 7.1.5)"""


class FrameError(Exception):
    """The server sent what no gateway sends."""


def ready_made(pcm: bytes) -> bytes:
    """A binary WebSocket message, masked and complete (RFC 6455 section 5.2), to be written as it is.

    The mask is the same each time it is sent, which is fine towards a server under test and nowhere else.
    """
    return Frame(Opcode.BINARY, pcm).serialize(mask=True)


def text_message(text: str) -> bytes:
    """The same for a text message."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=True)


class FrameReader:
    """Bytes in, whole frames out, however the bytes are cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The frames that `data` completes, as first byte and payload. Raises FrameError for what is none."""
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        while size - at >= 2:
            first, length = data[at], data[at + 1]
            start = at + 2
            if length >= 126:
                if length > 127:
                    raise FrameError("a masked frame came")
                start += 2 if length == 126 else 8
                if start > size:
                    break
                length = int.from_bytes(data[at + 2 : start])
            if first not in _KNOWN:
                raise FrameError(f"a frame came that begins with 0x{first:02x}")
            if length > (_MAX_CONTROL_BYTES if first & 8 else MAX_MESSAGE_BYTES):
                raise FrameError(f"a frame of {length:,} bytes came")
            end = start + length
            if end > size:
                break
            yield first, data[start:end]
            at = end
        self._rest = data[at:]


class LoadWire(asyncio.Protocol, ABC):
    """One connection at a time: opened, then events in, ready-made frames out. Others say what it means."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._handshake: ClientProtocol | None = None
        """While it lasts"""
        self._head = b""
        self._frames = FrameReader()
        self._code: int | None = None
        """Close code of this connection; None while it is not opened"""

    @abstractmethod
    def opening(self) -> tuple[str, list[str], str | None]:
        """URL, subprotocols and bearer of the connection that is made now."""

    @abstractmethod
    def received(self, message: bytes) -> None:
        """A binary message came."""

    @abstractmethod
    def refused(self, reason: str, status: int | None) -> None:
        """The handshake came to nothing, or the connection broke the protocol; `lost` follows."""

    @abstractmethod
    def lost(self, code: int | None) -> None:
        """The connection is over; None where it was never opened."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._frames, self._head, self._code = FrameReader(), b"", None
        url, subprotocols, bearer = self.opening()
        offered = [Subprotocol(one) for one in subprotocols]
        self._handshake = ClientProtocol(parse_uri(url), subprotocols=offered)
        request = self._handshake.connect()
        if bearer is not None:
            request.headers["Authorization"] = f"Bearer {bearer}"
        self._handshake.send_request(request)
        self._transport.writelines(self._handshake.data_to_send())

    def data_received(self, data: bytes) -> None:
        if self._handshake is not None:
            data = self._open(self._handshake, data)
        try:
            for first, payload in self._frames.feed(data):
                if first == _BINARY:
                    self.received(payload)
                elif first != _PONG:
                    self._control(first, payload)
                if self._transport is None:
                    return
        except FrameError as error:
            self.refused(str(error), None)
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = self._handshake = None
        self.lost(self._code)

    def cut(self) -> None:
        """End the connection at once, as a network would."""
        if self._transport is not None:
            self._transport.abort()

    def _open(self, handshake: ClientProtocol, data: bytes) -> bytes:
        """Go on with the handshake; returns what came after it."""
        self._head += data
        head, end, rest = self._head.partition(_HEAD_END)
        if not end:
            return b""
        handshake.receive_data(head + end)
        if handshake.state is not State.OPEN:
            status = head.split(b" ", 2)[1:2]
            told = int(status[0]) if status and status[0].isdigit() else None
            self._handshake = None
            self.refused(f"not opened: HTTP {told}" if told is not None else "not opened: no HTTP", told)
            self.cut()
            return b""
        self._handshake, self._head, self._code = None, b"", NO_CLOSE_FRAME
        return rest

    def _control(self, first: int, payload: bytes) -> None:
        if first == _PING:
            self._write(Frame(Opcode.PONG, payload).serialize(mask=True))
        elif first == _CLOSE:
            self._code = int.from_bytes(payload[:2]) if len(payload) >= 2 else _NO_STATUS
            answer = Close(CloseCode.NORMAL, "").serialize() if len(payload) < 2 else payload[:2]
            self._write(Frame(Opcode.CLOSE, answer).serialize(mask=True))
        else:
            raise FrameError("a text message came, where binary ones were agreed on")

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
