"""The same over real sockets, under both event loops that people run."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.fastlane import fast_lane
from gateway.server import http, websocket
from gateway.server.facts import Cutoff, ServerConfig
from gateway.server.http import HttpProtocol
from gateway.server.websocket import WebSocketProtocol
from tests.gateway.server.hand import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame, read_frames

UPGRADE = (
    b"GET /echo HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
LIMIT = 100_000


@dataclass
class Site:
    """A running server, and what it told."""

    port: int
    server: uvicorn.Server
    facts: list[Cutoff] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    async def quiet(self) -> None:
        """Until no connection is left."""
        state = self.server.server_state
        await until(lambda: not state.connections and not state.tasks)


async def until(true: Callable[[], bool]) -> None:
    """Wait for it, but not for ever."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 (nobody could set an event)
            await asyncio.sleep(0.01)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """`/echo` answers through ASGI, `/lane` from the sink, `/shout` never stops; the rest is refused."""
    assert (await receive())["type"] == "websocket.connect"
    path = scope["path"]
    if path == "/closed":
        await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"full"})
        return
    await send({"type": "websocket.accept"})
    if path == "/shout":
        while True:
            await send({"type": "websocket.send", "bytes": bytes(65_536)})
    out: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    if path == "/lane":
        lane = fast_lane(scope)
        assert lane is not None
        lane.listen(lambda message: out.put_nowait(echoed(message)), lambda detail: out.put_nowait(FLOOD))
        listening = asyncio.create_task(say(out, send))
    while (message := await receive())["type"] != "websocket.disconnect":
        await send(echoed(message["text"] if "text" in message else message["bytes"]))
    if path == "/lane":
        listening.cancel()


FLOOD = {"type": "websocket.close", "code": 4009, "reason": "flood"}


def echoed(message: bytes | str) -> dict[str, Any]:
    return {"type": "websocket.send", "text" if isinstance(message, str) else "bytes": message}


async def say(out: "asyncio.Queue[dict[str, Any]]", send: Any) -> None:
    while True:
        message = await out.get()
        await send(message)
        if message is FLOOD:
            return


@asynccontextmanager
async def site(**options: Any) -> AsyncIterator[Site]:
    """A server on a free port, with every connection gone at the end."""
    facts: list[Cutoff] = []
    config = ServerConfig(
        app,
        observer=facts.append,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=LIMIT,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=5,
        **options,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve([listening]))
        await until(lambda: server.started)
        found = Site(listening.getsockname()[1], server, facts)
        try:
            yield found
            await found.quiet()
        finally:
            server.should_exit = True
            await serving


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[Site], Awaitable[None]]], None]:
    """Runs steps against a server, both under one loop."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else None

    def run(steps: Callable[[Site], Awaitable[None]], **options: Any) -> None:
        async def main() -> None:
            async with asyncio.timeout(30), site(**options) as there:
                await steps(there)

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())

    return run


Run = Callable[..., None]


async def apart(there: Site, work: Callable[[socket.socket], None]) -> None:
    """Do `work` on a bare, blocking connection, in a thread of its own."""

    def talk() -> None:
        with socket.create_connection(("127.0.0.1", there.port), timeout=10) as peer:
            work(peer)

    await asyncio.to_thread(talk)


def read_all(peer: socket.socket) -> bytes:
    """Until the other side is shut."""
    answer = b""
    while data := peer.recv(65_536):
        answer += data
    return answer


@pytest.mark.parametrize("path", ["/echo", "/lane"])
def test_an_echo(run: Run, path: str) -> None:
    """Small and large, whole and in fragments; then a close with its code."""

    async def steps(there: Site) -> None:
        async with connect(there.url(path), compression=None, proxy=None) as peer:
            for message in ("é" * 10, b"", bytes(range(256)) * 300, [b"a" * 40_000, b"b" * 40_000]):
                await peer.send(message)
                whole = b"".join(message) if isinstance(message, list) else message
                assert await peer.recv() == whole
            await (await peer.ping())
            await peer.close(3001, "bye")
            assert (peer.close_code, peer.close_reason) == (3001, "bye")
        assert there.facts == []

    run(steps)


def test_what_comes_with_the_request_is_heard(run: Run) -> None:
    """One segment: the request to upgrade, a message, and the close."""

    def talk(peer: socket.socket) -> None:
        peer.sendall(UPGRADE + frame(TEXT, b"early") + frame(TEXT, b"bad", mask=None))
        head, _, rest = read_all(peer).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        [(opcode, payload)] = read_frames(rest)
        assert (opcode, payload[:2]) == (CLOSE, (1002).to_bytes(2))

    async def steps(there: Site) -> None:
        await apart(there, talk)
        assert there.facts == [Cutoff.VIOLATION]

    run(steps)


def test_a_refusal_is_read_by_a_peer_that_goes_on_sending(run: Run) -> None:
    """The kernel must not answer its bytes with a reset before it has read ours."""

    def talk(peer: socket.socket) -> None:
        peer.sendall(UPGRADE.replace(b"/echo", b"/closed") + bytes(300_000))
        assert read_all(peer).endswith(b"full")

    async def steps(there: Site) -> None:
        with pytest.raises(InvalidStatus) as refused:
            await connect(there.url("/closed"), proxy=None)
        assert refused.value.response.status_code == 503
        await apart(there, talk)

    run(steps)


def test_a_close_code_is_read_by_a_peer_that_goes_on_sending(run: Run) -> None:
    """A message ten times too large is refused by its head, and most of it is still under way."""

    async def steps(there: Site) -> None:
        async with connect(there.url("/lane"), compression=None, proxy=None) as peer:
            await peer.send(bytes(10 * LIMIT))
            with pytest.raises(ConnectionClosed):
                await peer.recv()
            assert peer.close_code == 1009
        assert there.facts == [Cutoff.VIOLATION]

    run(steps)


@pytest.mark.parametrize(
    ("first", "flood"),
    [
        (b"", frame(PING)),
        (b"", frame(BINARY, b"x")),
        (frame(BINARY, b"", fin=False), frame(CONTINUATION, b"", fin=False)),
    ],
)
def test_a_flooder_is_cut_off(run: Run, first: bytes, flood: bytes) -> None:
    """As fast as the socket takes it; it is told why, and soon its connection is gone."""

    def talk(peer: socket.socket) -> None:
        peer.sendall(UPGRADE.replace(b"/echo", b"/lane") + first)
        answers = threading.Thread(target=keep, args=(peer,))
        answers.start()
        with pytest.raises(ConnectionError):
            send_for_ever(peer, flood * 1_000)
        answers.join()
        *_, (opcode, payload) = read_frames(b"".join(kept).partition(b"\r\n\r\n")[2])
        assert (opcode, payload) == (CLOSE, (4009).to_bytes(2) + b"flood")

    kept: list[bytes] = []

    def keep(peer: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            while data := peer.recv(65_536):
                kept.append(data)

    async def steps(there: Site) -> None:
        await apart(there, talk)
        assert there.facts == [Cutoff.FLOOD]

    run(steps)


def send_for_ever(peer: socket.socket, data: bytes) -> None:
    """Until the other side has had enough."""
    while True:
        peer.sendall(data)


def test_a_peer_that_does_not_read_is_let_go(run: Run) -> None:
    """Its buffers are full, it answers no ping, and then its descriptor is free."""
    gone = threading.Event()

    def talk(peer: socket.socket) -> None:
        peer.sendall(UPGRADE.replace(b"/echo", b"/shout"))
        assert gone.wait(timeout=10)

    async def steps(there: Site) -> None:
        talking = asyncio.create_task(apart(there, talk))
        await until(lambda: there.facts == [Cutoff.SILENT])
        await there.quiet()
        gone.set()
        await talking

    run(steps, ws_ping_interval=0.2, ws_ping_timeout=0.2)


def test_a_silent_socket_is_let_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that sends half a request is told."""
    monkeypatch.setattr(http, "HEAD_S", 0.2)

    def silent(peer: socket.socket) -> None:
        assert read_all(peer) == b""

    def half(peer: socket.socket) -> None:
        peer.sendall(b"GET / HT")
        assert read_all(peer).startswith(b"HTTP/1.1 408 ")

    async def steps(there: Site) -> None:
        await asyncio.gather(apart(there, silent), apart(there, half))
        assert there.facts == [Cutoff.HEAD_LATE] * 2

    run(steps)


def test_a_peer_that_never_says_goodbye_is_let_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It got its close frame, and keeps its side open."""
    monkeypatch.setattr(websocket, "LEAVE_S", 0.2)
    gone = threading.Event()

    def talk(peer: socket.socket) -> None:
        peer.sendall(UPGRADE + frame(CLOSE))
        assert read_all(peer).endswith(frame(CLOSE, mask=None))
        assert gone.wait(timeout=10)

    async def steps(there: Site) -> None:
        talking = asyncio.create_task(apart(there, talk))
        await until(lambda: there.facts == [Cutoff.UNCLOSED])
        await there.quiet()
        gone.set()
        await talking

    run(steps)
