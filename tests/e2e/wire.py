"""Bare WebSockets to a gateway, for tests that say exactly what goes over the wire and when."""

import asyncio
import json
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection as Socket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from protocol.close import NO_CLOSE_FRAME
from protocol.codec import decode_event
from protocol.events import DurableEvent, Error, Event, UnknownEvent, Welcome
from protocol.version import Encoding
from tests.e2e.conftest import GatewayProcess

T = TypeVar("T")
E = TypeVar("E", bound=Event)
Said = Event | UnknownEvent


def run(work: Coroutine[Any, Any, T], seconds: float = 30) -> T:
    """The outcome of `work`, within a bound."""

    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await work

    return asyncio.run(bounded())


def dial(
    gateway: GatewayProcess, query: dict[str, object] | None = None, token: str | None = None, **options: Any
) -> connect:
    """A WebSocket to `gateway`, msgpack events; what is None in `query` is left out."""
    given = {name: value for name, value in (query or {}).items() if value is not None}
    offered = ["undertone.v1.msgpack"] + ([f"undertone.ticket.{token}"] if token is not None else [])
    return connect(
        f"{gateway.ws_url}?{urlencode(given)}",
        subprotocols=[Subprotocol(one) for one in offered],
        compression=None,
        proxy=None,
        **options,
    )


async def say(socket: Socket, kind: str, **fields: object) -> None:
    """One control message."""
    await socket.send(json.dumps({"type": kind, **fields}))


async def hear(socket: Socket) -> Said:
    """The next event."""
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
        return heard, closed.rcvd.code if closed.rcvd else NO_CLOSE_FRAME


async def welcomed(socket: Socket) -> Welcome:
    """The first event, which must be `welcome`."""
    first = await hear(socket)
    assert isinstance(first, Welcome), first
    return first


def only(heard: Iterable[Said], kind: type[E]) -> E:
    """The one event of `kind` among those heard."""
    (found,) = (event for event in heard if isinstance(event, kind))
    return found


def seqs(heard: Iterable[Said]) -> list[int]:
    """The numbers of the durable events among those heard."""
    return [event.seq for event in heard if isinstance(event, DurableEvent)]


def errors(heard: Iterable[Said]) -> list[str]:
    """The codes of the errors among those heard."""
    return [event.code for event in heard if isinstance(event, Error)]
