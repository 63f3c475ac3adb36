"""Whatever happens to the store and to nodes: readers see each event once, in order, or are told."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.errors import StoreUnavailable
from gateway.live.log import EventLog
from gateway.sessions.ports import Entry, Tail
from gateway.sessions.shared import Held, Loss
from protocol.events import Service
from tests.gateway.stores.hybrid.kit import ROOMY, Node, Scribe, rest
from tests.streams import FakeStreamStore
from tests.virtual_time import VirtualLoop

NODES = ("a", "b", "c")


class Reader:
    """Reads a log as a socket does, and keeps what it read."""

    def __init__(self, event_log: EventLog) -> None:
        self.log = event_log
        self.after = 0
        self.seen: list[str] = []
        self.told = False
        """Whether it was told that it can't go on."""

    def read(self) -> None:
        if self.told:
            return
        for entry in self.log.read(self.after, 100_000):
            assert entry.seq == self.after + 1, "a hole or a repeat"
            self.after = entry.seq
            self.seen.append(word(entry))


def word(entry: Entry) -> str:
    event = entry.event()
    assert isinstance(event, Service)
    return event.detail


class Place:
    """What one node has of the session: it writes it, follows it, or neither."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.scribe: Scribe | None = None
        self.reader = Reader(node.new_log())
        self.stop: Callable[[], None] = lambda: None

    def lost(self, loss: Loss, unseen: bool) -> None:
        assert self.scribe is not None
        self.scribe.log.give_up()
        self.scribe = None
        self.reader.read()
        if loss is not Loss.TAKEN or unseen:
            self.leave()

    def leave(self) -> None:
        """Its reader is told, and goes."""
        self.stop()
        self.stop = lambda: None
        self.reader.told = True

    def receive(self, reader: Reader, tail: Tail | None) -> None:
        if self.scribe is not None or self.reader is not reader:
            return
        if tail is None or not reader.log.receive(tail):
            reader.told = True
        reader.read()


class SharedSession(RuleBasedStateMachine):
    """One session that three nodes hand around."""

    @initialize()
    def begin(self) -> None:
        """The nodes start, and the first one claims the session."""
        self.loop = VirtualLoop()
        self.streams = FakeStreamStore(self.loop, ROOMY)
        self.places = [Place(Node(self.streams, self.loop, name)) for name in NODES]
        self.turn = 0
        self.words = 0
        self.readers = [place.reader for place in self.places]
        for place in self.places:
            place.node.events.restore = self.restored

        async def start() -> None:
            for place in self.places:
                place.node.events.start()

        self.run(start())
        self.claim(0)

    async def restored(self, _: str) -> bool:
        """The session itself is never lost here."""
        return True

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(work)
        for place in self.places:
            place.reader.read()

    @rule(at=st.integers(0, 2))
    def claim(self, at: int) -> None:
        """An owner attaches there."""
        self.turn += 1
        self.run(self._claim(self.places[at], self.turn))

    async def _claim(self, place: Place, turn: int) -> None:
        try:
            async with asyncio.timeout(1.0):
                held = await place.node.events.claim("s", turn)
        except (StoreUnavailable, TimeoutError):
            return
        place.stop()
        place.stop = lambda: None
        before, scribe = place.scribe, Scribe(place.reader.log)
        if before is not None or place.reader.told:
            # What was live here goes, and who comes back begins anew.
            if before is not None:
                before.log.give_up()
            place.reader.told = True
            place.reader = Reader(place.node.new_log())
            self.readers.append(place.reader)
            scribe.log = place.reader.log
        self._adopt(place, scribe, held)

    def _adopt(self, place: Place, scribe: Scribe, held: Held) -> None:
        if not scribe.log.adopt(place.node.events, held.tail):
            place.reader.told = True
            place.reader = Reader(scribe.log)
            self.readers.append(place.reader)
        place.scribe = scribe
        scribe.lost = lambda loss, *, unseen: place.lost(loss, unseen)  # type: ignore[method-assign]
        place.node.events.attend("s", scribe)

    @rule(at=st.integers(0, 2))
    def follow(self, at: int) -> None:
        """Somebody reads it there."""
        place = self.places[at]
        if place.scribe is not None:
            return
        place.stop()
        place.stop = lambda: None
        if place.reader.told:
            place.reader = Reader(place.node.new_log())
            self.readers.append(place.reader)
        reader = place.reader

        async def begin() -> None:
            try:
                place.stop = await place.node.events.follow("s", lambda tail: place.receive(reader, tail))
            except StoreUnavailable:
                return

        self.run(begin())

    @rule(at=st.integers(0, 2), times=st.integers(1, 3))
    def say(self, at: int, times: int) -> None:
        """What is live there says something."""
        scribe = self.places[at].scribe
        if scribe is None:
            return
        for _ in range(times):
            self.words += 1
            scribe.say(detail=f"{NODES[at]}{self.words}")

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.3, 3.0, 10.0]))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.run(rest(seconds))

    @rule(away=st.booleans())
    def be_away(self, away: bool) -> None:
        """The store goes, or is back."""
        self.streams.away = away

    @rule(times=st.integers(1, 2))
    def answer_nothing(self, times: int) -> None:
        """What is written next is done, and nobody hears of it."""
        self.streams.unanswered += times

    @rule(open=st.booleans())
    def dawdle(self, open: bool) -> None:
        """Answers are late, or come."""
        (self.streams.answer_gate.set if open else self.streams.answer_gate.clear)()

    @rule()
    def lose_everything(self) -> None:
        """The store comes back empty; not amid a takeover. Where it is lost before a node has heard that its
        session is another's, whichever of the two speaks first has it."""
        writer = self.streams.writer("s")
        if all(place.scribe is None or NODES[n] == writer for n, place in enumerate(self.places)):
            self.streams.lose_everything()

    @invariant()
    def nobody_ended(self) -> None:
        """What must run, runs."""
        for place in getattr(self, "places", ()):
            assert not any(task.done() for task in place.node.events.tasks)

    def teardown(self) -> None:
        """In the end whoever was not told has read what the store has, or what its node still holds. Who does
        not follow any more, and was left in another epoch, is told when coming back."""
        if not hasattr(self, "loop"):
            return
        self.streams.away, self.streams.unanswered = False, 0
        self.streams.answer_gate.set()
        self.run(rest(30.0))
        for _ in range(2):
            for place in self.places:
                place.node.events.recheck()
            self.run(rest(10.0))
        writers = [place for place in self.places if place.scribe is not None]
        assert len(writers) <= 1, "two nodes take themselves for the writer"
        if writers:
            truth, epoch = writers[0].reader.seen, writers[0].reader.log.epoch
            for place in self.places:
                here = place.reader
                if not here.told and place.scribe is None and here.log.epoch == epoch:
                    assert here.seen == truth[: len(here.seen)]
        self.run(self._close())
        self.loop.close()

    async def _close(self) -> None:
        for place in self.places:
            place.stop()
            await place.node.events.aclose()


TestSharedSession = SharedSession.TestCase
TestSharedSession.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, derandomize=True
)
