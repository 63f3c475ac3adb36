"""However a connection ends, it does so in bounded time, with the right code, and leaves nothing behind."""

import asyncio
import logging

import pytest
from uvicorn.protocols.utils import ClientDisconnected

from gateway.fastlane import fast_lane
from gateway.server.asgi import NO_CLOSE_FRAME
from gateway.server.facts import Cutoff
from gateway.server.lane import HELD_MESSAGES
from gateway.server.websocket import CLOSE_S, FLOOD_S, LEAVE_BYTES, LEAVE_S
from tests.gateway.server.hand import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Link,
    close_of,
    end,
    frame,
    opened,
    read_frames,
    run,
    run_asked,
    settle,
)


def test_the_application_closes() -> None:
    """The peer answers, and the connection is shut; it hears nothing after its close frame."""

    async def steps(link: Link) -> None:
        await link.send({"type": "websocket.close", "code": 4009, "reason": "flood"})
        assert link.sent() == [(CLOSE, (4009).to_bytes(2) + b"flood")]
        assert (await link.receive()) == {"type": "websocket.disconnect", "code": 4009, "reason": "flood"}
        link.leave.set_result(None)
        await settle()
        assert not link.transport.is_shut()
        link.arrive(frame(BINARY, b"late") + frame(PING, b"late"))
        assert link.sent() == [(PONG, b"late")]  # RFC 6455 section 5.5.2: until the peer's close frame
        assert (await link.receive())["type"] == "websocket.disconnect"
        link.arrive(frame(CLOSE, (4009).to_bytes(2)))
        assert link.transport.is_shut()
        assert link.sent() == []
        assert link.facts == []

    run(steps)


def test_a_peer_that_does_not_answer_the_close_is_aborted() -> None:
    """Within five seconds, whatever else it does."""

    async def steps(link: Link) -> None:
        await link.send({"type": "websocket.close", "code": 1000})
        link.loop.advance(CLOSE_S - 0.1)
        link.arrive(frame(BINARY, b"still here"))
        assert not link.transport.was_aborted()
        link.loop.advance(0.1)
        assert link.transport.was_aborted()
        assert link.facts == [Cutoff.UNCLOSED]

    run(steps)


@pytest.mark.parametrize(
    ("payload", "code", "answer"),
    [(b"", 1005, b""), ((3000).to_bytes(2) + b"bye", 3000, (3000).to_bytes(2) + b"bye")],
)
def test_the_peer_closes(payload: bytes, code: int, answer: bytes) -> None:
    """Its code is echoed, the application told, our side shut; the rest is discarded, and not for long."""

    async def steps(link: Link) -> None:
        link.arrive(frame(BINARY, b"last") + frame(CLOSE, payload) + frame(BINARY, b"after"))
        assert link.sent() == [(CLOSE, answer)]
        assert link.transport.is_shut()
        assert (await link.receive())["bytes"] == b"last"
        for _ in range(2):
            told = await link.receive()
            assert (told["type"], told["code"]) == ("websocket.disconnect", code)
        with pytest.raises(ClientDisconnected):
            await link.send({"type": "websocket.send", "text": "x"})
        link.arrive(bytes(LEAVE_BYTES + 100_000))
        assert not link.transport.is_reading()
        link.loop.advance(LEAVE_S)
        assert link.transport.was_aborted()

    run(steps)


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (frame(3), 1002),
        (frame(BINARY, b"x", rsv=4), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(BINARY, bytes(5_000)), 1009),
        (frame(CLOSE, (1006).to_bytes(2)), 1002),
    ],
)
def test_a_violation_is_closed_with_its_code(wire: bytes, code: int) -> None:
    """RFC 6455 section 7.1.7: without waiting for an answer."""

    async def steps(link: Link) -> None:
        link.arrive(frame(BINARY, b"good") + wire + frame(BINARY, b"bad"))
        assert close_of(link) == code
        assert link.transport.is_shut()
        assert (await link.receive())["bytes"] == b"good"
        assert (await link.receive())["code"] == code
        assert link.facts == [Cutoff.VIOLATION]

    run(steps)


def test_a_flooder_is_told_and_cut_off() -> None:
    """It is not read any more; the application says why and closes; half a second later it is gone."""

    async def steps(link: Link) -> None:
        told: list[str] = []
        lane = fast_lane(link.scope)
        assert lane is not None
        lane.listen(lambda _: None, told.append)
        link.arrive(frame(PING) * 1_000)
        assert not link.transport.is_reading()
        assert len(told) == 1
        assert "ping" in told[0]
        link.transport.take()
        await link.send({"type": "websocket.send", "text": "error: flood"})
        await link.send({"type": "websocket.close", "code": 4009})
        assert not link.transport.is_reading()
        assert [opcode for opcode, _ in link.sent()] == [TEXT, CLOSE]
        link.loop.advance(FLOOD_S)
        assert link.transport.was_aborted()
        assert link.facts == [Cutoff.FLOOD]

    run(steps)


def test_a_flood_before_anybody_listens() -> None:
    """Who listens in time hears of it and can say why; the deadline stands."""

    async def steps(link: Link) -> None:
        link.arrive(frame(BINARY, b"x") * (HELD_MESSAGES + 1))
        assert link.sent() == []
        link.loop.advance(FLOOD_S - 0.1)
        told: list[str] = []
        lane = fast_lane(link.scope)
        assert lane is not None
        lane.listen(lambda _: None, told.append)
        assert len(told) == 1
        await link.send({"type": "websocket.close", "code": 4009})
        assert close_of(link) == 4009
        link.loop.advance(0.1)
        assert link.transport.was_aborted()

    run(steps)


def test_a_flood_of_which_the_application_can_t_be_told() -> None:
    """It reads through ASGI: the close code must do."""

    async def steps(link: Link) -> None:
        link.arrive(frame(BINARY, b"x"))
        await link.receive()
        link.arrive(frame(PING) * 101)
        assert close_of(link) == 1008
        link.loop.advance(FLOOD_S)
        assert link.transport.was_aborted()

    run(steps)


def test_a_listener_that_fails_ends_its_own_connection() -> None:
    """1011."""

    async def steps(link: Link) -> None:
        lane = fast_lane(link.scope)
        assert lane is not None

        def sink(_: bytes | str) -> None:
            raise ValueError("a defect")

        lane.listen(sink, lambda _: None)
        link.arrive(frame(BINARY, b"x"))
        assert close_of(link) == 1011
        assert link.facts == []

    run(steps)


def test_an_application_that_just_returns_is_done_with_its_peer() -> None:
    """It gave the peer its time; the connection is aborted at once."""

    async def steps(link: Link) -> None:
        link.leave.set_result(None)
        await settle()
        assert link.transport.was_aborted()
        assert link.facts == [Cutoff.DROPPED]

    run(steps)


def test_an_application_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """1011, and one traceback in the log."""

    async def steps(link: Link) -> None:
        link.leave.set_exception(ValueError("a defect"))
        await settle()
        assert close_of(link) == 1011
        assert len(caplog.records) == 1

    with caplog.at_level(logging.ERROR):
        run(steps)


def test_a_peer_that_left_without_a_word() -> None:
    """1006; an application that only then returns or fails to send is no defect."""

    async def steps(link: Link) -> None:
        link.protocol.eof_received()
        link.loop.advance(LEAVE_S)
        assert link.transport.was_aborted()
        link.lose()
        assert (await link.receive())["code"] == NO_CLOSE_FRAME
        link.leave.set_exception(ClientDisconnected())
        await settle()

    run(steps)


def test_the_lane_aborts() -> None:
    """`FastLane.abort`."""

    async def steps(link: Link) -> None:
        lane = fast_lane(link.scope)
        assert lane is not None
        lane.abort()
        assert link.transport.was_aborted()
        assert link.facts == [Cutoff.DROPPED]

    run(steps)


def test_a_stopping_server_says_so() -> None:
    """503 before the accept, 1012 after it, and nothing twice."""

    async def before(link: Link) -> None:
        link.protocol.shutdown()
        wire = link.transport.take()
        assert wire.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in wire
        with pytest.raises(ClientDisconnected):
            await link.send({"type": "websocket.accept"})

    async def after(link: Link) -> None:
        link.protocol.shutdown()
        link.protocol.shutdown()
        assert read_frames(link.transport.take()) == [(CLOSE, (1012).to_bytes(2))]

    run_asked(before)
    run(after)


def test_a_cancelled_application_leaves_nothing_behind() -> None:
    """uvicorn cancels what is left when its grace is over."""

    async def main() -> None:
        link = await opened()
        [task] = link.state.tasks
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert link.transport.was_aborted()
        end(link)

    asyncio.run(main())
