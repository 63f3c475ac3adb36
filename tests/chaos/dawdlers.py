"""Peers that connect and take their time: silent ones, and ones that send a request one byte at a time."""

import select
import socket
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.chaos.raw import upgrade

BYTE_EVERY_S = 0.25
_POST = (
    b"POST /api/v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 16000\r\n\r\n"
)
_CHUNKED = _POST.replace(b"Content-Length: 16000", b"Transfer-Encoding: chunked")


@dataclass(frozen=True, slots=True)
class Manner:
    """What one kind of dawdler sends."""

    first: bytes
    """At once."""
    then: bytes
    """Byte by byte, over and over."""


MANNERS: Mapping[str, Manner] = {
    "silent": Manner(b"", b""),
    "half a request line": Manner(b"GET /ws/voi", b""),
    "half a head": Manner(upgrade()[:-4], b""),
    "a head byte by byte": Manner(b"", upgrade() * 20),
    "a header that never ends": Manner(upgrade()[:-2] + b"X-Long: ", b"x"),
    "empty lines": Manner(b"", b"\r\n"),
    "headers byte by byte": Manner(upgrade()[:-2], b"X: y\r\n"),
    "a body that never comes": Manner(_POST, b""),
    "a body byte by byte": Manner(_POST, b" "),
    "chunks of one byte": Manner(_CHUNKED, b"1\r\n \r\n"),
}
"""By what they do."""
BODIES = frozenset({"a body that never comes", "a body byte by byte", "chunks of one byte"})
"""Those who get as far as the body."""


@dataclass(slots=True)
class _Dawdler:
    manner: str
    socket: socket.socket
    since: float
    rest: bytes = b""


@dataclass(slots=True)
class Ends:
    """How long each stayed, and what it was answered first."""

    stayed_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """`HTTP/1.1 408` and so on; empty where there was no answer."""

    @property
    def heads_s(self) -> list[float]:
        """Seconds that those stayed who sent no whole head."""
        return [stay for manner, stays in self.stayed_s.items() if manner not in BODIES for stay in stays]

    @property
    def bodies_s(self) -> list[float]:
        """Seconds that those stayed who sent no whole body."""
        return [stay for manner, stays in self.stayed_s.items() if manner in BODIES for stay in stays]


class Dawdlers:
    """All of them, of every manner in turn, connected at once.

    Args:
        port: of the gateway, on the loopback interface.
        count: how many.
    """

    def __init__(self, port: int, count: int) -> None:
        self.ends = Ends()
        self._here: dict[int, _Dawdler] = {}
        self._poll = select.epoll()
        manners = list(MANNERS)
        for n in range(count):
            self._connect(port, manners[n % len(manners)])

    @property
    def left(self) -> int:
        """How many are still connected."""
        return len(self._here)

    def wait(self, seconds: float) -> None:
        """Dawdle until all are gone, or time is up; those who are left go then."""
        due = time.monotonic()
        deadline = due + seconds
        while self._here and time.monotonic() < deadline:
            due += BYTE_EVERY_S
            self._dawdle()
            while (left := due - time.monotonic()) > 0 and self._here:
                for number, _ in self._poll.poll(left):
                    self._listen(self._here[number])

    def close(self) -> None:
        """Whoever is left goes."""
        for one in self._here.values():
            one.socket.close()
        self._poll.close()

    def _connect(self, port: int, manner: str) -> None:
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connection.sendall(MANNERS[manner].first)
        connection.setblocking(False)
        self._poll.register(connection, select.EPOLLIN)
        self._here[connection.fileno()] = _Dawdler(manner, connection, time.monotonic())

    def _dawdle(self) -> None:
        for one in list(self._here.values()):
            one.rest = one.rest or MANNERS[one.manner].then
            if one.rest:
                try:
                    one.socket.send(one.rest[:1])
                except OSError:
                    self._gone(one)
                one.rest = one.rest[1:]

    def _listen(self, one: _Dawdler) -> None:
        try:
            answer = one.socket.recv(4_096)
        except OSError:
            answer = b""
        if answer:
            self.ends.statuses[one.manner].add(answer[:12].decode("latin-1"))
        else:
            self._gone(one)

    def _gone(self, one: _Dawdler) -> None:
        self.ends.stayed_s[one.manner].append(time.monotonic() - one.since)
        del self._here[one.socket.fileno()]
        self._poll.unregister(one.socket)
        one.socket.close()
