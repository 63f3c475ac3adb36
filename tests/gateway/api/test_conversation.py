"""One socket's conversation, driven without a server: what is heard, what isn't any more, how it ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.api import conversation
from gateway.api.writer import AT_ONCE
from gateway.app import create_app
from gateway.classify.port import Observation, ToneObservation
from gateway.fastlane import EXTENSION
from gateway.live.drain import RETRY_MS
from gateway.live.pipeline import OWNER_LAG_EVENTS
from gateway.live.reader import MAX_LAG_EVENTS
from gateway.settings import Settings
from protocol.codec import decode_event
from protocol.events import Drain, Error, Event, Flow, Gap, Pong, UnknownEvent, Welcome
from protocol.version import Encoding
from tests.gateway import inprocess

Said = Event | UnknownEvent


class Lane(inprocess.Lane):
    """One whose writes are counted, and heard by a peer that waits for them."""

    def __init__(self, peer: "Peer") -> None:
        super().__init__()
        self.writes = 0
        """Calls of `send`."""
        self._peer = peer

    @property
    def clogged(self) -> bool:
        return not self._peer.reads.is_set()

    def send(self, messages: Sequence[bytes | str]) -> None:
        self.writes += 1
        for message in messages:
            self._peer.hear(message)


class Peer:
    """The server's end of ASGI for one WebSocket, with a fast lane or without."""

    def __init__(self, *, lane: bool = True) -> None:
        self.lane = Lane(self)
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.said: list[Said] = []
        self.sends = 0
        """Events that came through ASGI's `send`."""
        self.closed: int | None = None
        self.reads = asyncio.Event()
        self.reads.set()
        self._extensions: dict[str, Any] = {EXTENSION: self.lane} if lane else {}
        self._told = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        await self.reads.wait()
        if message["type"] == "websocket.send":
            self.sends += 1
            self.hear(message["bytes"])
        elif message["type"] == "websocket.close":
            self.closed = message["code"]
        self._told.set()

    def hear(self, message: bytes | str) -> None:
        assert isinstance(message, bytes)
        self.said.append(decode_event(message, Encoding.MSGPACK))
        self._told.set()

    def read_on(self) -> None:
        """After `reads.clear()`."""
        self.reads.set()
        if self.lane.room is not None:
            self.lane.room()

    async def until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            self._told.clear()
            await self._told.wait()

    def scope(self, query: str = "") -> dict[str, Any]:
        return {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "scheme": "ws",
            "server": ("127.0.0.1", 8522),
            "client": ("127.0.0.1", 50_000),
            "root_path": "",
            "path": "/ws/voice",
            "raw_path": b"/ws/voice",
            "query_string": query.encode(),
            "headers": [],
            "subprotocols": [],
            "extensions": self._extensions,
        }

    @property
    def welcome(self) -> Welcome:
        assert isinstance(self.said[0], Welcome)
        return self.said[0]


@asynccontextmanager
async def gateway() -> AsyncIterator[Callable[..., Awaitable[asyncio.Task[None]]]]:
    """The application, alive; yields what connects a peer and waits for its `welcome`."""
    app = create_app(Settings(transcriber="none"))  # type: ignore[arg-type]
    tasks: list[asyncio.Task[None]] = []

    async def connect(peer: Peer, query: str = "") -> asyncio.Task[None]:
        peer.inbox.put_nowait({"type": "websocket.connect"})
        tasks.append(asyncio.create_task(app(peer.scope(query), peer.inbox.get, peer.send)))  # type: ignore[arg-type]
        await peer.until(lambda: bool(peer.said))
        await asyncio.sleep(0)
        return tasks[-1]

    async with app.router.lifespan_context(app):
        yield connect
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(10):
            await scenario()

    asyncio.run(main())


def test_a_replaced_socket_is_heard_no_more() -> None:
    """Its successor was told where to go on, so what it still sends would count twice.

    It is stuck: a half-open connection has taken no event for a while, and can't take this one either.
    """

    async def scenario() -> None:
        async with gateway() as connect:
            first, second = Peer(), Peer()
            await connect(first)
            first.lane.sink(bytes(3_200))
            first.reads.clear()
            first.lane.sink('{"type": "ping"}')
            await asyncio.sleep(0)
            query = f"session_id={first.welcome.session_id}"
            await connect(second, query)
            assert second.welcome.next_sample == 1_600
            first.lane.sink(bytes(32_000))
            first.lane.sink('{"type": "position", "sample": 99000}')
            third = Peer()
            await connect(third, query)
            assert third.welcome.next_sample == 1_600
            first.read_on()
            await first.until(lambda: first.closed == 4005)

    run(scenario)


@pytest.mark.parametrize("lane", [True, False])
def test_messages_are_heard_in_order_on_either_way(lane: bool) -> None:
    """Audio doesn't overtake the control message before it."""

    async def scenario() -> None:
        async with gateway() as connect:
            peer = Peer(lane=lane)
            await connect(peer)
            for message in ('{"type": "position", "sample": 8000}', bytes(3_200), '{"type": "ping", "t": 7}'):
                if lane:
                    peer.lane.sink(message)
                else:
                    kind = "text" if isinstance(message, str) else "bytes"
                    peer.inbox.put_nowait({"type": "websocket.receive", kind: message})
            await peer.until(lambda: any(isinstance(event, Pong) for event in peer.said))
            gaps = [event for event in peer.said if getattr(event, "type", "") == "gap"]
            assert [(gap.start_sample, gap.end_sample) for gap in gaps] == [(0, 8_000)]  # type: ignore[union-attr]
            again = Peer()
            await connect(again, f"session_id={peer.welcome.session_id}")
            assert again.welcome.next_sample == 9_600

    run(scenario)


def test_a_flood_is_told_and_closed() -> None:
    """The server found it; the peer hears why."""

    async def scenario() -> None:
        async with gateway() as connect:
            peer = Peer()
            task = await connect(peer)
            peer.lane.flooded("too many frames")
            peer.lane.flooded("once more")
            await task
            errors = [event for event in peer.said if isinstance(event, Error)]
            assert [(error.code, error.message, error.fatal) for error in errors] == [
                ("flood", "too many frames", True)
            ]
            assert (peer.closed, peer.lane.deaf) == (4009, True)

    run(scenario)


def test_a_peer_that_takes_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint returns without a close; its server drops such a connection."""
    monkeypatch.setattr(conversation, "FAREWELL_S", 0.05)

    async def scenario() -> None:
        async with gateway() as connect:
            peer = Peer()
            task = await connect(peer)
            peer.reads.clear()
            peer.lane.sink("no JSON")
            peer.lane.flooded("too many frames")
            await task
            assert peer.closed is None

    run(scenario)


def test_a_peer_of_a_server_that_cancels_is_told_to_come_back() -> None:
    """As Hypercorn does with whoever is there at its end: `drain`, then 1012, and not its own 1011."""

    async def scenario() -> None:
        async with gateway() as connect:
            peer = Peer(lane=False)
            task = await connect(peer)
            task.cancel()
            await asyncio.wait((task,))
            assert task.cancelled()
            assert isinstance(peer.said[-1], Drain)
            assert (peer.said[-1].retry_after_ms >= RETRY_MS, peer.closed) == (True, 1012)

    run(scenario)


def test_a_server_that_cancels_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the peer doesn't read; and where it is ours, which has told everybody before."""
    monkeypatch.setattr(conversation, "CANCELLED_S", 0.05)

    async def scenario(lane: bool) -> None:
        async with gateway() as connect:
            peer = Peer(lane=lane)
            task = await connect(peer)
            peer.reads.clear()
            task.cancel()
            await asyncio.wait((task,))
            assert task.cancelled()
            assert (len(peer.said), peer.closed) == (1, None)

    run(lambda: scenario(False))
    run(lambda: scenario(True))


def test_a_slow_reader_is_told_and_comes_back_to_everything() -> None:
    """It reads nothing for 300 events: closed with 4101, it still gets them, and misses none."""

    async def scenario() -> None:
        async with gateway() as connect:
            peer, again = Peer(), Peer()
            await connect(peer)
            peer.reads.clear()
            for sample in range(1, 301):
                peer.lane.sink(f'{{"type": "position", "sample": {sample}}}')
            peer.read_on()
            await peer.until(lambda: peer.closed is not None)
            seen = [event.seq for event in peer.said if isinstance(event, Gap)]
            assert seen == list(range(1, MAX_LAG_EVENTS + 2))
            assert isinstance(peer.said[-1], Error)
            assert (peer.said[-1].code, peer.closed) == ("reader_too_slow", 4101)
            welcome = peer.welcome
            await connect(again, f"session_id={welcome.session_id}&epoch={welcome.epoch}&after={seen[-1]}")
            assert again.welcome.recovered
            assert again.welcome.next_sample == len(seen)

    run(scenario)


def test_a_session_that_becomes_lossless_is_told_its_limit_at_once() -> None:
    """Or its client, which may not send without, waits for a flow report that nothing brings about."""

    async def scenario() -> None:
        async with gateway() as connect:
            peer = Peer()
            await connect(peer)
            peer.lane.sink('{"type": "position", "sample": 1600}')
            peer.lane.sink('{"type": "configure", "delivery": "lossless"}')
            await peer.until(lambda: any(isinstance(event, Flow) and event.limit for event in peer.said))
            flow = next(event for event in peer.said if isinstance(event, Flow) and event.limit)
            assert (flow.received, flow.classified, flow.limit) == (1_600, 1_600, 161_600)

    run(scenario)


def test_credit_that_was_held_comes_when_the_owner_has_read() -> None:
    """Nothing else may ever happen: a recording waits for its limit, and no window is under way."""

    async def scenario() -> None:
        one = inprocess.node()
        peer = await one.connect(inprocess.Peer("delivery=lossless"))
        limit = peer.welcome.limit
        assert limit is not None
        await peer.speak(*[bytes(32_000)] * (limit // 16_000))
        peer.takes.clear()
        tone: list[Observation] = [ToneObservation(label="Calm", confidence=0.9)]
        one.scheduler.answer(tone * (OWNER_LAG_EVENTS + 2))
        while one.scheduler.jobs:
            one.scheduler.answer()
        await inprocess.settle()
        peer.takes.set()
        await inprocess.until(lambda: bool(_limits(peer)) and _limits(peer)[-1] > limit)
        await one.aclose()

    run(scenario)


@pytest.mark.parametrize("lane", [True, False])
def test_events_are_written_together_and_past_asgi_where_there_is_a_lane(lane: bool) -> None:
    """What is said in one turn of the event loop is one write; without a lane it is a `send` for each."""

    async def scenario() -> None:
        async with gateway() as connect:
            peer = Peer(lane=lane)
            await connect(peer)
            for sample in (100, 200, 300):
                message = f'{{"type": "position", "sample": {sample}}}'
                if lane:
                    peer.lane.sink(message)
                else:
                    peer.inbox.put_nowait({"type": "websocket.receive", "text": message})
            await peer.until(lambda: sum(isinstance(event, Gap) for event in peer.said) == 3)
            assert [event.seq for event in peer.said if isinstance(event, Gap)] == [1, 2, 3]
            assert (peer.lane.writes, peer.sends) == ((1, 1) if lane else (0, 4))

    run(scenario)


def test_a_long_replay_is_written_in_pieces_and_leaves_others_their_turn() -> None:
    """As much as a turn of the event loop may take, and then whoever else has something to do."""

    async def scenario() -> None:
        async with gateway() as connect:
            first, again = Peer(), Peer()
            await connect(first)
            for sample in range(1, 2 * AT_ONCE + 2):
                first.lane.sink(f'{{"type": "position", "sample": {sample}}}')
            await first.until(lambda: sum(isinstance(event, Gap) for event in first.said) > 2 * AT_ONCE)
            welcome = first.welcome
            await connect(again, f"session_id={welcome.session_id}&epoch={welcome.epoch}&after=0")
            await again.until(lambda: sum(isinstance(event, Gap) for event in again.said) > 2 * AT_ONCE)
            assert again.lane.writes == 3
            seen = [event.seq for event in again.said if isinstance(event, Gap)]
            assert seen == list(range(1, 2 * AT_ONCE + 2))

    run(scenario)


def test_what_cannot_be_written_ends_the_conversation(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the server drops what the endpoint leaves open."""

    async def scenario() -> None:
        async with gateway() as connect:
            peer = Peer()
            task = await connect(peer)

            def broken(_: Sequence[bytes | str]) -> None:
                raise RuntimeError("broken")

            peer.lane.send = broken  # type: ignore[assignment, method-assign]
            peer.lane.sink('{"type": "ping", "t": 1}')
            await task
            assert peer.closed is None

    run(scenario)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "a conversation failed"
    ]


def _limits(peer: inprocess.Peer) -> list[int]:
    return [event.limit for event in peer.said if isinstance(event, Flow) and event.limit is not None]
