"""Answers in many small pieces are parsed a few at a time, and mean what they meant."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from gateway.classify.kserve.server import ModelServer
from gateway.classify.slices import LINES, SLICE_BYTES, parse_in_slices

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
MANY = 60_000

Ask = Callable[[aiohttp.ClientSession, str], Any]


async def body_of(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as response:
        return await response.read()


async def answered(*answers: bytes, close: bool = False, ask: Ask = body_of) -> tuple[list[Any], int]:
    """What comes of a question for each of these answers, and how many connections it took."""
    connections, left = 0, list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(left.pop(0))
                await writer.drain()
                if close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with asyncio.timeout(30), server:
        connector = aiohttp.TCPConnector()
        parse_in_slices(connector)
        async with aiohttp.ClientSession(connector=connector) as session:
            return [await ask(session, url) for _ in answers], connections


def parts(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """All that is parsed at once from now on."""
    seen: list[bytes] = []
    parse = ResponseHandler.data_received

    def noted(self: ResponseHandler, data: bytes) -> None:
        seen.append(data)
        parse(self, data)

    monkeypatch.setattr(ResponseHandler, "data_received", noted)
    return seen


def is_short(part: bytes) -> bool:
    return len(part) <= SLICE_BYTES or part.count(b"\n") <= LINES


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (CHUNKED + b"1\r\nx\r\n" * MANY + END, b"x" * MANY),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + PLAIN, b"{}"),
        (CHUNKED + b"1;a=b\r\n\n\r\n" * MANY + END, b"\n" * MANY),
    ],
    ids=["chunks of a byte", "interim answers", "chunks with extensions"],
)
def test_many_pieces_are_parsed_in_slices(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, body: bytes
) -> None:
    """The answer is whole, and its connection is good for the next one."""
    seen = parts(monkeypatch)
    assert asyncio.run(answered(answer, PLAIN, answer)) == ([body, b"{}", body], 1)
    assert all(map(is_short, seen))


def test_a_model_server_is_heard_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """By whatever asks it."""
    seen = parts(monkeypatch)

    async def ask(_: aiohttp.ClientSession, url: str) -> list[int]:
        server = ModelServer(url.rstrip("/"))
        try:
            posted = await server.post("/", [b"{}\r\n\r\n"], {}, limit=MANY)
            return [len(posted.body)]
        finally:
            await server.aclose()

    answer = CHUNKED + b"1\r\nx\r\n" * MANY + END
    assert asyncio.run(answered(answer, ask=ask))[0] == [[MANY]]
    assert all(map(is_short, seen))


def test_what_is_long_and_whole_is_parsed_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs nothing more than before."""
    seen = parts(monkeypatch)
    body = b"x" * 1_000_000
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + body
    assert asyncio.run(answered(answer))[0] == [body]
    assert max(map(len, seen)) > SLICE_BYTES


def test_an_answer_that_ends_with_its_connection_is_whole() -> None:
    """What is held comes before the end."""
    lines = b"\n" * 300_000
    assert asyncio.run(answered(b"HTTP/1.1 200 OK\r\n\r\n" + lines, close=True))[0] == [lines]


def test_interim_answers_without_an_end_are_no_answer() -> None:
    """Nobody counts thousands of them in one turn of the event loop."""

    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        with pytest.raises(aiohttp.ClientError):
            await body_of(session, url)

    asyncio.run(answered(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000 + PLAIN, ask=ask))


@pytest.mark.parametrize(
    "answer", [CHUNKED + b"1\r\nx\r\n" * MANY, CHUNKED + b"1\r\nx\r\n" * MANY + b"rubbish\r\n" * 9_000]
)
def test_an_answer_that_is_cut_off_or_spoilt_fails(answer: bytes) -> None:
    """And nobody waits for the rest of it."""

    async def ask(session: aiohttp.ClientSession, url: str) -> str:
        with pytest.raises(aiohttp.ClientError) as error:
            await body_of(session, url)
        return type(error.value).__name__

    assert asyncio.run(answered(answer, close=True, ask=ask))[0] == ["ClientPayloadError"]


def test_who_leaves_early_leaves_nothing_behind() -> None:
    """The connection is closed, and the next question has another."""

    async def ask(session: aiohttp.ClientSession, url: str) -> bytes:
        async with session.get(url) as response:
            return await response.content.readany()

    found, connections = asyncio.run(
        answered(CHUNKED + b"1\r\nx\r\n" * MANY + END, CHUNKED + b"1\r\nx\r\n" * MANY + END, ask=ask)
    )
    assert all(0 < len(one) < MANY for one in found)
    assert connections == 2


def test_what_follows_an_answer_ends_the_connection() -> None:
    """Nobody asked for it: it must not be taken for the next answer."""
    answer = CHUNKED + b"1\r\nx\r\n" * MANY + END + b"\n" * 50_000
    found, connections = asyncio.run(answered(answer, PLAIN))
    assert found == [b"x" * MANY, b"{}"]
    assert connections == 2
