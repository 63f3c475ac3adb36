"""The fault proxy: what passes, what doesn't, and who learns of it."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from tests.chaos.proxy import CHUNK_BYTES, HELD_BYTES, Link, Proxy

PATIENCE_S = 5.0
SILENCE_S = 0.15
"""Seconds in which nothing coming counts as nothing coming."""


class End:
    """One peer of a link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def hear(self, size: int) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readexactly(size)

    async def hears_nothing(self) -> bool:
        try:
            async with asyncio.timeout(SILENCE_S):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False

    async def ending(self) -> str:
        """How the connection ends, after whatever else comes."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.reader.read()
        except ConnectionResetError:
            return "reset"
        return "end"


@dataclass
class Line:
    """A client and a server with a proxy between them."""

    proxy: Proxy
    client: End
    server: End
    ends: list[End]
    """All there are, to be let go of."""

    @property
    def link(self) -> Link:
        return self.proxy.links[-1]

    async def another(self) -> End:
        """One more client."""
        end = End(*await asyncio.open_connection("127.0.0.1", self.proxy.port))
        self.ends.append(end)
        return end

    async def leaves(self, links: int) -> None:
        """Wait until so many links are left."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.proxy.links) != links:  # noqa: ASYNC110 - a proxy tells nobody
                await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def line(**options: Any) -> AsyncIterator[Line]:
    ends: list[End] = []
    arrived = asyncio.Event()

    async def arrive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(End(reader, writer))
        arrived.set()

    server = await asyncio.start_server(arrive, "127.0.0.1", 0)
    async with server, Proxy(server.sockets[0].getsockname()[1], **options) as proxy:
        client = End(*await asyncio.open_connection("127.0.0.1", proxy.port))
        async with asyncio.timeout(PATIENCE_S):
            await arrived.wait()
        there = Line(proxy, client, ends[0], [client, *ends])
        ends = there.ends
        try:
            yield there
        finally:
            for end in there.ends:
                end.writer.transport.abort()
                with contextlib.suppress(ConnectionError):
                    await end.writer.wait_closed()


def run(steps: Callable[[Line], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def main() -> None:
        async with line(**options) as there:
            await steps(there)

    asyncio.run(main())


def test_it_passes_on_what_is_said() -> None:
    """Both ways, byte by byte, and the end of each way by itself."""

    async def steps(there: Line) -> None:
        there.client.say(b"hello")
        assert await there.server.hear(5) == b"hello"
        there.server.say(bytes(300_000))
        assert await there.client.hear(300_000) == bytes(300_000)
        there.client.writer.write_eof()
        assert await there.server.ending() == "end"
        there.server.say(b"still here")
        assert await there.client.hear(10) == b"still here"

    run(steps)


@pytest.mark.parametrize(("hit", "ending"), [(Link.cut, "reset"), (Link.close, "end")])
def test_it_ends_a_connection_on_both_sides(hit: Callable[[Link], None], ending: str) -> None:
    """With a reset, or in order; either peer learns it at once."""

    async def steps(there: Line) -> None:
        hit(there.link)
        assert await there.client.ending() == ending
        assert await there.server.ending() == ending
        await there.leaves(links=0)

    run(steps)


def test_a_reset_by_a_peer_is_passed_on() -> None:
    """It must not look like an end in order."""

    async def steps(there: Line) -> None:
        resets = struct.pack("ii", 1, 0)
        there.client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, resets)
        there.client.writer.transport.abort()
        assert await there.server.ending() == "reset"
        await there.leaves(links=0)

    run(steps)


def test_a_stall_holds_bytes_back() -> None:
    """They come once the line is well again; meanwhile both peers are connected."""

    async def steps(there: Line) -> None:
        there.link.stall()
        there.client.say(b"late")
        assert await there.server.hears_nothing()
        there.link.flow()
        assert await there.server.hear(4) == b"late"

    run(steps)


def test_one_way_may_stall_alone() -> None:
    """The other one goes on."""

    async def steps(there: Line) -> None:
        there.link.down.stall()
        there.client.say(b"up")
        assert await there.server.hear(2) == b"up"
        there.server.say(b"down")
        assert await there.client.hears_nothing()

    run(steps)


def test_nobody_learns_of_a_link_that_is_forgotten() -> None:
    """What is sent is lost, and so is the end, even a reset."""

    async def steps(there: Line) -> None:
        there.client.say(b"before")
        await there.server.hear(6)
        there.link.forget()
        there.client.say(b"lost")
        assert await there.server.hears_nothing()
        there.client.writer.transport.abort()
        assert await there.server.hears_nothing()
        there.server.say(b"is anybody there?")
        assert await there.server.hears_nothing()
        assert len(there.proxy.links) == 1

    run(steps)


def test_a_shut_window_stops_the_sender() -> None:
    """Once the buffers on the way are full it can't write any more."""

    async def steps(there: Line) -> None:
        there.link.down.shut_window()
        there.server.writer.transport.set_write_buffer_limits(high=1)
        there.server.say(bytes(16 * 1024 * 1024))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SILENCE_S):
                await there.server.writer.drain()
        assert await there.client.hears_nothing()

    run(steps, receive_buffer=4096)


def test_what_it_holds_is_bounded() -> None:
    """A line that is stalled for long is no memory without end."""

    async def steps(there: Line) -> None:
        there.link.up.stall()
        there.client.say(bytes(8 * 1024 * 1024))
        await there.server.hears_nothing()
        assert there.link.up.held_bytes <= HELD_BYTES + CHUNK_BYTES

    run(steps)


def test_a_delay_is_on_the_way() -> None:
    """Each byte comes later, none is lost, and the order stays."""

    async def steps(there: Line) -> None:
        loop = asyncio.get_running_loop()
        there.link.up.delay_s = 0.1
        began = loop.time()
        there.client.say(b"a")
        await asyncio.sleep(0.02)
        there.client.say(b"b")
        assert await there.server.hear(2) == b"ab"
        assert loop.time() - began >= 0.1

    run(steps)


def test_a_slow_line_carries_so_much_a_second() -> None:
    """A tenth of a megabyte takes at least what it must."""

    async def steps(there: Line) -> None:
        loop = asyncio.get_running_loop()
        there.link.up.bytes_per_s = 1_000_000
        began = loop.time()
        there.client.say(bytes(200_000))
        await there.server.hear(200_000)
        assert loop.time() - began >= (200_000 - CHUNK_BYTES) / 1_000_000

    run(steps)


def test_a_script_runs_beside_each_link() -> None:
    """And ends with it."""
    fates: list[str] = []

    async def script(link: Link) -> None:
        try:
            await asyncio.sleep(0 if link.number else 60)
            link.cut()
        except asyncio.CancelledError:
            fates.append(f"{link.number} over")
            raise

    async def steps(there: Line) -> None:
        second = await there.another()
        assert await second.ending() == "reset"
        await there.leaves(links=1)
        there.client.writer.write_eof()
        there.server.writer.write_eof()
        await there.leaves(links=0)
        assert fates == ["0 over"]

    run(steps, script=script)


def test_without_a_target_a_connection_comes_to_nothing() -> None:
    """As behind a balancer that has no node; a new target serves those who come later."""

    async def main() -> None:
        closed = socket.create_server(("127.0.0.1", 0))
        nowhere = closed.getsockname()[1]
        closed.close()
        async with line() as there:
            well, there.proxy.target = there.proxy.target, nowhere
            nobody = await there.another()
            assert await nobody.ending() in ("end", "reset")
            there.proxy.target = well
            again = await there.another()
            assert await again.hears_nothing()
            assert (there.proxy.opened, len(there.proxy.links)) == (3, 2)

    asyncio.run(main())
