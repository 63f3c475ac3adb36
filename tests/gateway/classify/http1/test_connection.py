"""What one connection makes of what comes: the same answer however it is cut, an end to all that is none."""

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.classify.http1.connection import (
    MAX_FIELDS,
    MAX_FRAMING,
    MAX_HEAD,
    MAX_PIECES,
    SMALL,
    Connection,
    Lost,
    NotHttp,
    Response,
    TooLarge,
)
from tests.gateway.classify.http1.kit import LIMIT, admit

OK = b"HTTP/1.1 200 OK\r\n"


class Wire(asyncio.Transport):
    """The other end: what was written, and whether it is still there."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.written: list[bytes] = []
        self.aborted = False
        connection.connection_made(self)

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


def answered(pieces: list[bytes], *, ends: bool = False) -> tuple[Response, Connection]:
    """What a call gets when the answer comes in these pieces."""

    async def scenario() -> tuple[Response, Connection]:
        connection = Connection(lambda _: None)
        Wire(connection)
        call = asyncio.create_task(connection.exchange([[b"request"]], admit))
        await asyncio.sleep(0)
        for piece in pieces:
            connection.data_received(piece)
        if ends:
            connection.connection_lost(None)
        return await call, connection

    return asyncio.run(scenario())


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """In pieces, none of them empty."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """In chunks of these sizes, in turn."""
    found, at, turn = b"", 0, 0
    while at < len(body):
        size = sizes[turn % len(sizes)]
        piece = body[at : at + size]
        found += b"%x\r\n%s\r\n" % (len(piece), piece)
        at, turn = at + size, turn + 1
    return found + b"0\r\n\r\n"


@settings(deadline=None)
@given(
    body=st.binary(max_size=300),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=4),
    interim=st.integers(0, 3),
    form=st.sampled_from(["length", "chunked", "end"]),
    at=st.lists(st.integers(0, 2_000), max_size=12),
)
def test_an_answer_is_the_same_however_it_is_cut(
    body: bytes, sizes: list[int], interim: int, form: str, at: list[int]
) -> None:
    """By length, in chunks, or up to the end of the connection; behind interim answers or not."""
    data = interim * b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK + b"X-Name: some Value\r\n"
    if form == "length":
        data += b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    elif form == "chunked":
        data += b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body, sizes)
    else:
        data += b"\r\n" + body
    response, connection = answered(cut(data, at), ends=form == "end")
    assert (response.status, response.body) == (200, body)
    assert response.headers[b"x-name"] == b"some Value"
    assert b"link" not in response.headers
    assert connection.reusable == (form != "end")


BAD: dict[str, tuple[list[bytes], type[Exception]]] = {
    "another protocol": ([b"SSH-2.0-OpenSSH\r\n"], NotHttp),
    "a request": ([b"GET / HTTP/1.1\r\n\r\n"], NotHttp),
    "another protocol after this one": (
        [b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"],
        NotHttp,
    ),
    "two lengths": ([OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nx"], NotHttp),
    "a length and chunks": (
        [OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
        NotHttp,
    ),
    "a negative length": ([OK + b"content-length: -1\r\n\r\n"], NotHttp),
    "a line without end": ([OK + b"x: " + b"y" * MAX_HEAD], NotHttp),
    "the same, bit by bit": ([OK, b"x: ", *[b"y" * 100] * (MAX_HEAD // 100 + 1)], NotHttp),
    "interim answers without end": ([b"HTTP/1.1 103 Hints\r\n\r\n" * (MAX_HEAD // 10)], NotHttp),
    "too many fields": ([OK + b"a: b\r\n" * (MAX_FIELDS + 1) + b"\r\n"], NotHttp),
    "trailers without end": (
        [OK + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * (MAX_FIELDS + 1) + b"\r\n"],
        NotHttp,
    ),
    "a trailer without end": (
        [
            OK + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n0\r\nt: ",
            *[b"y" * 65_536] * (MAX_FRAMING // 65_536 + 1),
        ],
        NotHttp,
    ),
    "a chunk's extension without end": (
        [
            OK + b"transfer-encoding: chunked\r\n\r\n" + b"1;",
            *[b"y" * 65_536] * (MAX_FRAMING // 65_536 + 1),
        ],
        NotHttp,
    ),
    "one byte at a time": (
        [OK + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * (MAX_PIECES + 1)],
        NotHttp,
    ),
    "a chunk of what size": ([OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n"], NotHttp),
    "a body that is announced too large": ([OK + b"content-length: %d\r\n\r\n" % (LIMIT + 1)], TooLarge),
    "a body that becomes too large": (
        [OK + b"transfer-encoding: chunked\r\n\r\n", b"%x\r\n%s" % (LIMIT + 1, bytes(LIMIT + 1))],
        TooLarge,
    ),
    "one without a length that does": ([OK + b"\r\n", *[bytes(1_000)] * (LIMIT // 1_000 + 1)], TooLarge),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_answer_ends_the_connection(name: str) -> None:
    """At once, without waiting for more of it."""
    pieces, error = BAD[name]

    async def scenario() -> None:
        connection = Connection(lambda _: None)
        wire = Wire(connection)
        call = asyncio.create_task(connection.exchange([[b"request"]], admit))
        await asyncio.sleep(0)
        for piece in pieces:
            connection.data_received(piece)
        with pytest.raises(error):
            await call
        assert wire.aborted
        assert not connection.reusable

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 20",
        OK,
        OK + b"content-length: 9\r\n\r\nhalf",
        OK + b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
    ids=["nothing", "half a line", "half a head", "half a body", "half of its chunks"],
)
def test_an_end_too_early(data: bytes) -> None:
    """Is told from an answer."""
    with pytest.raises(Lost):
        answered([data] if data else [], ends=True)


def test_a_long_answer_comes_in_as_many_pieces_as_the_network_makes_of_it() -> None:
    """Those of a network are larger than the ones that are too small."""
    size = (MAX_PIECES + 1) * SMALL

    async def scenario() -> None:
        connection = Connection(lambda _: None)
        Wire(connection)
        call = asyncio.create_task(connection.exchange([[b"request"]], lambda _, __: size))
        await asyncio.sleep(0)
        connection.data_received(OK + b"content-length: %d\r\n\r\n" % size)
        for _ in range(MAX_PIECES + 1):
            connection.data_received(bytes(SMALL))
        assert len((await call).body) == size
        assert connection.reusable

    asyncio.run(scenario())


def test_what_comes_behind_an_answer_is_nobodys() -> None:
    """Whether it comes with it or later, the connection is not used again."""
    twice = 2 * (OK + b"content-length: 1\r\n\r\nx")
    response, connection = answered([twice])
    assert response.body == b"x"
    assert not connection.reusable

    async def scenario() -> None:
        connection = Connection(lambda _: None)
        wire = Wire(connection)
        connection.data_received(OK)
        assert wire.aborted
        with pytest.raises(Lost):
            await connection.exchange([[b"request"]], admit)

    asyncio.run(scenario())


@pytest.mark.parametrize("head", [b"connection: close\r\n", b""], ids=["close", "HTTP/1.0"])
def test_a_server_that_closes_is_not_asked_again(head: bytes) -> None:
    """On that connection."""
    version = b"1.1" if head else b"1.0"
    _, connection = answered([b"HTTP/" + version + b" 200 OK\r\n" + head + b"content-length: 1\r\n\r\nx"])
    assert not connection.reusable


def test_a_request_waits_for_room_in_the_socket() -> None:
    """Piece by piece; and an answer that comes before all is said is the answer."""

    async def scenario() -> None:
        connection = Connection(lambda _: None)
        wire = Wire(connection)
        call = asyncio.create_task(connection.exchange([[b"a", b"b"], [b"c"], [b"d"]], admit))
        connection.pause_writing()
        await asyncio.sleep(0)
        assert b"".join(wire.written) == b""
        connection.resume_writing()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert b"".join(wire.written) == b"abcd"
        connection.data_received(OK + b"content-length: 0\r\n\r\n")
        await call
        assert connection.reusable
        connection.pause_writing()
        call = asyncio.create_task(connection.exchange([[b"e"]], admit))
        await asyncio.sleep(0)
        connection.data_received(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        assert (await call).status == 413
        assert b"e" not in wire.written
        assert not connection.reusable, "the server still waits for the rest of the request"

    asyncio.run(scenario())


def test_an_end_while_a_request_waits_for_room() -> None:
    """Ends the call."""

    async def scenario() -> None:
        connection = Connection(lambda _: None)
        Wire(connection)
        connection.pause_writing()
        call = asyncio.create_task(connection.exchange([[b"a"]], admit))
        await asyncio.sleep(0)
        connection.connection_lost(ConnectionResetError())
        with pytest.raises(Lost):
            await call

    asyncio.run(scenario())
