"""One session that three nodes take from each other, on a real server, in any order.

Whatever happens, what readers were shown is what the stream has, at its place, once; and where a node takes
over, the standing that it finds is that after the newest event.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from gateway.clock import SystemClock
from gateway.errors import StoreUnavailable
from gateway.live.log import EventLog
from gateway.sessions.ports import Entry, Tail
from gateway.sessions.shared import Loss, StreamBounds
from gateway.sessions.tail import BoundedTail
from gateway.stores.hybrid.events import HybridEventStore
from gateway.stores.valkey.connection import ValkeyConnection
from gateway.stores.valkey.streams import ValkeyStreamStore
from gateway.stores.valkey.url import parse
from gateway.telemetry.sharing import SharingCounts
from protocol.events import Service
from tests.gateway.stores.hybrid.kit import Scribe
from tests.stores import shared

T = TypeVar("T")
ROOMY = StreamBounds(events=10_000, bytes=2**30, seconds=1e9)
PATIENCE_S = 10.0
_examples = count(1)


class Node:
    """A node: it writes the session, follows it, or neither; somebody reads there."""

    def __init__(self, connection: ValkeyConnection, name: str) -> None:
        self.connection = connection
        self.name = name
        clock = SystemClock()
        streams = ValkeyStreamStore(connection, clock, bounds=ROOMY)
        self.events = HybridEventStore(streams, name, clock, SharingCounts(), bounds=ROOMY)
        self.events.restore = _yes
        self.events.start()
        self.scribe: Scribe | None = None
        self.follows = False
        self.begin_reading()

    def begin_reading(self) -> None:
        """Somebody new reads here."""
        self.log = EventLog("s", None, SystemClock(), BoundedTail(10_000, 2**30, 1e9))
        self.seen: list[str] = []

    async def claim(self, turn: int) -> None:
        """An owner attaches here."""
        held = await self.events.claim("s", turn)
        top = held.tail.top
        assert held.snapshot == (str(top).encode() if top else None), "a standing of another moment"
        if self.scribe is not None:
            self.scribe.log.give_up()
            self.begin_reading()
        if self.log.epoch and not self.follows:
            self.begin_reading()
        scribe = Scribe(self.log)
        if not self.log.adopt(self.events, held.tail):
            raise AssertionError("history was lost")
        self.scribe, self.follows = scribe, False
        scribe.lost = lambda loss, *, unseen: self.lost(loss, unseen)  # type: ignore[method-assign]
        self.events.attend("s", scribe)

    def lost(self, loss: Loss, unseen: bool) -> None:
        """Another node has it. Who has read here what nobody else knows is told, and begins anew."""
        assert loss is Loss.TAKEN
        assert self.scribe is not None
        self.scribe.log.give_up()
        self.scribe = None
        if unseen:
            self.begin_reading()

    async def follow(self) -> None:
        """Somebody reads here what another node says."""
        if self.scribe is not None or self.follows:
            return
        self.begin_reading()
        log = self.log
        await self.events.follow("s", lambda tail: self.receive(log, tail))
        self.follows = True

    def receive(self, log: EventLog, tail: Tail | None) -> None:
        if self.scribe is None and self.log is log:
            assert tail is not None
            assert log.receive(tail)

    def read(self) -> None:
        """Whoever reads here reads on."""
        self.seen += [word(one) for one in self.log.read(len(self.seen), 100_000)]

    async def die(self) -> None:
        """As by SIGKILL: nothing is told to anybody."""
        for task in self.events.tasks:
            task.cancel()
        await asyncio.gather(*self.events.tasks, return_exceptions=True)
        await self.connection.close()


class Takeovers(RuleBasedStateMachine):
    """See above."""

    @initialize()
    def begin(self) -> None:
        """Three nodes, and the first has the session."""
        self.loop = asyncio.new_event_loop()
        self.turn = self.words = self.names = 0
        self.target = parse(f"{shared().url}?prefix=takeover-{next(_examples)}")
        self.nodes = [self.run(self._node()) for _ in range(3)]
        self.claim(0)

    @rule(at=st.integers(0, 2))
    def claim(self, at: int) -> None:
        """An owner attaches there; where the store can't be had just then, it comes again."""
        self.turn += 1
        self.run(self._claim(self.nodes[at]))

    @rule(at=st.integers(0, 2), times=st.integers(1, 3))
    def say(self, at: int, times: int) -> None:
        """What is live there says something, and nobody waits for it."""
        node = self.nodes[at]
        for _ in range(times if node.scribe is not None else 0):
            self.words += 1
            assert node.scribe is not None
            node.scribe.say(detail=f"{node.name}-{self.words}")

    @rule(at=st.integers(0, 2))
    def follow(self, at: int) -> None:
        """Somebody reads there."""
        self.run(self._retried(self.nodes[at].follow))

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.005]))
    def wait(self, seconds: float) -> None:
        """Commits get as far as they get."""
        self.run(asyncio.sleep(seconds))

    @rule()
    def cut(self) -> None:
        """All connections to the server end; answers on their way are lost."""
        shared().cli("CLIENT", "KILL", "TYPE", "normal")

    @rule(at=st.integers(0, 2))
    def die(self, at: int) -> None:
        """A node is gone, and another comes."""
        self.run(self.nodes[at].die())
        self.nodes[at] = self.run(self._node())

    def teardown(self) -> None:
        """In the end there is one history, and nobody was shown another."""
        if not hasattr(self, "nodes"):
            return
        try:
            self.run(self._end())
        finally:
            self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """`work`, and then everybody reads."""
        found = self.loop.run_until_complete(work)
        for node in getattr(self, "nodes", ()):
            node.read()
        return found

    async def _node(self) -> Node:
        self.names += 1
        connection = ValkeyConnection(self.target)
        await connection.start()
        return Node(connection, f"n{self.names}")

    async def _claim(self, node: Node) -> None:
        await self._retried(lambda: node.claim(self.turn))

    async def _retried(self, work: Callable[[], Awaitable[T]]) -> T:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await work()
                except StoreUnavailable:
                    await asyncio.sleep(0.005)

    async def _end(self) -> None:
        # Who is quiet is asked about at the second time, or at the third where an answer was on its way.
        for _ in range(3):
            for node in self.nodes:
                node.events.recheck()
            await asyncio.sleep(0.01)
            async with asyncio.timeout(PATIENCE_S):
                while not all(map(_settled, self.nodes)):  # noqa: ASYNC110 - nobody could set an event
                    await asyncio.sleep(0.005)
        for node in self.nodes:
            node.read()
        writers = [node for node in self.nodes if node.scribe is not None]
        assert len(writers) <= 1, "two nodes take themselves for the writer"
        tail = await self._retried(lambda: self.nodes[0].events.tail("s", 0))
        assert [one.seq for one in tail.entries] == list(range(1, tail.top + 1))
        truth = [word(one) for one in tail.entries]
        assert len(set(truth)) == len(truth)
        for node in self.nodes:
            assert node.seen == truth[: len(node.seen)]
            if node.scribe is not None:
                assert node.seen == truth
            await node.die()


def _settled(node: Node) -> bool:
    """Whether it has nothing to say that the store lacks, and knows that."""
    if node.events.is_away or not node.events._idle.is_set():
        return False
    return node.scribe is None or node.events.stored("s") == node.scribe.log.top


async def _yes(_: str) -> bool:
    return True


def word(one: Entry) -> str:
    event = one.event()
    assert isinstance(event, Service)
    return event.detail


TestTakeovers = Takeovers.TestCase
TestTakeovers.settings = settings(max_examples=25, stateful_step_count=20, deadline=None, derandomize=True)
