"""What the asyncio client makes of refusals, losses and servers that speak otherwise."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection as Socket
from websockets.http11 import Request, Response

from protocol.client import ConnectFailed, ConnectionLost, connect
from protocol.close import CloseCode
from protocol.events import Drain, Error, Event, UnknownEvent
from tests.protocol.loopback import FATAL, TONE, WELCOME, Peer, collect, gateway, run, until


def test_a_close_while_waiting_for_credit_ends_the_wait() -> None:
    """A sender that waits learns that the connection is gone."""

    async def script(peer: Peer) -> None:
        await peer.say(replace(WELCOME, limit=16_000), FATAL)
        await peer.close(CloseCode.FLOOD)

    async def test() -> None:
        async with gateway(script) as url, connect(url, resume=False) as client:
            with pytest.raises(ConnectionLost) as lost:
                await client.send(bytes(2 * 20_000))
            assert (lost.value.code, lost.value.error_event) == (4009, FATAL)

    run(test())


@pytest.mark.parametrize(
    ("last", "code", "error"),
    [
        (FATAL, CloseCode.FLOOD, FATAL),
        (Drain(retry_after_ms=100), CloseCode.SERVICE_RESTART, None),
        (TONE, CloseCode.READER_TOO_SLOW, None),
    ],
)
def test_iterating_ends_with_what_happened(last: Event, code: CloseCode, error: Error | None) -> None:
    """Every event before the close is seen first; then the loss says code, reason and the fatal error."""

    async def script(peer: Peer) -> None:
        await peer.say(WELCOME, last)
        await peer.close(code, "why")

    async def test() -> None:
        seen: list[Event | UnknownEvent] = []
        async with gateway(script) as url, connect(url, resume=False) as client:
            await until(lambda: client.close_code == code)
            with pytest.raises(ConnectionLost) as lost:
                await collect(client, seen)
            assert (lost.value.code, lost.value.reason, lost.value.error_event) == (code, "why", error)
            for attempt in (client.send(b"\x00\x00"), client.ping(), client.end()):
                with pytest.raises(ConnectionLost):
                    await attempt
        assert seen == [last]

    run(test())


def test_a_lost_socket_is_1006() -> None:
    """A connection cut without a close frame is told apart."""

    async def script(peer: Peer) -> None:
        await peer.say(WELCOME)
        peer.socket.transport.abort()

    async def test() -> None:
        async with gateway(script) as url, connect(url, resume=False) as client:
            with pytest.raises(ConnectionLost) as lost:
                await client.end()
            assert lost.value.code == client.close_code == 1006

    run(test())


@pytest.mark.parametrize("first", [b"\xff", b"text", "text"])
def test_a_server_that_speaks_otherwise_is_no_session(first: bytes | str) -> None:
    """Garbage instead of `welcome` is a failed connect, not a traceback of a codec."""

    async def script(peer: Peer) -> None:
        await peer.socket.send(first)

    async def test() -> None:
        async with gateway(script) as url:
            with pytest.raises(ConnectFailed, match="not an Undertone server"):
                await connect(url).__aenter__()

    run(test())


@pytest.mark.parametrize("changes", [{"protocol": "undertone.v2"}, {"next_sample": -1}, {"next_seq": -1}])
def test_a_welcome_that_is_none_of_ours_is_no_session(changes: dict[str, Any]) -> None:
    """Another protocol, or numbers that there are not."""

    async def script(peer: Peer) -> None:
        await peer.say(replace(WELCOME, **changes))
        await peer.socket.wait_closed()

    async def test() -> None:
        async with gateway(script) as url:
            with pytest.raises(ConnectFailed, match="not an Undertone server") as failed:
                await connect(url).__aenter__()
            assert failed.value.foreign

    run(test())


def test_garbage_later_ends_the_connection() -> None:
    """A server that breaks the protocol is left with 4008; events before it are kept."""
    codes: list[int | None] = []

    async def script(peer: Peer) -> None:
        await peer.say(WELCOME, TONE)
        await peer.socket.send(b"\xc1")
        await peer.socket.wait_closed()
        codes.append(peer.socket.close_code)

    async def test() -> None:
        async with gateway(script) as url, connect(url, resume=False) as client:
            events = aiter(client)
            assert await anext(events) == TONE
            with pytest.raises(ConnectionLost, match="malformed_message"):
                await anext(events)

    run(test())
    assert codes == [4008]


def test_refused_after_accept_is_told_with_error_and_code() -> None:
    """`error` and close instead of `welcome` make a failed connect that knows both."""

    async def script(peer: Peer) -> None:
        await peer.say(FATAL)
        await peer.close(CloseCode.OVERLOADED)

    async def test() -> None:
        async with gateway(script) as url:
            with pytest.raises(ConnectFailed, match="far faster") as failed:
                await connect(url).__aenter__()
            assert (failed.value.code, failed.value.error, failed.value.status) == (4100, FATAL, None)

    run(test())


def test_closed_before_welcome() -> None:
    """A close without a word is a failed connect with its code."""

    async def script(peer: Peer) -> None:
        await peer.close(CloseCode.INTERNAL, "sorry")

    async def test() -> None:
        async with gateway(script) as url:
            with pytest.raises(ConnectFailed, match="sorry") as failed:
                await connect(url).__aenter__()
            assert failed.value.code == 1011

    run(test())


@pytest.mark.parametrize(
    ("body", "reason"),
    [('{"title":"t","detail":"no capacity"}', "no capacity"), ("busy", "HTTP 503"), ("[1]", "HTTP 503")],
)
def test_refused_before_accept_is_told_with_status(body: str, reason: str) -> None:
    """An HTTP refusal carries its status, and the problem document's words where there is one."""

    def refuse(socket: Socket, _: Request) -> Response:
        return socket.respond(HTTPStatus.SERVICE_UNAVAILABLE, body)

    async def script(peer: Peer) -> None:
        raise AssertionError("must not be accepted")

    async def test() -> None:
        async with gateway(script, process_request=refuse) as url:
            with pytest.raises(ConnectFailed) as failed:
                await connect(url).__aenter__()
            assert (failed.value.reason, failed.value.status) == (reason, 503)

    run(test())


@pytest.mark.parametrize(
    "url",
    [
        "ws://[::1",
        "ws://[nonsense]",
        "ws://a..b",
        "ws://" + "a" * 64,
        "ws://127.0.0.1:99999999",
        "ws://127.0.0.1:x",
        "ws://a\u2100b",
        "ws://a\0b",
        "ws://:1",
        "",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    """It leads to no gateway, and never to a traceback of a parser."""

    async def test() -> None:
        with pytest.raises(ConnectFailed) as failed:
            await connect(url).__aenter__()
        assert failed.value.foreign
        assert failed.value.reason

    run(test())


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1", "nonsense", "ftp://127.0.0.1", "ws://127.0.0.1:99999"])
def test_addresses_that_lead_nowhere(url: str) -> None:
    """An unreachable or impossible address is one clear error."""

    async def test() -> None:
        with pytest.raises(ConnectFailed) as failed:
            await connect(url).__aenter__()
        assert failed.value.reason
        assert failed.value.status is None

    run(test())


def test_a_silent_server_times_out() -> None:
    """A server that accepts and says nothing isn't waited for without end."""

    async def script(peer: Peer) -> None:
        await peer.socket.wait_closed()

    async def test() -> None:
        async with gateway(script) as url:
            with pytest.raises(ConnectFailed, match="no answer within"):
                await connect(url, open_timeout=0.05).__aenter__()

    run(test())
