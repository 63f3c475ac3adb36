"""When the client comes back, and when it doesn't: closes, refusals, silence, and leaving."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection as Socket
from websockets.http11 import Request, Response

from protocol.audio import AudioFormat
from protocol.backoff import Backoff
from protocol.client import MAX_UNREAD, SessionGone
from protocol.client import connect as open_client
from protocol.close import CloseCode
from protocol.control import Delivery
from protocol.events import Drain, Event, UnknownEvent, Welcome
from tests.protocol.loopback import (
    AGAIN,
    FATAL,
    SUMMARY,
    TONE,
    WELCOME,
    Peer,
    Script,
    collect,
    gateway,
    one_after_another,
    over,
    run,
    until,
)
from tests.protocol.loopback import eager_connect as connect


@pytest.mark.parametrize(
    "code", [CloseCode.REPLACED, CloseCode.NOT_FOUND, CloseCode.UNAUTHORIZED, CloseCode.FLOOD]
)
def test_a_final_close_ends_everything_with_its_reason(code: CloseCode) -> None:
    """The iterator tells after its last event, and whoever still wants to say something learns it, too."""

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME, TONE, FATAL)
        await peer.close(code, "why")

    async def test() -> None:
        seen: list[Event | UnknownEvent] = []
        async with gateway(one_after_another(one)) as url, connect(url) as client:
            with pytest.raises(SessionGone) as gone:
                await collect(client, seen)
            assert (gone.value.code, gone.value.reason, gone.value.error_event) == (code, "why", FATAL)
            for attempt in (client.send(b"ab"), client.flush(), client.position(9), client.end()):
                with pytest.raises(SessionGone):
                    await attempt
        assert seen == [TONE, FATAL]

    run(test())


def test_a_refusal_on_the_way_back_is_final() -> None:
    """The session expired meanwhile: a sender that waits learns it as well."""

    async def one(peer: Peer) -> None:
        await peer.say(replace(WELCOME, delivery=Delivery.LOSSLESS, limit=10**9))
        peer.vanish()

    async def two(peer: Peer) -> None:
        await peer.say(FATAL)
        await peer.close(CloseCode.NOT_FOUND)

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url) as client:
            with pytest.raises(SessionGone, match="far faster") as gone:
                await client.send(bytes(1_000_000))
            assert (gone.value.code, gone.value.error_event) == (4004, FATAL)

    run(test())


def test_a_full_gateway_is_asked_again() -> None:
    """503 with `Retry-After`, then a socket that is closed at once, then success."""
    refused = 0

    def refuse(socket: Socket, request: Request) -> Response | None:
        nonlocal refused
        if "after=" not in request.path or refused == 2:
            return None
        refused += 1
        response = socket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "full")
        response.headers["Retry-After"] = "0"
        return response

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME, Drain(retry_after_ms=1))
        await peer.close(CloseCode.SERVICE_RESTART)

    async def two(peer: Peer) -> None:
        await peer.say(FATAL)
        await peer.close(CloseCode.OVERLOADED)

    async def three(peer: Peer) -> None:
        await peer.say(AGAIN)
        await over(peer)

    async def test() -> None:
        script = one_after_another(one, two, three)
        async with gateway(script, process_request=refuse) as url, connect(url) as client:
            assert [event.type async for event in client] == ["drain", "welcome", "summary"]
        assert refused == 2

    run(test())


def test_a_drain_may_lead_elsewhere() -> None:
    """Where it names another address, the session goes on there."""

    async def there(peer: Peer) -> None:
        await peer.say(AGAIN)
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(there)) as elsewhere:

            async def here(peer: Peer) -> None:
                await peer.say(WELCOME, Drain(retry_after_ms=0, reconnect_url=elsewhere))
                await peer.close(CloseCode.SERVICE_RESTART)

            async with gateway(one_after_another(here)) as url, connect(url) as client:
                assert [event.type async for event in client] == ["drain", "welcome", "summary"]

    run(test())


@pytest.mark.parametrize("reconnect_url", ["ws://[::1", "nonsense", "ws://a..b", "ws://127.0.0.1:99999999"])
def test_a_drain_that_leads_nowhere_leads_back(reconnect_url: str) -> None:
    """An address that is none is passed over."""

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME, Drain(retry_after_ms=0, reconnect_url=reconnect_url))
        await peer.close(CloseCode.SERVICE_RESTART)

    async def two(peer: Peer) -> None:
        await peer.say(AGAIN)
        await over(peer)

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url) as client:
            assert [event.type async for event in client] == ["drain", "welcome", "summary"]

    run(test())


STRANGERS = [
    replace(AGAIN, session_id="another"),
    replace(AGAIN, audio=AudioFormat(channels=2)),
    replace(AGAIN, protocol="undertone.v2"),
    replace(AGAIN, next_sample=-1),
]
"""Welcomes that no server gives to a session that comes back."""


@pytest.mark.parametrize("welcome", STRANGERS)
def test_a_drain_that_leads_to_a_stranger_leads_back(welcome: Welcome) -> None:
    """A server that welcomes to something else is none of ours."""

    async def there(peer: Peer) -> None:
        await peer.say(welcome)
        await peer.socket.wait_closed()

    async def test() -> None:
        async with gateway(one_after_another(there)) as elsewhere:

            async def one(peer: Peer) -> None:
                await peer.say(WELCOME, Drain(retry_after_ms=0, reconnect_url=elsewhere))
                await peer.close(CloseCode.SERVICE_RESTART)

            async def two(peer: Peer) -> None:
                await peer.say(AGAIN)
                await over(peer)

            async with gateway(one_after_another(one, two)) as url, connect(url) as client:
                assert [event.type async for event in client] == ["drain", "welcome", "summary"]

    run(test())


@pytest.mark.parametrize("welcome", STRANGERS)
def test_a_welcome_to_something_else_ends_it(welcome: Welcome) -> None:
    """The session's own address leads to a server that broke the protocol."""

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME)
        peer.vanish()

    async def two(peer: Peer) -> None:
        await peer.say(welcome)
        await peer.socket.wait_closed()

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url) as client:
            with pytest.raises(SessionGone, match="welcome") as gone:
                await collect(client, [])
            assert gone.value.code == 4008

    run(test())


def test_an_event_of_another_session_ends_it() -> None:
    """Nobody gets to see what was said elsewhere."""

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME, TONE, replace(TONE, seq=2, session_id="another"))
        await peer.socket.wait_closed()

    async def test() -> None:
        seen: list[Event | UnknownEvent] = []
        async with gateway(one_after_another(one)) as url, connect(url) as client:
            with pytest.raises(SessionGone) as gone:
                await collect(client, seen)
            assert (gone.value.code, seen) == (4008, [TONE])

    run(test())


def test_an_attempt_is_bounded_by_what_was_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the connection and says nothing is not waited for any longer."""
    monkeypatch.setattr("protocol.resumption.MIN_ATTEMPT_S", 0.01, raising=False)

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME)
        peer.vanish()

    async def two(peer: Peer) -> None:
        await peer.socket.wait_closed()

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url, give_up_after=0) as client:
            with pytest.raises(SessionGone, match="must have expired"):
                await collect(client, [])

    run(test(), 5)


def test_nobody_there_any_more() -> None:
    """After as long as was allowed, the session is gone, and iterator and senders say what was tried."""

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME, TONE)
        await peer.socket.wait_closed()

    async def test() -> None:
        async with gateway(one_after_another(one)) as url:
            opening = open_client(url, backoff=Backoff(base_s=0.01, cap_s=0.02), give_up_after=0.1)
            client = await opening.__aenter__()
            await client.ping()
        seen: list[Event | UnknownEvent] = []
        with pytest.raises(SessionGone, match="must have expired") as gone:
            await collect(client, seen)
        assert (gone.value.code, seen) == (1006, [TONE])
        with pytest.raises(SessionGone):
            await client.end()
        await opening.__aexit__(None, None, None)

    run(test())


@pytest.mark.parametrize("garbage", [b"\xc1", b"\x81" * 60_000, b"x" * 70_000, "text"])
def test_a_broken_server_is_not_tried_again(garbage: bytes | str) -> None:
    """Bombs and nonsense, in our protocol or in WebSocket's, end it with a reason after one connection."""

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME, TONE)
        await peer.socket.send(garbage)
        await peer.socket.wait_closed()

    async def test() -> None:
        seen: list[Event | UnknownEvent] = []
        async with gateway(one_after_another(one)) as url, connect(url) as client:
            with pytest.raises(SessionGone) as gone:
                await collect(client, seen)
            assert gone.value.code == 4008
            assert gone.value.reason
        assert seen == [TONE]

    run(test())


def test_cutting_it_on_purpose() -> None:
    """`drop` is a loss like any other, again and again."""
    cuts = 20

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME, TONE)
        await peer.socket.wait_closed()

    async def more(peer: Peer) -> None:
        await peer.say(AGAIN)
        await peer.socket.wait_closed()

    async def last(peer: Peer) -> None:
        await peer.say(AGAIN)
        await over(peer)

    async def test() -> None:
        script = one_after_another(one, *[more] * (cuts - 1), last)
        async with gateway(script) as url, connect(url) as client:
            async for event in client:
                if event.type != "summary" and client.resumes < cuts:
                    client.drop()
            assert client.resumes == cuts

    run(test())


def test_a_silent_server_is_left_within_two_heartbeats() -> None:
    """Half open: nothing comes, not even a pong, so the client looks for a live one."""

    async def one(peer: Peer) -> None:
        await peer.say(replace(WELCOME, heartbeat_s=0.1))
        peer.socket.transport.pause_reading()
        await asyncio.sleep(1)
        peer.vanish()

    async def two(peer: Peer) -> None:
        await peer.say(AGAIN)
        await over(peer)

    async def test() -> None:
        script = one_after_another(one, two)
        async with gateway(script, ping_interval=None) as url, connect(url) as client:
            started = asyncio.get_running_loop().time()
            assert [event.type async for event in client] == ["welcome", "summary"]
            assert asyncio.get_running_loop().time() - started < 0.9

    run(test())


def test_a_server_that_has_nothing_to_say_is_alive() -> None:
    """It answers the client's pings, and that will do."""

    async def one(peer: Peer) -> None:
        await peer.say(replace(WELCOME, heartbeat_s=0.1))
        await asyncio.sleep(0.5)
        await over(peer)

    async def test() -> None:
        script = one_after_another(one)
        async with gateway(script, ping_interval=None) as url, connect(url) as client:
            assert [event.type async for event in client] == ["summary"]

    run(test())


def test_nobody_comes_back_to_read_what_nobody_takes() -> None:
    """A slow reader that was turned away waits until its iterator has room again."""

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME, *(replace(TONE, seq=seq) for seq in range(1, MAX_UNREAD + 1)))
        await peer.close(CloseCode.READER_TOO_SLOW)

    async def two(peer: Peer) -> None:
        await peer.say(AGAIN)
        await peer.say(replace(SUMMARY, seq=MAX_UNREAD + 1))
        await peer.close()

    async def test() -> None:
        async with gateway(one_after_another(one, two)) as url, connect(url) as client:
            await until(lambda: client.connection.last_seq == MAX_UNREAD)
            for _ in range(3):
                await client.send(b"ab")  # the first finds out that the socket is closed
            for _ in range(100):
                await asyncio.sleep(0)
            assert client.resumes == 0
            assert [event.type async for event in client][-2:] == ["welcome", "summary"]

    run(test())


@asynccontextmanager
async def no_task_left() -> AsyncIterator[None]:
    """Whatever happened inside, only who was there before is there afterwards."""
    before = asyncio.all_tasks()
    yield
    left = {one for one in asyncio.all_tasks() - before if one.get_name().startswith("undertone")}
    assert not left


@pytest.mark.parametrize("moment", ["connected", "pausing", "dialling"])
def test_leaving_ends_every_task_at_any_moment(moment: str) -> None:
    """In the middle of a connection, a pause, or an attempt: nothing is left, and it doesn't take long."""
    dialled = asyncio.Event()

    async def one(peer: Peer) -> None:
        await peer.say(WELCOME)
        if moment != "connected":
            peer.vanish()
        await peer.socket.wait_closed()

    async def two(peer: Peer) -> None:
        dialled.set()
        await peer.socket.wait_closed()

    async def test() -> None:
        pause = 60.0 if moment == "pausing" else 0.0
        scripts: list[Script] = [one, two]
        async with gateway(one_after_another(*scripts)) as url, no_task_left():
            backoff = Backoff(base_s=pause, cap_s=pause, draw=lambda: 1.0)
            async with open_client(url, backoff=backoff) as client:
                if moment != "connected":
                    await until(lambda: client.away)
                if moment == "dialling":
                    await dialled.wait()
            assert client.close_code == 1000

    run(test(), 5)
