"""A connection goes through its phases, and out of each of them in bounded time."""

import asyncio

import pytest
from uvicorn.protocols.utils import ClientDisconnected

from gateway.fastlane import fast_lane
from gateway.server.asgi import NO_CLOSE_FRAME
from gateway.server.facts import Cutoff
from gateway.server.lane import HELD_MESSAGES
from gateway.server.websocket import LEAVE_S
from tests.gateway.server.hand import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Link,
    asked,
    end,
    frame,
    request,
    run,
    run_asked,
    settle,
)

# Before it opens --------------------------------------------------------------------------------------------


def test_nothing_is_read_before_the_application_has_answered() -> None:
    """What came early is heard after it, in order."""

    async def steps(link: Link) -> None:
        assert not link.transport.is_reading()
        await link.accept(subprotocol="one")
        assert link.transport.is_reading()
        link.arrive(frame(BINARY, b"2"))
        assert [(await link.receive())["bytes"] for _ in range(2)] == [b"1" * 9_000, b"2"]

    async def main() -> None:
        link = await asked(frame(BINARY, b"1" * 9_000), max_bytes=10_000)
        await steps(link)
        end(link)

    asyncio.run(main())


def test_a_refusal_is_an_http_answer() -> None:
    """The extension `websocket.http.response`: a body in two parts, then the connection ends."""

    async def steps(link: Link) -> None:
        headers = [(b"retry-after", b"3")]
        await link.send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
        assert link.transport.take() == b""
        await link.send({"type": "websocket.http.response.body", "body": b"fu", "more_body": True})
        await link.send({"type": "websocket.http.response.body", "body": b"ll"})
        wire = link.transport.take()
        assert wire.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert wire.endswith(b"\r\n\r\nfull")
        assert link.transport.is_shut()
        assert link.transport.is_reading()
        with pytest.raises(RuntimeError):
            await link.send({"type": "websocket.accept"})
        link.loop.advance(LEAVE_S)
        assert link.transport.was_aborted()

    run_asked(steps)


def test_a_close_before_the_accept_is_forbidden() -> None:
    """ASGI: 403."""

    async def steps(link: Link) -> None:
        await link.send({"type": "websocket.close"})
        assert link.transport.take().startswith(b"HTTP/1.1 403 Forbidden\r\n")
        await link.receive()
        assert (await link.receive())["code"] == NO_CLOSE_FRAME

    run_asked(steps)


def test_a_bad_request_does_not_reach_the_application() -> None:
    """It is refused, and the connection ends."""

    async def main() -> None:
        link = await asked(scope=request(method="POST"))
        assert link.scope == {}
        assert link.transport.take().startswith(b"HTTP/1.1 405 ")
        assert link.transport.is_shut()
        end(link)

    asyncio.run(main())


@pytest.mark.parametrize("failure", [None, ValueError("a defect")])
def test_an_application_that_does_not_answer(
    failure: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    """500, whether it returned or failed."""

    async def steps(link: Link) -> None:
        if failure is None:
            link.leave.set_result(None)
        else:
            link.leave.set_exception(failure)
        await settle()
        assert link.transport.take().startswith(b"HTTP/1.1 500 ")
        assert link.transport.is_shut()

    run_asked(steps)
    assert len(caplog.records) == (failure is not None)


# While it is open -------------------------------------------------------------------------------------------


def test_messages_both_ways() -> None:
    """Through ASGI."""

    async def steps(link: Link) -> None:
        link.arrive(frame(TEXT, "é".encode()) + frame(BINARY, b"\0\1"))
        assert await link.receive() == {"type": "websocket.receive", "text": "é"}
        assert await link.receive() == {"type": "websocket.receive", "bytes": b"\0\1"}
        await link.send({"type": "websocket.send", "text": "é"})
        await link.send({"type": "websocket.send", "bytes": b"\2", "text": None})
        assert link.sent() == [(TEXT, "é".encode()), (BINARY, b"\2")]

    run(steps)


def test_messages_by_the_fast_lane() -> None:
    """The sink is called as the bytes come in; `receive` tells of the end only."""

    async def steps(link: Link) -> None:
        heard: list[bytes | str] = []
        lane = fast_lane(link.scope)
        assert lane is not None
        lane.listen(heard.append, heard.append)
        waiting = asyncio.create_task(link.receive())
        link.arrive(frame(TEXT, b"t") + frame(BINARY, bytes(3_200)))
        assert heard == ["t", bytes(3_200)]
        await settle()
        assert not waiting.done()
        link.lose()
        assert (await waiting)["code"] == NO_CLOSE_FRAME

    run(steps)


def test_messages_go_out_by_the_fast_lane() -> None:
    """At once and in one write; who writes more than the peer reads is told when there is room again."""

    async def steps(link: Link) -> None:
        rooms: list[bool] = []
        lane = fast_lane(link.scope)
        assert lane is not None
        lane.listen(lambda _: None, lambda _: None, lambda: rooms.append(lane.clogged))
        lane.send([b"\1", "é", bytes(70_000)])
        assert link.sent() == [(BINARY, b"\1"), (TEXT, "é".encode()), (BINARY, bytes(70_000))]
        assert not lane.clogged
        link.protocol.pause_writing()
        clogged = lane.clogged
        link.protocol.resume_writing()
        assert (clogged, rooms) == (True, [False])
        await link.send({"type": "websocket.close", "code": 1000})
        assert [opcode for opcode, _ in link.sent()] == [CLOSE]
        lane.send([b"late"])
        assert link.sent() == []
        link.lose()
        lane.send([b"later"])
        assert link.sent() == []
        assert rooms == [False]

    run(steps)


def test_a_reader_that_is_behind_holds_its_peer_back() -> None:
    """Reading stops while a mailbox is full, goes on afterwards, and nothing is lost."""

    async def steps(link: Link) -> None:
        link.arrive(frame(BINARY, b"first"))
        await link.receive()
        link.arrive(b"".join(frame(BINARY, bytes([n])) for n in range(HELD_MESSAGES)))
        assert not link.transport.is_reading()
        link.loop.advance(100)
        assert not link.transport.was_aborted()
        for n in range(HELD_MESSAGES):
            assert (await link.receive())["bytes"] == bytes([n])
        assert link.transport.is_reading()

    run(steps, ws_ping_interval=15.0, ws_ping_timeout=10.0)


def test_pings_are_answered() -> None:
    """Each with its own payload."""

    async def steps(link: Link) -> None:
        link.arrive(frame(PING, b"1") + frame(PING, b"2"))
        assert link.sent() == [(PONG, b"1"), (PONG, b"2")]

    run(steps)


def test_a_peer_that_does_not_read_gets_one_pong_in_the_end() -> None:
    """RFC 6455 section 5.5.3; or it could fill our memory with its own pings."""

    async def steps(link: Link) -> None:
        link.protocol.pause_writing()
        link.arrive(frame(PING, b"1") + frame(PING, b"2"))
        assert link.sent() == []
        link.protocol.resume_writing()
        assert link.sent() == [(PONG, b"2")]
        link.protocol.pause_writing()
        link.protocol.resume_writing()
        assert link.sent() == []

    run(steps)


def test_sending_waits_for_the_peer_to_read() -> None:
    """And ends where the connection does, with an OSError, as ASGI has it."""

    async def steps(link: Link) -> None:
        link.protocol.pause_writing()
        one = asyncio.create_task(link.send({"type": "websocket.send", "text": "x"}))
        await settle()
        assert link.sent() == []
        link.protocol.resume_writing()
        await one
        assert link.sent() == [(TEXT, b"x")]
        link.protocol.pause_writing()
        two = asyncio.create_task(link.send({"type": "websocket.send", "text": "x"}))
        await settle()
        link.lose()
        with pytest.raises(ClientDisconnected):
            await two
        with pytest.raises(ClientDisconnected):
            await link.send({"type": "websocket.send", "text": "x"})

    run(steps)


def test_a_silent_peer_is_aborted() -> None:
    """No close frame: it would not be read, either."""

    async def steps(link: Link) -> None:
        link.loop.advance(15)
        [(opcode, payload)] = link.sent()
        assert opcode == PING
        link.arrive(frame(PONG, payload))
        link.loop.advance(15)
        link.arrive(frame(PONG, b"guess") + frame(BINARY, b"audio"))
        link.loop.advance(10)
        assert link.transport.was_aborted()
        assert [opcode for opcode, _ in link.sent()] == [PING]
        assert link.facts == [Cutoff.SILENT]

    run(steps, ws_ping_interval=15.0, ws_ping_timeout=10.0)


def test_what_is_out_of_turn_is_refused() -> None:
    """RuntimeError, as ASGI has it."""

    async def steps(link: Link) -> None:
        for kind in ("websocket.accept", "websocket.http.response.start", "websocket.receive"):
            with pytest.raises(RuntimeError):
                await link.send({"type": kind})
        await link.send({"type": "websocket.close"})
        for kind in ("websocket.close", "websocket.send"):
            with pytest.raises(RuntimeError):
                await link.send({"type": kind, "text": ""})

    run(steps)
