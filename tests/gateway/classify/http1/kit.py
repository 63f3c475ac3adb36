"""For the tests of the connections: a server that says just what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.classify.http1.address import Address
from gateway.classify.http1.connection import Response
from gateway.classify.http1.connections import Connections

LIMIT = 100_000
WAIT_S = 20.0

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """What came in."""

    url: str = ""
    reached: int = 0
    requests: list[bytes] = field(default_factory=list)
    """Heads and bodies."""


def admit(_: int, __: Mapping[bytes, bytes]) -> int:
    """Every answer, up to LIMIT."""
    return LIMIT


async def request(reader: asyncio.StreamReader) -> bytes:
    """A whole one."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0"
    )
    return head + await reader.readexactly(int(length.partition(b":")[2]))


def always(answer: bytes, *, hangs_up: bool = False) -> Callable[[Server], Serve]:
    """Answers every request so."""

    def make(server: Server) -> Serve:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                server.requests.append(await request(reader))
                writer.write(answer)
                await writer.drain()
                if hangs_up:
                    return

        return serve

    return make


@asynccontextmanager
async def serving(make: Callable[[Server], Serve]) -> AsyncIterator[tuple[Server, Connections]]:
    """A server, and connections to it."""
    server = Server()
    tasks: set[asyncio.Task[None]] = set()
    serve = make(server)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.reached += 1
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    listening = await asyncio.start_server(one, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    connections = Connections(Address.of(server.url), trust=None, headers=["X-Who: test"])
    try:
        yield server, connections
    finally:
        await connections.aclose()
        listening.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(connections: Connections, body: bytes = b"question", limit_s: float = WAIT_S) -> Response:
    """One call."""
    deadline = asyncio.get_running_loop().time() + limit_s
    return await connections.post("/ask", [body], "Content-Type: text/plain", admit=admit, deadline=deadline)
