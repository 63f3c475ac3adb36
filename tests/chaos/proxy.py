"""A TCP proxy that does to connections what networks do to them, on command.

    async with Proxy(gateway_port) as proxy:
        ...                      # connect to proxy.port
        proxy.links[0].cut()     # a reset on both sides
        proxy.links[0].stall()   # bytes wait in the network
        proxy.links[0].forget()  # the peer is gone, and nobody learns it

One `Link` is one connection through it, each of its two `Way`s one direction. What happens to a link by
itself is a `Script`; `tests.chaos.storm` has one that is seeded.
"""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from protocol.news import News

HELD_BYTES = 256 * 1024
"""Bytes that one way holds at most; then the sender has to wait, as for any full router."""
CHUNK_BYTES = 64 * 1024

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing sends RST instead of FIN (socket(7))."""


class Way:
    """One direction of a link. What is set here holds for bytes that come from now on."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        """Seconds that each byte is under way."""
        self.bytes_per_s: float | None = None
        """What the line carries."""
        self._reads = self._passes = True
        self._loses = False
        self._held: deque[tuple[float, bytes]] = deque()
        self._news = News()
        self.held_bytes = 0
        """Bytes under way."""

    def stall(self) -> None:
        """Take bytes, deliver none: they come late, all at once."""
        self._set(passes=False)

    def shut_window(self) -> None:
        """Take no bytes: the sender's window closes once the buffers on the way are full."""
        self._set(reads=False)

    def flow(self) -> None:
        """All is well again."""
        self._set()

    def forget(self) -> None:
        """Lose everything from now on, what is under way and the end included."""
        self._loses = True
        self._held.clear()
        self.held_bytes = 0

    def _set(self, *, reads: bool = True, passes: bool = True) -> None:
        self._reads, self._passes = reads, passes
        self._news.tell()

    async def take(self, source: socket.socket) -> None:
        """Read what comes in; returns at its end.

        Raises:
            OSError: it was reset, and that is passed on.
        """
        loop = asyncio.get_running_loop()
        data = b" "
        while data:
            await self._news.until(self._may_take)
            await _readable(source)
            if not self._may_take():
                continue
            try:
                data = source.recv(CHUNK_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                if self._loses:
                    return
                raise
            if not self._loses:
                self._held.append((loop.time() + self.delay_s, data))
                self.held_bytes += len(data)
                self._news.tell()

    def _may_take(self) -> bool:
        return self._reads and self.held_bytes < HELD_BYTES

    async def give(self, target: socket.socket) -> None:
        """Deliver it; returns after its end. One that forgets everything never ends."""
        loop = asyncio.get_running_loop()
        while True:
            await self._news.until(lambda: self._passes and bool(self._held))
            due, data = self._held[0]
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
                continue
            self._held.popleft()
            self.held_bytes -= len(data)
            self._news.tell()
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            await loop.sock_sendall(target, data)
            if self.bytes_per_s is not None:
                await asyncio.sleep(len(data) / self.bytes_per_s)


async def _readable(source: socket.socket) -> None:
    """Wait until there is something to read, without reading it: the window may be shut meanwhile."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(source, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(source)


class Link:
    """One connection through the proxy.

    Args:
        number: from 0, in the order in which they came.
    """

    def __init__(self, number: int, client: socket.socket, server: socket.socket) -> None:
        self.number = number
        self.up = Way()
        """From the client to the gateway."""
        self.down = Way()
        """From the gateway to the client."""
        self._ends = client, server
        self._carrying: asyncio.Task[None] | None = None

    def cut(self) -> None:
        """Reset the connection on both sides."""
        self._reset_at_close()
        self.close()

    def close(self) -> None:
        """End it on both sides, without a word of either peer's."""
        if self._carrying is not None:
            self._carrying.cancel()

    def stall(self) -> None:
        """Hold up both ways."""
        self.up.stall()
        self.down.stall()

    def flow(self) -> None:
        """Both ways are well again."""
        self.up.flow()
        self.down.flow()

    def forget(self) -> None:
        """Lose everything on both ways: neither peer learns that the other is gone (half-open)."""
        self.up.forget()
        self.down.forget()

    async def carry(self, script: "Script | None") -> None:
        """Be the connection until it ends on both sides, or is ended."""
        self._carrying = asyncio.current_task()
        client, server = self._ends
        try:
            async with asyncio.TaskGroup() as group:
                scripted = None if script is None else group.create_task(script(self))
                ways = (
                    group.create_task(self.up.take(client)),
                    group.create_task(self.up.give(server)),
                    group.create_task(self.down.take(server)),
                    group.create_task(self.down.give(client)),
                )
                await asyncio.gather(*ways)
                if scripted is not None:
                    scripted.cancel()
        except* OSError:
            self._reset_at_close()
        finally:
            client.close()
            server.close()

    def _reset_at_close(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


Script = Callable[[Link], Coroutine[Any, Any, None]]
"""What befalls a link by itself."""


class Proxy:
    """Listens on a free port of the loopback interface and passes everything on to `target`.

    Args:
        target: the gateway's port; may be changed, for connections that come later.
        script: what befalls each link.
        receive_buffer: bytes that the kernel takes for a reader who is not reading; None leaves it to the
            kernel, which takes megabytes.
    """

    def __init__(
        self, target: int, *, script: Script | None = None, receive_buffer: int | None = None
    ) -> None:
        self.target = target
        self.links: list[Link] = []
        """Those that are open, the oldest first."""
        self.opened = 0
        """Connections so far."""
        self._script = script
        self._receive_buffer = receive_buffer
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listening.setblocking(False)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listening.getsockname()[1]
        return port

    @property
    def ws_url(self) -> str:
        """The voice endpoint through it."""
        return f"ws://127.0.0.1:{self.port}/ws/voice"

    async def __aenter__(self) -> Self:
        self._start(self._accept())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        self._listening.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self._listening)
            self._start(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        server = socket.socket()
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._receive_buffer is not None:  # before connecting, or the window is agreed already
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        link = Link(self.opened, client, server)
        self.opened += 1
        try:
            await asyncio.get_running_loop().sock_connect(server, ("127.0.0.1", self.target))
        except OSError:
            client.close()
            server.close()
            return
        self.links.append(link)
        try:
            await link.carry(self._script)
        finally:
            self.links.remove(link)
