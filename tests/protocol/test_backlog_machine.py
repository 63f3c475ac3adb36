"""The backlog against a model of the server, over a wire that breaks at any byte."""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.live.flow import Credit
from protocol.audio import AudioFormat
from protocol.backlog import Backlog
from protocol.control import Configure, ControlMessage, Delivery, Flush, Ping, Position, SessionConfig
from protocol.events import Configured, Event, Flow, FlowState, Flushed, Pong

AUDIO = AudioFormat(channels=2)
WIDTH = AUDIO.bytes_per_sample
SECONDS = 0.01
CAPACITY = 160
"""Samples"""
HOP = 40
"""Samples; what the model settles at once"""


class Server:
    """What a gateway makes of the messages: which sample it has where, and what it declares missing."""

    def __init__(self, lossless: bool) -> None:
        self.held: dict[int, bytes] = {}
        self.gaps: set[int] = set()
        self.next_sample = 0
        self.received = 0
        self.dangling = b""
        self.replies: deque[Event] = deque()
        self.answers: list[object] = []
        self.credit = Credit(2 * CAPACITY, 2 * CAPACITY) if lossless else None

    def hear(self, message: bytes | ControlMessage) -> None:
        match message:
            case bytes():
                self.feed(message)
            case Position(sample=sample):
                assert sample > self.next_sample, "a position that says nothing"
                self.gaps.update(range(self.next_sample, sample))
                self.next_sample = sample
                self.report()
            case Ping(t=t):
                self.replies.append(Pong(t=t))
            case Flush(id=id):
                self.replies.append(Flushed(id=id))
            case Configure(delivery=delivery):
                if delivery is Delivery.LOSSLESS and self.credit is None:
                    self.credit = Credit(2 * CAPACITY, self.next_sample + 2 * CAPACITY)
                self.replies.append(Configured.of(SessionConfig(delivery=self.delivery)))
            case _:
                pass

    @property
    def delivery(self) -> Delivery:
        return Delivery.REALTIME if self.credit is None else Delivery.LOSSLESS

    def feed(self, data: bytes) -> None:
        data = self.dangling + data
        whole = len(data) // WIDTH
        self.dangling = data[whole * WIDTH :]
        assert self.credit is None or self.next_sample + whole <= self.credit.limit, "overrun"
        for at in range(whole):
            self.held[self.next_sample + at] = data[at * WIDTH : (at + 1) * WIDTH]
        self.next_sample += whole
        self.received += whole
        self.report()

    def report(self) -> None:
        """As sparing with `flow` as a server may be: only where the credit is raised."""
        settled = self.next_sample - self.next_sample % HOP
        if self.credit is not None and self.credit.renew(next_sample=self.next_sample, settled=settled):
            self.replies.append(
                Flow(
                    received=self.received,
                    classified=settled,
                    limit=self.credit.limit,
                    lag_ms=0,
                    dropped_ms=0,
                    state=FlowState.OK,
                )
            )


class Machine(RuleBasedStateMachine):
    """A user speaks, messages and replies arrive or are lost, and the socket comes and goes."""

    @initialize(lossless=st.booleans(), ahead=st.sampled_from([None, 1, 70]))
    def begin(self, lossless: bool, ahead: int | None) -> None:
        self.server = Server(lossless)
        self.backlog = Backlog(AUDIO, 0, seconds=SECONDS)
        self.backlog.delivery = self.server.delivery
        self.backlog.ahead = ahead
        self.lossless_from = 0 if lossless else None
        self.limit = self.server.credit.limit if self.server.credit else None
        self.wire: deque[bytes | ControlMessage] = deque()
        self.connected = True
        self.said: dict[int, bytes] = {}
        self.skipped: set[int] = set()
        self.at = 0
        self.count = 0
        self.partial = b""
        self.asked: list[int] = []
        self.answered: list[object] = []

    # The user ------------------------------------------------------------------------------------------

    @rule(size=st.integers(1, 60 * WIDTH), again=st.integers(1, 4))
    def speak(self, size: int, again: int) -> None:
        for _ in range(again):
            room = self.backlog.room
            if room is None or room > size // WIDTH:  # else the client would wait
                self._speak(size)

    def _speak(self, size: int) -> None:
        data = b""
        while len(data) < size:
            data += self.count.to_bytes(WIDTH, "big")
            self.count += 1
        data = data[:size]
        self.backlog.append(data)
        self._note(data)

    def _note(self, data: bytes) -> None:
        data = self.partial + data
        whole = len(data) // WIDTH * WIDTH
        self.partial = data[whole:]
        for start in range(0, whole, WIDTH):
            if self.at not in self.skipped:  # a gap that was declared can't be filled
                self.said.setdefault(self.at, data[start : start + WIDTH])
            self.at += 1

    @rule(by=st.integers(-100, 300).filter(bool))
    def jump(self, by: int) -> None:
        target = max(0, self.at + by)
        self.backlog.jump(target)
        self.partial = b""
        self.skipped.update(one for one in range(self.at, target) if one not in self.said)
        self.at = target

    @rule(kind=st.sampled_from([Flush, Configure, Ping]))
    def ask(self, kind: type[ControlMessage]) -> None:
        if kind is Flush:
            self.asked.append(len(self.asked))
            self.backlog.say(Flush(self.asked[-1]))
        else:
            self.backlog.say(Configure(elcor=True) if kind is Configure else Ping("user's"))

    @precondition(lambda self: self.lossless_from is None)
    @rule()
    def want_lossless(self) -> None:
        self.lossless_from = self.backlog.next_sample
        self.backlog.say(Configure(delivery=Delivery.LOSSLESS))

    # The wire ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.connected)
    @rule(count=st.integers(1, 8), most=st.sampled_from([None, 0, 30]))
    def send(self, count: int, most: int | None = None) -> None:
        for _ in range(count):
            message = self.backlog.take(self.limit, most)
            if message is None:
                return
            self.wire.append(message)

    @precondition(lambda self: self.connected and self.wire)
    @rule(count=st.integers(1, 8))
    def arrive(self, count: int) -> None:
        for _ in range(min(count, len(self.wire))):
            self.server.hear(self.wire.popleft())

    @precondition(lambda self: self.connected and self.server.replies)
    @rule(count=st.integers(1, 8))
    def reply(self, count: int) -> None:
        for _ in range(min(count, len(self.server.replies))):
            event = self.server.replies.popleft()
            shown = self.backlog.heard(event)
            assert shown or (isinstance(event, Pong) and event.t != "user's")
            if isinstance(event, Flow):
                self.limit = event.limit
            if isinstance(event, Flushed):
                self.answered.append(event.id)

    @precondition(lambda self: self.connected)
    @rule(sent=st.integers(0, 8), arrived=st.integers(0, 8), percent=st.integers(0, 100))
    def cut(self, sent: int, arrived: int, percent: int) -> None:
        """The socket is lost in the middle of a message; replies under way are lost with it."""
        self.send(sent)
        self.arrive(arrived)
        self.connected = False
        if self.wire and isinstance(self.wire[0], bytes):
            self.server.feed(self.wire[0][: percent * len(self.wire[0]) // 100])
        self.wire.clear()
        self.server.replies.clear()

    @precondition(lambda self: not self.connected)
    @rule()
    def resume(self) -> None:
        self.connected = True
        self.server.dangling = b""
        self.backlog.rewind(self.server.next_sample)
        self.backlog.delivery = self.server.delivery
        self.limit = self.server.credit.limit if self.server.credit else None

    # What must hold ------------------------------------------------------------------------------------

    @invariant()
    def each_sample_is_where_it_was_said(self) -> None:
        if hasattr(self, "server"):
            for at, sample in self.server.held.items():
                assert self.said[at] == sample

    @invariant()
    def no_more_is_under_way_than_the_server_takes_at_once(self) -> None:
        if hasattr(self, "backlog") and self.lossless_from is None and self.backlog.ahead is not None:
            held = sum(len(one) // WIDTH for one in self.wire if isinstance(one, bytes))
            assert held <= self.backlog.ahead

    @invariant()
    def memory_is_bounded(self) -> None:
        if hasattr(self, "backlog"):
            assert self.backlog._held_samples <= CAPACITY

    def teardown(self) -> None:
        """Let everything settle: nothing may be left waiting, and every sample has its place."""
        if not hasattr(self, "server"):
            return
        if not self.connected:
            self.resume()
        for _ in range(10_000):
            before = (self.server.next_sample, len(self.answered), self.backlog.room)
            self.send(8)
            if self.wire:
                self.arrive(8)
            if self.server.replies:
                self.reply(8)
            elif not self.wire and before == (self.server.next_sample, len(self.answered), self.backlog.room):
                break
        assert self.backlog.all_sent
        assert set(self.answered) == set(self.asked), "every flush has its answer"
        missing = self.said.keys() - self.server.held.keys()
        assert missing <= self.server.gaps, "what was lost is declared"
        assert self.server.gaps <= missing | self.skipped, "and nothing else"
        assert self.backlog.lost_samples == len(missing), "and counted"
        if self.lossless_from is not None:
            assert all(at < self.lossless_from for at in missing)
            assert self.backlog.room is not None
            assert self.backlog.room >= CAPACITY // 2, "there is always room in the end"


TestBacklog = Machine.TestCase
TestBacklog.settings = settings(max_examples=150, stateful_step_count=60, deadline=None, derandomize=True)
pytestmark = pytest.mark.timeout(60)
