"""An event loop and a transport moved by hand, and frames as a peer sends and reads them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from uvicorn.server import ServerState

from gateway.server.facts import Cutoff, ServerConfig
from gateway.server.websocket import Phase, WebSocketProtocol

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x37\xfa\x21\x3d",
) -> bytes:
    """One frame as a client sends it; without a mask as it must not."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    size, masked = len(payload), 0x80 if mask else 0
    if size < 126:
        head = bytes((first, masked | size))
    elif size < 1 << 16:
        head = bytes((first, masked | 126)) + size.to_bytes(2)
    else:
        head = bytes((first, masked | 127)) + size.to_bytes(8)
    if mask is None:
        return head + payload
    whole = (mask * (size // 4 + 1))[:size]
    return head + mask + bytes(a ^ b for a, b in zip(payload, whole, strict=True))


def read_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Opcodes and payloads of a server's frames; none may be masked or fragmented."""
    found = []
    while data:
        assert data[0] & 0xF0 == 0x80
        size, at = data[1], 2
        if size == 126:
            size, at = int.from_bytes(data[2:4]), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10]), 10
        found.append((data[0] & 0x0F, data[at : at + size]))
        data = data[at + size :]
    return found


class HandTimer:
    """A timer of a `HandLoop`."""

    def __init__(self, when: float, callback: Callable[..., object], arguments: tuple[object, ...]) -> None:
        self._when = when
        self.callback = callback
        self.arguments = arguments
        self.cancelled = False

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self.cancelled = True


class HandLoop:
    """Time and timers by hand; tasks run on the real loop."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.timers: list[HandTimer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: object) -> HandTimer:
        timer = HandTimer(self.now + delay, callback, arguments)
        self.timers.append(timer)
        return timer

    def create_task(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(work)

    def advance(self, seconds: float) -> None:
        """Let time pass, and the timers that are due then go off, in order."""
        end = self.now + seconds
        while True:
            due = [timer for timer in self.timers if not timer.cancelled and timer.when() <= end]
            if not due:
                break
            first = min(due, key=HandTimer.when)
            self.timers.remove(first)
            self.now = first.when()
            first.callback(*first.arguments)
        self.now = end

    @property
    def pending(self) -> int:
        """Timers that would still go off."""
        return sum(not timer.cancelled for timer in self.timers)


class HandTransport(asyncio.Transport):
    """Keeps what is written; the peer's side is played by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.paused = False
        self.shut = False
        self.closed = False
        self.aborted = False
        self.protocol: Any = None

    def write(self, data: Any) -> None:
        assert not self.shut, "written after the end"
        self.written += bytes(data)

    def write_eof(self) -> None:
        self.shut = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def is_shut(self) -> bool:
        """Whether our side was shut after the last word."""
        return self.shut

    def was_aborted(self) -> bool:
        """Whether the connection was dropped at once."""
        return self.aborted

    def is_reading(self) -> bool:
        return not self.paused

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def take(self) -> bytes:
        """What was written since it was last asked."""
        written, self.written = self.written, b""
        return written


@dataclass
class Link:
    """One connection under test, whose application does what the test says."""

    protocol: WebSocketProtocol
    transport: HandTransport
    loop: HandLoop
    state: ServerState
    facts: list[Cutoff] = field(default_factory=list)
    scope: dict[str, Any] = field(default_factory=dict)
    receive: Any = None
    send: Any = None
    leave: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def arrive(self, data: bytes) -> None:
        """`data` comes in, in as many pieces as the protocol wants; what it no longer reads stays out."""
        while data and self.transport.is_reading() and not self.transport.aborted:
            room = self.protocol.get_buffer(65_536)
            fits = min(len(room), len(data))
            room[:fits] = data[:fits]
            self.protocol.buffer_updated(fits)
            data = data[fits:]

    def sent(self) -> list[tuple[int, bytes]]:
        """The frames that went out since last asked."""
        return read_frames(self.transport.take())

    def lose(self) -> None:
        """The connection is gone."""
        self.protocol.connection_lost(None)

    async def accept(self, **extra: Any) -> None:
        """The application accepts; its 101 is taken off the wire."""
        assert (await self.receive())["type"] == "websocket.connect"
        await self.send({"type": "websocket.accept", **extra})
        assert self.transport.take().startswith(b"HTTP/1.1 101 ")


UPGRADE: tuple[tuple[bytes, bytes], ...] = (
    (b"host", b"gateway"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
)
"""RFC 6455 section 1.3; its answer is `s3pPLMBiTxaQ9kYGzzhZRbK+xOo=`."""


def request(*headers: tuple[bytes, bytes], query: bytes = b"", **changes: Any) -> dict[str, Any]:
    """A request to upgrade, as an ASGI scope of type `http`."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8522),
        "client": ("127.0.0.1", 50_000),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": "/ws/voice",
        "raw_path": b"/ws/voice",
        "query_string": query,
        "headers": [*UPGRADE, *headers],
        "state": {},
    }
    return scope | changes


async def asked(
    early: bytes = b"", scope: dict[str, Any] | None = None, *, max_bytes: int = 4_096, **options: Any
) -> Link:
    """A connection whose application has been started and has not said anything."""
    facts: list[Cutoff] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        link.scope, link.receive, link.send = scope, receive, send
        await link.leave

    settings = {"lifespan": "off", "log_config": None, "ws_ping_interval": None, **options}
    config = ServerConfig(app, observer=facts.append, ws_max_size=max_bytes, **settings)
    config.loaded_app = app
    state, loop, transport = ServerState(), HandLoop(), HandTransport()
    protocol = WebSocketProtocol(config, state, {}, loop)  # type: ignore[arg-type]
    link = Link(protocol, transport, loop, state, facts)
    transport.pause_reading()
    protocol.begin(transport, scope or request(), early)
    await asyncio.sleep(0)
    return link


async def opened(**options: Any) -> Link:
    """A connection that is open."""
    link = await asked(**options)
    await link.accept()
    return link


def run(steps: Callable[[Link], Awaitable[None]], **options: Any) -> None:
    """Run `steps` over a connection that is open."""

    async def main() -> None:
        link = await opened(**options)
        await steps(link)
        end(link)

    asyncio.run(main())


def run_asked(steps: Callable[[Link], Awaitable[None]], early: bytes = b"") -> None:
    """Run `steps` over a connection whose application has not answered yet."""

    async def main() -> None:
        link = await asked(early)
        await steps(link)
        end(link)

    asyncio.run(main())


def end(link: Link) -> None:
    """Lose the connection; nothing may be left of it."""
    if link.protocol.phase is not Phase.LOST:
        link.lose()
    assert link.loop.pending == 0
    assert link.state.connections == set()
    link.leave.cancel()


def close_of(link: Link) -> int:
    """The code of the close frame that went out last."""
    opcode, payload = link.sent()[-1]
    assert opcode == CLOSE
    return int.from_bytes(payload[:2])


async def settle() -> None:
    """Let tasks run."""
    for _ in range(5):
        await asyncio.sleep(0)
