"""The whole gateway without sockets or sleeping: its clock, its classifier and its peers are moved by hand.

It is put together by `gateway.app`, so what is tested is what is served; only time, the scheduler and the
reaper's turn are the test's.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from starlette.applications import Starlette

from gateway import app
from gateway.api.context import Gateway
from gateway.api.routes import build
from gateway.clock import ManualClock
from gateway.fastlane import EXTENSION
from gateway.sessions.reaper import Reaper, ReapReport
from gateway.settings import Settings
from gateway.stores import configured
from gateway.stores.memory import MemoryTicketStore
from protocol.codec import decode_event
from protocol.events import DurableEvent, Error, Event, UnknownEvent, Welcome
from protocol.version import Encoding
from tests.fakes import HandScheduler

Said = Event | UnknownEvent

TURNS = 400
"""Turns of the event loop that nothing takes longer than."""


async def settle() -> None:
    """Let everything happen that can without time passing."""
    for _ in range(60):
        await asyncio.sleep(0)


async def until(ready: Callable[[], bool]) -> None:
    """Let the loop turn until `ready`, within a bound."""
    for _ in range(TURNS):
        if ready():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


class Takes(asyncio.Event):
    """Whether a peer reads; whoever waits for that at its fast lane is told."""

    lane: "Lane | None" = None

    def set(self) -> None:
        super().set()
        if self.lane is not None and self.lane.room is not None:
            self.lane.room()


class Lane:
    """A fast lane whose messages the test hands over; what goes out is its peer's."""

    peer: "Peer"

    def __init__(self) -> None:
        self.sink: Callable[[bytes | str], None] = lambda _: None
        self.flooded: Callable[[str], None] = lambda _: None
        self.room: Callable[[], None] | None = None
        self.deaf = False

    def listen(
        self,
        sink: Callable[[bytes | str], None],
        flooded: Callable[[str], None],
        room: Callable[[], None] | None = None,
    ) -> None:
        self.sink, self.flooded, self.room = sink, flooded, room

    @property
    def clogged(self) -> bool:
        return not self.peer.takes.is_set()

    def send(self, messages: Sequence[bytes | str]) -> None:
        for message in messages:
            assert isinstance(message, bytes)
            self.peer.said.append(decode_event(message, Encoding.MSGPACK))

    def deafen(self) -> None:
        self.deaf = True

    def abort(self) -> None:
        self.deaf = True


@dataclass
class Peer:
    """One WebSocket, from its server's side of ASGI."""

    query: str = ""
    credential: str | None = None
    """Offered as a ticket."""
    bearer: str | None = None
    """Sent as `Authorization`."""
    lane: Lane = field(default_factory=Lane)
    said: list[Said] = field(default_factory=list)
    """What the gateway said, in order."""
    closed: int | None = None
    """The close code, once closed."""
    inbox: "asyncio.Queue[dict[str, Any]]" = field(default_factory=asyncio.Queue)
    takes: Takes = field(default_factory=Takes)
    """Set unless the connection is half-open: what is sent then waits."""

    def __post_init__(self) -> None:
        self.lane.peer, self.takes.lane = self, self.lane
        self.takes.set()

    async def send(self, message: dict[str, Any]) -> None:
        """Take what the application sends."""
        await self.takes.wait()
        if message["type"] == "websocket.send":
            self.said.append(decode_event(message["bytes"], Encoding.MSGPACK))
        elif message["type"] == "websocket.close":
            self.closed = message["code"]

    async def speak(self, *messages: bytes | str) -> None:
        """Messages come in, straight from the parser; then what follows from them."""
        for message in messages:
            self.lane.sink(message)
        await settle()

    async def go(self) -> None:
        """The connection is lost."""
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await settle()

    def scope(self) -> dict[str, Any]:
        """The connection, as ASGI has it."""
        bearer = [(b"authorization", f"Bearer {self.bearer}".encode())] if self.bearer is not None else []
        offered = [f"undertone.ticket.{self.credential}"] if self.credential is not None else []
        return {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "scheme": "ws",
            "server": ("127.0.0.1", 8522),
            "client": ("127.0.0.1", 50_000),
            "root_path": "",
            "path": "/ws/voice",
            "raw_path": b"/ws/voice",
            "query_string": self.query.encode(),
            "headers": bearer,
            "subprotocols": ["undertone.v1.msgpack", *offered],
            "extensions": {EXTENSION: self.lane, "websocket.http.response": {}},
        }

    @property
    def welcome(self) -> Welcome:
        """The first event."""
        assert isinstance(self.said[0], Welcome), self.said
        return self.said[0]

    @property
    def durable(self) -> Sequence[DurableEvent]:
        """The durable events heard."""
        return [event for event in self.said if isinstance(event, DurableEvent)]

    @property
    def errors(self) -> Sequence[str]:
        """The codes of the errors heard."""
        return [event.code for event in self.said if isinstance(event, Error)]


class IdleScheduler(HandScheduler):
    """The one answered by hand, as the rest of a gateway sees it: never late, never stuck."""

    waiting = 0
    stalled = False
    batch_limit = 32
    call_limit = 1

    def late_for(self, now: float) -> float:
        """Seconds that the queue has been late."""
        return 0.0


@dataclass
class Node:
    """A gateway in this process. Its background tasks don't run: `reap` and `scheduler` are yours."""

    app: Starlette
    gateway: Gateway
    clock: ManualClock
    scheduler: HandScheduler
    reaper: Reaper
    tickets: MemoryTicketStore
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def connect(self, peer: Peer) -> Peer:
        """Connect `peer`, and wait for what it is told first."""
        peer.inbox.put_nowait({"type": "websocket.connect"})
        serve: Any = self.app(peer.scope(), peer.inbox.get, peer.send)  # type: ignore[arg-type]
        task: asyncio.Task[None] = asyncio.ensure_future(serve)
        self.tasks.add(task)
        await until(lambda: bool(peer.said) or task.done())
        if task.done():
            task.result()
        await settle()
        return peer

    async def reap(self) -> ReapReport:
        """One pass of the reaper, during which the classifier answers, as ending a session waits for it."""
        passing = asyncio.create_task(self.reaper.pass_once())
        while not passing.done():
            self.scheduler.answer()
            await asyncio.sleep(0)
        await settle()
        return await passing

    async def aclose(self) -> None:
        """End every connection and every session."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.gateway.tasks.aclose()
        await self.gateway.live.aclose()


def node(**settings: Any) -> Node:
    """A gateway with `settings` (by the names of `Settings`), without transcriber unless they say so."""
    clock, scheduler, tickets = ManualClock(), IdleScheduler(), MemoryTicketStore()
    reapers: list[Reaper] = []
    gateways: list[Gateway] = []

    def reaper(*given: Any, **named: Any) -> Reaper:
        reapers.append(Reaper(*given, **named))
        return reapers[-1]

    def built(gateway: Gateway, *given: Any) -> Starlette:
        gateways.append(gateway)
        return build(gateway, *given)

    with (
        patch.multiple(
            app,
            SystemClock=lambda: clock,
            Scheduler=lambda *_, **__: scheduler,
            Reaper=reaper,
            build=built,
        ),
        patch.object(configured, "MemoryTicketStore", lambda: tickets),
    ):
        application = app.create_app(Settings(**{"transcriber": "none", **settings}))
    return Node(application, gateways[0], clock, scheduler, reapers[0], tickets)
