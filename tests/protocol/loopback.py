"""A WebSocket server on loopback that speaks the server's end of the protocol by a script."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection as Socket
from websockets.asyncio.server import serve
from websockets.typing import Subprotocol

from protocol.backoff import Backoff
from protocol.client import Client, connect
from protocol.connection import Audio, ServerConnection
from protocol.control import ControlMessage
from protocol.events import Error, Event, Flow, Summary, Tone, UnknownEvent, Welcome
from protocol.version import negotiate
from tests.vectors.messages import EVENTS

WELCOME = cast(Welcome, EVENTS["welcome"])
TONE = cast(Tone, EVENTS["tone"])
SUMMARY = cast(Summary, EVENTS["summary"])
FLOW = cast(Flow, EVENTS["flow"])
AGAIN = replace(WELCOME, recovered=True, resume_token="second")
"""The welcome of a connection that resumes."""
FATAL = cast(Error, EVENTS["error, fatal"])


class Peer:
    """The server's end of one socket."""

    def __init__(self, socket: Socket) -> None:
        assert socket.request is not None
        self.socket = socket
        self.request = socket.request
        offered = [one.strip() for one in self.request.headers["Sec-WebSocket-Protocol"].split(",")]
        self.negotiated = negotiate(offered)
        self.connection = ServerConnection(self.negotiated.encoding)

    async def say(self, *events: Event) -> None:
        """Send events."""
        for event in events:
            await self.socket.send(self.connection.send(event))

    async def hear(self) -> Audio | ControlMessage:
        """The next message."""
        return self.connection.receive(await self.socket.recv())

    @property
    def query(self) -> dict[str, str]:
        """The query of the opening handshake."""
        return dict(parse_qsl(urlsplit(self.request.path).query))

    def vanish(self) -> None:
        """Cut the connection without a word."""
        self.socket.transport.abort()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, and wait for the client's close."""
        await self.socket.close(code, reason)


Script = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def gateway(script: Script, **options: Any) -> AsyncIterator[str]:
    """A server whose every socket follows `script`; what the script raises is raised here at the end."""
    failed: list[Exception] = []
    scripts: set[asyncio.Task[None] | None] = set()

    async def handle(socket: Socket) -> None:
        scripts.add(asyncio.current_task())
        try:
            await script(Peer(socket))
        except Exception as broken:
            failed.append(broken)

    def select(_: Socket, offered: Any) -> Subprotocol | None:
        name = negotiate(list(offered)).subprotocol
        return Subprotocol(name) if name else None

    async with serve(handle, "127.0.0.1", 0, select_subprotocol=select, **options) as server:
        host, port = next(iter(server.sockets)).getsockname()[:2]
        try:
            yield f"ws://{host}:{port}"
        except BaseException:
            for one in scripts:
                if one is not None:
                    one.cancel()
            raise
    if failed:
        raise failed[0]


def eager_connect(url: str, **options: Any) -> AbstractAsyncContextManager[Client]:
    """A client that comes back without a pause."""
    return connect(url, backoff=Backoff(draw=lambda: 0.0), **options)


async def over(peer: Peer) -> None:
    """The end of a session."""
    await peer.say(SUMMARY)
    await peer.close()


def one_after_another(*scripts: Script) -> Script:
    """Each socket follows the next script; there may be no more sockets than scripts."""
    left = iter(scripts)

    async def follow(peer: Peer) -> None:
        script = next(left, None)
        assert script is not None, "one connection too many"
        await script(peer)

    return follow


def run(test: Coroutine[Any, Any, None], seconds: float = 10) -> None:
    """The test's coroutine, within a bound."""
    asyncio.run(asyncio.wait_for(test, seconds))


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0)


async def collect(client: Client, seen: list[Event | UnknownEvent]) -> None:
    """Iterate to the end; what came before a failure stays in `seen`."""
    async for event in client:
        seen.append(event)  # noqa: PERF401 - a comprehension would lose them
