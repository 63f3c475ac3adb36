"""Connections that are kept, dropped and made anew, to real sockets, on both event loops."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
import uvloop

from gateway.classify.http1.address import Address
from gateway.classify.http1.connection import Lost, NotHttp
from gateway.classify.http1.connections import KEPT_S, Connections, Unreachable
from tests.gateway.classify.http1.kit import WAIT_S, Serve, Server, admit, always, ask, request, serving

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Play = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Play:
    """Plays a scenario on that loop."""

    def run(scenario: Callable[[], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(WAIT_S):
                await scenario()

        if request.param == "uvloop":
            uvloop.run(bounded())
        else:
            asyncio.run(bounded())

    return run


def test_one_connection_serves_call_after_call(play: Play) -> None:
    """And says each time what it was told to say."""

    async def scenario() -> None:
        async with serving(always(ANSWER)) as (server, connections):
            for number in range(3):
                assert (await ask(connections, b"question %d" % number)).body == b"ok"
            assert server.reached == 1
            head, _, body = server.requests[2].partition(b"\r\n\r\n")
            assert body == b"question 2"
            first, *fields = head.split(b"\r\n")
            assert first == b"POST /ask HTTP/1.1"
            assert set(fields) == {
                b"Host: " + server.url.removeprefix("http://").encode(),
                b"X-Who: test",
                b"Content-Type: text/plain",
                b"Content-Length: 10",
            }

    play(scenario)


def test_calls_at_the_same_time_have_connections_of_their_own(play: Play) -> None:
    """And those serve the next ones."""

    async def scenario() -> None:
        async with serving(always(ANSWER)) as (server, connections):
            for _ in range(2):
                await asyncio.gather(*(ask(connections) for _ in range(4)))
            assert server.reached == 4

    play(scenario)


def test_a_large_request_arrives_whole(play: Play) -> None:
    """However many parts it has, and however much more it is than a socket takes."""

    async def scenario() -> None:
        parts = [bytes([number]) * 32_000 for number in range(250)]
        views = [memoryview(part) for part in parts]
        async with serving(always(ANSWER)) as (server, connections):
            deadline = asyncio.get_running_loop().time() + WAIT_S
            await connections.post("/ask", views, admit=admit, deadline=deadline)
            assert server.requests[0].partition(b"\r\n\r\n")[2] == b"".join(parts)
            await ask(connections)
            assert server.reached == 1

    play(scenario)


def test_a_connection_that_the_server_closed_is_not_used(play: Play) -> None:
    """The next call makes another."""

    async def scenario() -> None:
        async with serving(always(ANSWER, hangs_up=True)) as (server, connections):
            for _ in range(3):
                await ask(connections)
                await asyncio.sleep(0.02)
            assert server.reached == 3

    play(scenario)


def test_a_connection_that_was_idle_for_too_long_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers close theirs after a while, and a call must not meet with that."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with serving(always(ANSWER)) as (server, connections):
            await asyncio.gather(ask(connections), ask(connections))
            later = loop.time() + KEPT_S + 0.1
            real = loop.time
            monkeypatch.setattr(loop, "time", lambda: later)
            spare = connections._spare()
            monkeypatch.setattr(loop, "time", real)
            assert spare is None
            await ask(connections)
            assert server.reached == 3

    asyncio.run(scenario())


def test_a_deadline_ends_the_call_and_its_connection(play: Play) -> None:
    """So that a late answer is nobody's."""

    async def scenario() -> None:
        gone = asyncio.Event()

        def make(server: Server) -> Serve:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await request(reader)
                assert await reader.read() == b""
                gone.set()

            return serve

        async with serving(make) as (_, connections):
            with pytest.raises(TimeoutError):
                await ask(connections, limit_s=0.05)
            await gone.wait()

    play(scenario)


def test_an_answer_that_is_not_admitted_is_not_read(play: Play) -> None:
    """What the caller raises is what the call raises."""

    class Unwanted(Exception):
        pass

    def refuse(status: int, told: Mapping[bytes, bytes]) -> int:
        assert status == 200
        assert told[b"content-length"] == b"2"
        raise Unwanted

    async def scenario() -> None:
        async with serving(always(ANSWER)) as (server, connections):
            deadline = asyncio.get_running_loop().time() + WAIT_S
            with pytest.raises(Unwanted):
                await connections.get("/", admit=refuse, deadline=deadline)
            await ask(connections)
            assert server.reached == 2

    play(scenario)


def test_nobody_there(play: Play) -> None:
    """At an address, at a name that nobody has, at the path of a socket that isn't there."""

    async def scenario() -> None:
        for url in (
            "http://127.0.0.1:9",
            "http://nobody.invalid:80",
            "http://no..body:80",
            "unix:///nowhere/at/all.sock",
        ):
            connections = Connections(Address.of(url), trust=None, headers=[])
            with pytest.raises(Unreachable):
                await ask(connections)
            await connections.aclose()

    play(scenario)


def test_the_end_ends_calls_under_way(play: Play) -> None:
    """And there are none after it; it may come twice."""

    async def scenario() -> None:
        asked = asyncio.Event()

        def make(server: Server) -> Serve:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await request(reader)
                asked.set()
                await reader.read()

            return serve

        async with serving(make) as (_, connections):
            call = asyncio.create_task(ask(connections))
            await asked.wait()
            await connections.aclose()
            with pytest.raises(Lost):
                await call
            with pytest.raises(Lost):
                await ask(connections)
            await connections.aclose()

    play(scenario)


def test_a_path_is_added_to_the_path_of_the_address() -> None:
    """And IPv6 is written in brackets."""
    connections = Connections(Address.of("http://[::1]:80/prefix"), trust=None, headers=[])
    assert connections._head("GET", "/health") == b"GET /prefix/health HTTP/1.1\r\nHost: [::1]:80\r\n"


def test_not_http(play: Play) -> None:
    """Is known for what it is."""

    async def scenario() -> None:
        async with serving(always(b"+OK POP3 ready\r\n")) as (_, connections):
            with pytest.raises(NotHttp):
                await ask(connections)

    play(scenario)
