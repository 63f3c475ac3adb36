"""A TCP proxy that stands for a balancer where nginx is not installed."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self, TypeAlias

Address: TypeAlias = tuple[str, int]
"""Host and port."""
_PIECE: Final = 65_536
_OPEN_S: Final = 1.0
"""Until a node counts as gone that answers nothing."""


class Balancer:
    """Listens at `port` of loopback (0: a free one), and passes each connection on to the next node.

    A node that does not take it is passed over. Knows no HTTP: one that is gone cuts its connections. Entered
    it serves, left it cuts them all.

    Args:
        addresses: those of the nodes, asked for each connection.
    """

    def __init__(self, addresses: Callable[[], Sequence[Address]], port: int = 0) -> None:
        self._addresses = addresses
        self._port = port
        self._next = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The gateways' address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """The voice endpoint."""
        return f"ws://127.0.0.1:{self.port}/ws/voice"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port, backlog=1024)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            opened = await self._open()
            if opened is not None:
                try:
                    await asyncio.gather(_pass_on(reader, opened[1]), _pass_on(opened[0], writer))
                finally:
                    opened[1].transport.abort()
        finally:
            writer.transport.abort()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in range(len(self._addresses())):
            addresses = self._addresses()
            self._next += 1
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_OPEN_S):
                    return await asyncio.open_connection(*addresses[self._next % len(addresses)])
        return None


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_PIECE):
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
        return
    target.transport.abort()
