"""Requests that come late, in pieces, malformed or too large end in bounded time, each with its answer."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from uvicorn.server import ServerState

from gateway.hangup import hang_up
from gateway.server.facts import Cutoff, ServerConfig
from gateway.server.http import (
    BODY_S,
    HEAD_S,
    LEAVE_BYTES,
    LEAVE_S,
    MAX_BODY_BYTES,
    MAX_BODY_PIECES,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    BodyBounds,
    HttpProtocol,
)
from gateway.server.websocket import WebSocketProtocol
from tests.gateway.server.hand import HandLoop, HandTransport, frame

GET = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n"
POST = b"POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: 10\r\n\r\n"
UPGRADE = (
    b"GET /ws/voice?a=b HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\n"
    b"Connection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
KEEP_ALIVE_S = 5


@dataclass
class Link:
    """One connection under test; its application reads the body and answers with it."""

    protocol: HttpProtocol
    transport: HandTransport
    loop: HandLoop
    facts: list[Cutoff]
    heard: list[dict[str, Any]]

    async def arrive(self, data: bytes) -> None:
        """`data` comes in, and everybody has a turn."""
        self.protocol.data_received(data)
        for _ in range(8):
            await asyncio.sleep(0)

    def status(self) -> int:
        """The status that was answered since last asked; 0 for none. A refusal is a problem document."""
        wire = self.transport.take()
        if not wire:
            return 0
        head, _, body = wire.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        if status >= 400:
            assert b"content-type: application/problem+json" in head.lower()
            problem = json.loads(body)
            assert problem["status"] == status
            assert {"type", "title", "code", "detail"} <= problem.keys()
        return status


def run(steps: Callable[[Link], Awaitable[None]]) -> None:
    """Run `steps` over a new connection."""

    async def main() -> None:
        heard: list[dict[str, Any]] = []
        facts: list[Cutoff] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            body = b""
            while True:
                message = await receive()
                heard.append(message)
                if message["type"] != "http.request":
                    return
                body += message["body"]
                if not message["more_body"]:
                    break
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})

        config = ServerConfig(
            app,
            observer=facts.append,
            http=HttpProtocol,
            ws=WebSocketProtocol,
            lifespan="off",
            log_config=None,
        )
        config.load()
        config.loaded_app = app
        loop, transport = HandLoop(), HandTransport()
        protocol = HttpProtocol(config, ServerState(), {}, loop)  # type: ignore[arg-type]
        protocol.connection_made(transport)
        await steps(Link(protocol, transport, loop, facts, heard))
        protocol.connection_lost(None)
        assert loop.pending == 0

    asyncio.run(main())


def test_a_request_in_time_is_answered_and_the_next_one_too() -> None:
    """In pieces, with a body in pieces; between requests only uvicorn's own time-out counts."""

    async def steps(link: Link) -> None:
        link.loop.advance(HEAD_S - 1)
        await link.arrive(GET)
        await link.arrive(b"\r\n")
        assert link.status() == 200
        link.loop.advance(KEEP_ALIVE_S - 1)
        await link.arrive(POST[:-1])
        link.loop.advance(HEAD_S - 1)
        await link.arrive(POST[-1:] + b"12345")
        link.loop.advance(BODY_S - 1)
        await link.arrive(b"67890")
        assert link.status() == 200
        assert not link.transport.is_closing()
        link.loop.advance(KEEP_ALIVE_S)
        assert link.transport.is_closing()
        assert link.facts == []

    run(steps)


def test_an_application_can_hang_up(caplog: pytest.LogCaptureFixture) -> None:
    """In the midst of its answer: the connection is dropped and counted, and nobody calls it a defect."""

    async def app(scope: dict[str, Any], _: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        hang_up(scope)

    async def steps(link: Link) -> None:
        link.protocol.app = app
        await link.arrive(GET + b"\r\n")
        assert link.transport.is_closing()
        assert link.facts == [Cutoff.DROPPED]

    run(steps)
    assert caplog.records == []
    hang_up({"type": "http"})


def test_a_silent_connection_is_dropped() -> None:
    """There is nothing to answer."""

    async def steps(link: Link) -> None:
        link.loop.advance(HEAD_S)
        assert link.transport.was_aborted()
        assert link.status() == 0
        assert link.facts == [Cutoff.HEAD_LATE]

    run(steps)


@pytest.mark.parametrize("before", [b"", GET + b"\r\n"])
def test_a_head_that_trickles_is_late(before: bytes) -> None:
    """The deadline is for the whole head, however often a byte comes; also for a later request's."""

    async def steps(link: Link) -> None:
        if before:
            await link.arrive(before)
            assert link.status() == 200
        for n in range(6):
            await link.arrive(GET[n : n + 1])
            link.loop.advance(0.9)
        assert link.status() == 408
        assert link.transport.is_shut()
        await link.arrive(b"more")
        link.loop.advance(LEAVE_S)
        assert link.transport.was_aborted()
        assert link.facts == [Cutoff.HEAD_LATE]

    run(steps)


def test_a_body_that_trickles_is_late() -> None:
    """The application, which waits for it, learns that nobody is there any more."""

    async def steps(link: Link) -> None:
        await link.arrive(POST)
        for _ in range(9):
            await link.arrive(b"x")
            link.loop.advance(1.0)
        assert link.status() == 0
        link.loop.advance(BODY_S - 9)
        assert link.status() == 408
        assert link.transport.is_shut()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert link.heard[-1]["type"] == "http.disconnect"
        assert link.status() == 0
        assert link.facts == [Cutoff.BODY_LATE]

    run(steps)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        (b"GET /" + b"a" * MAX_HEAD_BYTES, 431),
        (b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (GET + b"X: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", 431),
        (GET + b"".join(b"X-%d: a\r\n" % n for n in range(MAX_HEADERS)) + b"\r\n", 431),
        (UPGRADE[:-2] + b"".join(b"X-%d: a\r\n" % n for n in range(MAX_HEADERS)) + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ],
)
def test_a_bad_head_is_answered(data: bytes, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """At once or in pieces; the application sees nothing of it, nor does the log."""

    async def at_once(link: Link) -> None:
        await link.arrive(data)
        check(link)

    async def in_pieces(link: Link) -> None:
        for at in range(0, len(data), 1_000):
            await link.arrive(data[at : at + 1_000])
        check(link)

    def check(link: Link) -> None:
        assert link.status() == status
        assert link.transport.is_shut()
        assert link.heard == []
        assert link.facts == [Cutoff.REQUEST]

    with caplog.at_level(logging.INFO):
        run(at_once)
        run(in_pieces)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_a_broken_body_ends_the_request() -> None:
    """A chunk that is none; nothing was answered yet, so it is told."""

    async def steps(link: Link) -> None:
        await link.arrive(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await link.arrive(b"nonsense\r\n")
        assert link.status() == 400
        assert link.heard[-1]["type"] == "http.disconnect"

    run(steps)


def test_a_bearable_head_is_heard() -> None:
    """Just under both bounds."""

    async def steps(link: Link) -> None:
        many = b"".join(b"X-%d: a\r\n" % n for n in range(MAX_HEADERS - 1))
        await link.arrive(GET + many + b"\r\n")
        assert link.status() == 200
        await link.arrive(GET + b"X: " + b"a" * (MAX_HEAD_BYTES - 100) + b"\r\n\r\n")
        assert link.status() == 200

    run(steps)


def test_an_upgrade_hands_over_all_that_came() -> None:
    """With reading paused, which lets uvloop change how it reads, and no deadline left behind."""

    async def steps(link: Link) -> None:
        early = frame(1, b"early")
        link.protocol.data_received(UPGRADE + early)
        protocol = link.transport.protocol
        assert isinstance(protocol, WebSocketProtocol)
        assert not link.transport.is_reading()
        assert protocol._early == early
        link.loop.advance(HEAD_S + BODY_S)
        assert not link.transport.is_closing()
        protocol.connection_lost(None)

    run(steps)


def test_an_upgrade_to_something_else_is_a_plain_request(caplog: pytest.LogCaptureFixture) -> None:
    """RFC 9110 section 7.8: it may be ignored; and it is no news for the log."""

    async def steps(link: Link) -> None:
        await link.arrive(GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert link.status() == 200

    run(steps)
    assert caplog.records == []


CHUNKED = b"POST / HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_body_in_too_many_pieces_is_refused() -> None:
    """One-byte chunks cost more than they bring: those that came with too many others are ignored."""

    async def steps(link: Link) -> None:
        await link.arrive(CHUNKED + b"1\r\nx\r\n" * MAX_BODY_PIECES + b"0\r\n\r\n")
        assert link.status() == 200
        await link.arrive(CHUNKED + b"1\r\nx\r\n" * (MAX_BODY_PIECES + 1) + b"0\r\n\r\n")
        assert link.status() == 413
        assert link.facts == [Cutoff.REQUEST]

    run(steps)


def test_where_bodies_are_large_pieces_must_be_too() -> None:
    """As many small ones as elsewhere, and one more for each so many bytes that have come."""
    bounds = BodyBounds(max_bytes=1_000_000, max_pieces=10, bytes_a_piece=500)
    assert not bounds.exceeded(10, 10)
    assert bounds.exceeded(11, 11)
    assert not bounds.exceeded(500, 11)
    assert bounds.exceeded(999, 12)
    assert not bounds.exceeded(1_000_000, 2_010)
    assert bounds.exceeded(1_000_001, 1)


def test_a_body_too_large_is_refused() -> None:
    """However few pieces it comes in; the next request's counts anew."""

    async def steps(link: Link) -> None:
        half = b"%x\r\n" % (MAX_BODY_BYTES // 2) + b"x" * (MAX_BODY_BYTES // 2) + b"\r\n"
        for _ in range(2):
            await link.arrive(CHUNKED + half * 2 + b"0\r\n\r\n")
            assert link.status() == 200
        await link.arrive(CHUNKED + half * 2 + b"1\r\nx\r\n")
        assert link.status() == 413

    run(steps)


def test_a_refused_peer_is_read_for_so_long_only() -> None:
    """What it still sends is discarded, up to a bound: reading costs, too."""

    async def steps(link: Link) -> None:
        await link.arrive(b"nonsense\r\n\r\n")
        assert link.status() == 400
        await link.arrive(bytes(LEAVE_BYTES - 1))
        assert link.transport.is_reading()
        await link.arrive(bytes(1))
        assert not link.transport.is_reading()

    run(steps)
