"""A peer on a bare socket that says any bytes: HTTP and WebSocket handshakes, frames, halves of them."""

import json
import socket
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.chaos.frames import NO_CLOSE_FRAME, Frame, Op, ServerFrames, text

PATIENCE_S = 10.0
"""Seconds that a peer waits for any answer."""
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""The key of RFC 6455 section 1.3, and what a server makes of it."""
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

Changes = Mapping[str, str | tuple[str, ...] | None]
"""Headers set, repeated or (None) left out."""

_HANDSHAKE: Changes = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "undertone.v1.json",
}


def upgrade(
    target: str = "/ws/voice", changes: Changes | None = None, first: str = "GET {} HTTP/1.1"
) -> bytes:
    """The request for a WebSocket (section 4.1), with `changes` to its headers."""
    headers = {**_HANDSHAKE, **(changes or {})}
    lines = [first.format(target)]
    for name, given in headers.items():
        values = (given,) if isinstance(given, str) else given or ()
        lines += [f"{name}: {value}" for value in values]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an HTTP response."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""

    def all(self, name: str) -> list[str]:
        """Each value of a header."""
        return [value for known, value in self.headers if known == name]

    @classmethod
    def parse(cls, head: bytes) -> Self:
        """Raises ValueError where it is none."""
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(":", 1) for line in lines)
        return cls(int(first.split(" ")[1]), tuple((name.lower(), value.strip()) for name, value in pairs))


class RawPeer:
    """One connection. Sending never fails: a peer that is cut off finds out by reading."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer: Answer | None = None
        self.welcome: dict[str, Any] | None = None
        self._reader = ServerFrames()
        self._frames: deque[Frame] = deque()
        self._head = b""

    @classmethod
    def dial(cls, port: int, target: str = "/ws/voice", changes: Changes | None = None) -> Self:
        """A peer whose handshake went well and that has read `welcome`."""
        peer = cls(port)
        peer.send(upgrade(target, changes))
        answer = peer.handshake()
        assert answer.status == 101, answer
        peer.welcome = peer.event()
        assert peer.welcome["type"] == "welcome", peer.welcome
        return peer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    # Sending -------------------------------------------------------------------------------------------

    def send(self, *pieces: bytes) -> bool:
        """Each piece in a segment of its own, if the kernel likes; False once the connection is gone."""
        try:
            for piece in pieces:
                self.socket.sendall(piece)
        except (ConnectionError, TimeoutError):
            return False
        return True

    def control(self, **message: object) -> None:
        """One control message, in a frame."""
        self.send(text(json.dumps(message)))

    # Reading -------------------------------------------------------------------------------------------

    def handshake(self) -> Answer:
        """The server's answer to what was sent so far.

        Raises:
            EOFError: it gave none.
            TimeoutError: not in time.
        """
        while b"\r\n\r\n" not in self._head:
            data = self._receive()
            if not data:
                raise EOFError(self._head)
            self._head += data
        head, _, behind = self._head.partition(b"\r\n\r\n")
        self.answer = Answer.parse(head)
        self._head = behind
        if self.answer.status == 101:
            self._frames.extend(self._reader.feed(behind))
        return self.answer

    def body(self) -> bytes:
        """The rest of a response, up to the end of the connection."""
        while data := self._receive():
            self._head += data
        return self._head

    def frame(self) -> Frame | None:
        """The next frame; None at the end of the connection.

        Raises:
            TimeoutError: neither came in time.
        """
        while not self._frames:
            data = self._receive()
            if not data:
                return None
            self._frames.extend(self._reader.feed(data))
        return self._frames.popleft()

    def event(self) -> dict[str, Any]:
        """The next event in JSON; frames that carry none are passed over.

        Raises:
            EOFError: the connection was closed first.
        """
        while (one := self.frame()) is not None and one.op is not Op.CLOSE:
            if one.op is Op.TEXT:
                event: dict[str, Any] = json.loads(one.payload)
                return event
        raise EOFError("closed")

    def until(self, kind: str) -> dict[str, Any]:
        """The next event of `kind`."""
        while (event := self.event())["type"] != kind:
            pass
        return event

    def ending(self) -> tuple[list[dict[str, Any]], int]:
        """Every event up to the end of the connection, and its close code."""
        events, code = [], NO_CLOSE_FRAME
        while (one := self.frame()) is not None:
            if one.op is Op.TEXT:
                events.append(json.loads(one.payload))
            elif one.op is Op.CLOSE:
                code = one.code
        return events, code

    def ends_within(self, seconds: float) -> bool:
        """Whether the server ends the connection in time; what it says until then is passed over."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self._receive():
                    return True
            except TimeoutError:
                break
        return False

    def _receive(self) -> bytes:
        """Some bytes; none at the end, however it came."""
        try:
            return self.socket.recv(65_536)
        except ConnectionError:
            return b""


def codes(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """The codes of the errors among `events`."""
    return [event["code"] for event in events if event["type"] == "error"]
