"""Any order of coming, going, speaking and failing around one session: each resume keeps every promise.

The model is three lines of arithmetic (the next sample, the events held, the tokens that are good); the
gateway under it is the whole application without its sockets.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import urlencode

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.classify.port import QueueObservation
from gateway.live.session import LiveSession
from gateway.sessions.ports import TicketGrant
from gateway.sessions.tickets import Role, digest, new_secret
from protocol.events import Summary
from tests.gateway.inprocess import Node, Peer, node, settle

T = TypeVar("T")

HELD = 16
"""Events that the log keeps."""
HELD_S = 120.0
"""Seconds that it keeps them."""
DETACHED_S = 80.0
"""Seconds without any socket that the session is left, less than it lives."""
QUIET = QueueObservation(label="silence", confidence=0.9)
PLACES = ["absent", "zero", "before the oldest", "evicted", "evicted", "top-1", "top", "top+1", "far", "own"]
EPOCHS = ["right", "right", "right", "absent", "wrong"]
GOOD = ["none", "latest", "previous", "previous", "ticket"]
BAD = ["dead", "foreign", "invented", "observer's", "expired"]


class Comings(RuleBasedStateMachine):
    """One session, and everybody who comes to it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.node: Node = node(event_log_events=HELD, session_idle_ttl_s=86_400.0)
        self.owner: Peer | None = None
        self.replaced: list[Peer] = []
        self.observers: list[Peer] = []
        self.starts: dict[int, int] = {}
        """Where each peer's durable events must begin, by its identity."""
        self.next_sample = self.dangling = self.trim = 0
        """Where the audio must stand: samples, and bytes of an unfinished one or still to be trimmed."""
        self.said_at: list[float] = []
        """When each event was said."""
        self.alone_since: float | None = None
        self.latest = self.previous = ""
        self.dead: list[str] = []

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work`, and note what was said."""
        done = self.runner.run(work)
        if hasattr(self, "live"):
            self.said_at += [self.now] * (self.live.log.top - len(self.said_at))
        return done

    @property
    def now(self) -> float:
        return self.node.clock.monotonic()

    @property
    def top(self) -> int:
        return len(self.said_at)

    @property
    def oldest(self) -> int:
        """The oldest event that must still be held; `top + 1` where none is."""
        fresh = sum(at >= self.now - HELD_S for at in self.said_at)
        return self.top + 1 - min(fresh, HELD)

    @initialize()
    def begin(self) -> None:
        """Somebody opens a session; another one has a session of their own."""
        self.owner = self.do(self.node.connect(Peer("hop_ms=100&window_ms=200")))
        other = self.do(self.node.connect(Peer()))
        self.id, self.epoch = self.owner.welcome.session_id, self.owner.welcome.epoch
        self.foreign = other.welcome.resume_token
        self.latest = self.owner.welcome.resume_token or ""
        self.starts[id(self.owner)] = 1
        found = self.node.gateway.live.get(self.id)
        assert found is not None
        self.live: LiveSession = found

    # Coming ----------------------------------------------------------------------------------------------

    @rule(
        place=st.sampled_from(PLACES),
        epoch=st.sampled_from(EPOCHS),
        token=st.sampled_from([*GOOD, *GOOD, *BAD]),
        role=st.sampled_from([Role.OWNER, Role.OWNER, Role.OBSERVER]),
        half_open=st.booleans(),
    )
    def attach(self, place: str, epoch: str, token: str, role: Role, half_open: bool) -> None:
        """Somebody comes, from any place, with any credential; the one before may be half-open by then."""
        if half_open:
            self.stop_taking()
        after = self.after(place)
        query: dict[str, object] = {"session_id": self.id, "role": role.value}
        query |= {} if after is None else {"after": after}
        query |= {} if epoch == "absent" else {"epoch": self.epoch if epoch == "right" else "another"}
        credential, good = self.credential(token, role)
        first = self.oldest - 1
        recovered = after is not None and epoch != "wrong" and first <= after <= self.top
        peer = self.do(self.node.connect(Peer(urlencode(query), credential)))
        if self.owner is not None and (not good or role is Role.OBSERVER):
            self.owner.takes.set()
            self.do(settle())
        if not good:
            assert (peer.errors, peer.closed, len(peer.said)) == (["unauthorized"], 4001, 1)
            return
        start = (after if recovered and after is not None else first) + 1
        self.check_welcome(peer, start, recovered)
        self.starts[id(peer)] = start
        if role is Role.OBSERVER:
            assert peer.welcome.resume_token is None
            self.observers.append(peer)
        else:
            self.seat(peer, credential)

    def stop_taking(self) -> None:
        """The owner's connection is half-open: it has spoken, and the reply is stuck already."""
        if self.owner is not None:
            self.owner.takes.clear()
            self.speak('{"type": "ping"}')

    def check_welcome(self, peer: Peer, start: int, recovered: bool) -> None:
        """It says how it went, truthfully."""
        welcome = peer.welcome
        replays = start <= self.top
        assert welcome.recovered is recovered
        assert (welcome.replay_from, welcome.replay_to) == ((start, self.top) if replays else (None, None))
        assert (welcome.next_seq, welcome.next_sample) == (self.top + 1, self.next_sample)
        assert (welcome.session_id, welcome.epoch) == (self.id, self.epoch)

    def seat(self, peer: Peer, credential: str | None) -> None:
        """The newest owner has the seat; the one before is told. Only the tokens that must be are good."""
        if self.owner is not None:
            assert self.owner.lane.deaf
            self.check_replaced(self.owner)
            self.replaced.append(self.owner)
        self.owner = peer
        self.dangling = self.trim = 0
        token = peer.welcome.resume_token
        assert token is not None
        if credential == self.latest or not self.previous:
            self.dead.append(self.previous)
            self.previous = self.latest
        else:
            self.dead.append(self.latest)
        self.latest = token

    def check_replaced(self, peer: Peer) -> None:
        """It was told, as far as it takes anything."""
        if peer.takes.is_set():
            assert (peer.errors[-1], peer.closed) == ("replaced", 4005)

    def after(self, place: str) -> int | None:
        places = {
            "zero": 0,
            "before the oldest": self.oldest - 1,
            "evicted": max(0, self.oldest - 2),
            "top-1": max(0, self.top - 1),
            "top": self.top,
            "top+1": self.top + 1,
            "far": 2**52,
            "own": self.owner.durable[-1].seq if self.owner and self.owner.durable else 0,
        }
        return places.get(place)

    def credential(self, name: str, role: Role) -> tuple[str | None, bool]:
        """A credential, and whether it must let in."""
        match name:
            case "none":
                return None, True
            case "latest":
                return self.latest, True
            case "previous" if self.previous:
                return self.previous, True
            case "dead" if any(self.dead):
                return next(filter(None, reversed(self.dead))), False
            case "foreign":
                return self.foreign, False
            case "observer's":
                return self.ticket(Role.OBSERVER, 30.0), role is Role.OBSERVER
            case "expired":
                return self.ticket(Role.OWNER, 0.0), False
            case "ticket":
                return self.ticket(Role.OWNER, 30.0), True
        return "A" * 32, False

    def ticket(self, role: Role, seconds: float) -> str:
        secret = new_secret()
        self.do(self.node.tickets.issue(digest(secret), TicketGrant(self.id, role, self.now + seconds)))
        return secret

    # Going -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.owner is not None)
    @rule()
    def lose(self) -> None:
        """The owner's socket is gone."""
        assert self.owner is not None
        self.do(self.owner.go())
        self.owner = None

    @precondition(lambda self: bool(self.observers))
    @rule()
    def unobserve(self) -> None:
        """An observer has seen enough."""
        self.do(self.observers.pop().go())

    @rule(seconds=st.sampled_from([0.1, 31.0, 79.0, 121.0]))
    def time_passes(self, seconds: float) -> None:
        """So much that events grow old, not so much that the session ends."""
        if self.owner is None and not self.observers:
            self.alone_since = self.alone_since if self.alone_since is not None else self.now
            seconds = min(seconds, max(0.0, self.alone_since + DETACHED_S - self.now))
        self.node.clock.advance(seconds)
        self.do(self.node.reaper.pass_once())

    # Speaking --------------------------------------------------------------------------------------------

    @precondition(lambda self: self.owner is not None)
    @rule(nbytes=st.integers(0, 9_000))
    def audio(self, nbytes: int) -> None:
        """A frame of any size, in real time."""
        self.node.clock.advance(nbytes / 32_000)
        self.speak(bytes(nbytes))
        kept = max(0, nbytes - self.trim)
        self.trim = max(0, self.trim - nbytes)
        whole, self.dangling = divmod(self.dangling + kept, 2)
        self.next_sample += whole

    @precondition(lambda self: self.owner is not None)
    @rule(offset=st.integers(-4_000, 4_000))
    def position(self, offset: int) -> None:
        """The client goes on elsewhere."""
        sample = max(0, self.next_sample + offset)
        self.speak(f'{{"type": "position", "sample": {sample}}}')
        self.trim = 2 * max(0, self.next_sample - sample)
        self.dangling = 0
        self.next_sample = max(self.next_sample, sample)

    @precondition(lambda self: self.owner is not None)
    @rule(control=st.sampled_from(['{"type": "ping"}', '{"type": "flush"}', "no JSON"]))
    def control(self, control: str) -> None:
        """Something else, or nonsense."""
        self.speak(control)

    def speak(self, message: bytes | str) -> None:
        """The owner says something: from now on the token before its own is worth nothing."""
        assert self.owner is not None
        self.do(self.owner.speak(message))
        if message != "no JSON":
            self.dead.append(self.previous)
            self.previous = ""

    @precondition(lambda self: bool(self.replaced))
    @rule(
        which=st.integers(0, 1_000),
        message=st.sampled_from([bytes(6_401), '{"type": "end"}', '{"type": "ping"}']),
    )
    def ghost(self, which: int, message: bytes | str) -> None:
        """One that was replaced still speaks, and is not heard."""
        self.do(self.replaced[which % len(self.replaced)].speak(message))

    @rule(answers=st.integers(1, 6), well=st.booleans())
    def classifier(self, answers: int, well: bool) -> None:
        """The classifier answers, or fails."""
        self.do(self.answer(answers, well))

    async def answer(self, answers: int, well: bool) -> None:
        scheduler = self.node.scheduler
        for _ in range(answers):
            scheduler.answer([QUIET]) if well else scheduler.fail()
        await settle()

    # What must hold --------------------------------------------------------------------------------------

    @invariant()
    def everybody_hears_everything_once(self) -> None:
        """No hole, no repeat; whoever was replaced heard all until then."""
        for peer in (*self.observers, *([self.owner] if self.owner else [])):
            heard = [event.seq for event in peer.durable]
            assert heard == list(range(self.starts[id(peer)], self.top + 1))
            assert peer.closed is None
        for peer in self.replaced:
            heard = [event.seq for event in peer.durable]
            start = self.starts[id(peer)]
            assert heard == list(range(start, start + len(heard)))

    @invariant()
    def the_audio_stands_where_it_must(self) -> None:
        """Nothing counts twice, and what was lost half-way is void."""
        if not self.starts:
            return
        ledger = self.live.pipeline.ledger
        assert ledger.next_sample == self.next_sample
        assert self.live.pipeline.cutter.dangling == self.dangling
        assert ledger.next_sample == ledger.classified_samples + ledger.gap_samples + ledger.pending_samples

    @invariant()
    def somebody_is_there_or_not(self) -> None:
        """The time alone begins when the last one goes."""
        if self.owner is not None or self.observers:
            self.alone_since = None
        elif self.alone_since is None:
            self.alone_since = self.now

    def teardown(self) -> None:
        """It ends, and whoever was away gets the rest."""
        try:
            if self.starts:
                self.finish()
        finally:
            self.runner.run(self.node.aclose())
            self.runner.close()

    def finish(self) -> None:
        self.attach("own", "right", "none", Role.OWNER, False)
        for peer in self.replaced:
            peer.takes.set()
        self.do(settle())
        for peer in self.replaced:
            self.check_replaced(peer)
        assert self.owner is not None
        self.speak('{"type": "end"}')
        for _ in tuple(self.node.scheduler.jobs):
            self.do(self.answer(1, True))
        summary = self.owner.durable[-1]
        assert isinstance(summary, Summary)
        assert (self.owner.closed, summary.next_sample) == (1000, self.next_sample)
        after = max(self.oldest - 1, 0)
        back = self.do(self.node.connect(Peer(f"session_id={self.id}&epoch={self.epoch}&after={after}")))
        assert back.welcome.recovered
        assert [event.seq for event in back.durable] == list(range(after + 1, summary.seq + 1))
        assert back.closed == 1000


TestComings = Comings.TestCase
TestComings.settings = settings(max_examples=150, stateful_step_count=40, deadline=None, derandomize=True)
