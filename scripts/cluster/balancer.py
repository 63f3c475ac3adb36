"""A TCP proxy for where nginx is not installed: connections go round the backends that accept them."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

_PIECE: Final = 65_536


class Balancer:
    """Listens at `port` until it is closed. Knows no HTTP: a backend that is gone cuts its connections."""

    def __init__(self, port: int, backends: Sequence[int]) -> None:
        self._port = port
        self._backends = backends
        self._turn = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Accept from now on."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def aclose(self) -> None:
        """Cut all connections."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with contextlib.closing(writer):
            found = await self._backend()
            if found is None:
                return
            there, back = found
            with contextlib.closing(back):
                pipes = [asyncio.create_task(_pour(*one)) for one in ((reader, back), (there, writer))]
                try:
                    await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pipe in pipes:
                        pipe.cancel()
                    await asyncio.gather(*pipes, return_exceptions=True)

    async def _backend(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in self._backends:
            port = self._backends[self._turn % len(self._backends)]
            self._turn += 1
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
