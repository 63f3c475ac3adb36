"""Coming back to a session: what was lost on the way, what is left of one that has ended."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import pytest
from websockets.asyncio.client import ClientConnection as Socket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from protocol.codec import decode_event
from protocol.events import Error, Event, Summary, Tone, UnknownEvent, Welcome
from protocol.version import Encoding
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import GatewayProcess

T = TypeVar("T")
Said = Event | UnknownEvent


def run(work: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(30):
            return await work

    return asyncio.run(bounded())


def dial(gateway: GatewayProcess, query: str = "", token: str | None = None) -> connect:
    offered = ["undertone.v1.msgpack"] + ([f"undertone.ticket.{token}"] if token else [])
    return connect(
        gateway.ws_url + query, subprotocols=[Subprotocol(one) for one in offered], compression=None
    )


async def hear(socket: Socket) -> Said:
    return decode_event(await socket.recv(), Encoding.MSGPACK)


async def until(socket: Socket, kind: type[Event]) -> list[Said]:
    """Everything up to the first event of `kind`."""
    heard: list[Said] = []
    while not heard or not isinstance(heard[-1], kind):
        heard.append(await hear(socket))
    return heard


async def rest(socket: Socket) -> tuple[list[Said], int]:
    """Everything until the close, and its code."""
    heard: list[Said] = []
    try:
        while True:
            heard.append(await hear(socket))
    except ConnectionClosed as closed:
        return heard, closed.rcvd.code if closed.rcvd else 1006


def welcome_of(heard: list[Said]) -> Welcome:
    assert isinstance(heard[0], Welcome)
    return heard[0]


def test_half_a_sample_that_was_under_way_is_void(gateway: GatewayProcess) -> None:
    """The client resends from `next_sample`; the odd byte of the lost socket must not shift what follows."""

    async def main() -> None:
        async with dial(gateway) as first:
            session = welcome_of(await until(first, Welcome)).session_id
            await first.send(bytes(3_201))
            await first.send('{"type": "ping", "t": 1}')
            await hear(first)
            first.transport.abort()
        async with dial(gateway, f"?session_id={session}") as second:
            assert welcome_of(await until(second, Welcome)).next_sample == 1_600
            await second.send(bytes(3_200))
            await second.send('{"type": "end"}')
            heard, code = await rest(second)
            summary = next(event for event in heard if isinstance(event, Summary))
            assert (summary.received_samples, summary.next_sample, code) == (3_200, 3_200, 1000)
            assert not [event for event in heard if isinstance(event, Error)]

    run(main())


def test_a_replaced_socket_is_heard_no_more(gateway: GatewayProcess) -> None:
    """What it still sends would count twice: its successor was told where to go on."""

    async def main() -> None:
        async with dial(gateway) as first:
            session = welcome_of(await until(first, Welcome)).session_id
            async with dial(gateway, f"?session_id={session}") as second:
                await until(second, Welcome)
                with suppress(ConnectionClosed):  # the farewell may be here already
                    await first.send(bytes(32_000))
                heard, code = await rest(first)
                assert code == 4005
                assert isinstance(heard[-1], Error)
                await second.send(bytes(1_600))
                await second.send('{"type": "end"}')
                summary = (await until(second, Summary))[-1]
                assert isinstance(summary, Summary)
                assert summary.received_samples == 800

    run(main())


def test_who_was_away_when_it_ended_gets_the_rest(gateway: GatewayProcess) -> None:
    """The connection is lost between `end` and `summary`: the last events wait for whoever had the others."""

    async def main() -> None:
        async with dial(gateway, "?delivery=lossless") as socket:
            hello = welcome_of(await until(socket, Welcome))
            audio = pcm(speech()[: 16_000 * 4])
            for start in range(0, len(audio), 3_200):
                await socket.send(audio[start : start + 3_200])
            first = await until(socket, Tone)
            await socket.send('{"type": "end"}')
            heard, _ = await rest(socket)
        seen = [
            event.seq
            for event in (*first, *heard)
            if not isinstance(event, UnknownEvent) and hasattr(event, "seq")
        ]
        query = f"?session_id={hello.session_id}&epoch={hello.epoch}&after=1"
        async with dial(gateway, query, hello.resume_token) as again:
            replayed, code = await rest(again)
            back = welcome_of(replayed)
            assert back.recovered
            assert (back.replay_from, back.replay_to) == (2, seen[-1])
            assert [event.seq for event in replayed[1:] if hasattr(event, "seq")] == seen[1:]
            assert isinstance(replayed[-1], Summary)
            assert back.next_sample == replayed[-1].next_sample
            assert code == 1000
        async with dial(gateway, query.replace("after=1", f"after={seen[-1]}")) as nothing:
            heard, code = await rest(nothing)
            assert [type(event) for event in heard] == [Welcome]
            assert code == 1000

    run(main())


@pytest.mark.parametrize(
    ("query", "token", "said", "code"),
    [("", None, "session_closed", 4004), ("&after=0", "A" * 32, "unauthorized", 4001)],
)
def test_an_ended_session_is_joined_by_nobody(
    gateway: GatewayProcess, query: str, token: str | None, said: str, code: int
) -> None:
    """Without a place in it there is nothing to come back for; a wrong token opens nothing."""

    async def main() -> None:
        async with dial(gateway) as socket:
            session = welcome_of(await until(socket, Welcome)).session_id
            await socket.send('{"type": "end"}')
            await rest(socket)
        async with dial(gateway, f"?session_id={session}{query}", token) as again:
            heard, closed = await rest(again)
            assert [event.code for event in heard if isinstance(event, Error)] == [said]
            assert closed == code

    run(main())
