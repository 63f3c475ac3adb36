"""Clocks that jump: a step of the wall clock decides nothing, a jump of the monotonic one (a suspended
machine) is time that has passed, for everybody alike.

The whole gateway runs here, without sockets; see `tests.gateway.inprocess`.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import NotFound
from gateway.sessions.model import Status
from gateway.sessions.service import NewSession
from protocol.events import Summary
from tests.gateway.inprocess import Node, Peer, node

HOUR = 3_600.0
STEPS = [HOUR, -HOUR, -1_699_999_999.0, 2.5e9]
"""Seconds: what daylight-saving mistakes and batteries do to a wall clock (to 1970, to 2103)."""


def run(scenario: Callable[[Node], Awaitable[None]], **settings: float) -> None:
    async def main() -> None:
        on = node(**settings)
        try:
            async with asyncio.timeout(20):
                await scenario(on)
        finally:
            await on.aclose()

    asyncio.run(main())


async def status(on: Node, session_id: str) -> Status | None:
    """Where a session is; None where it is gone."""
    try:
        return (await on.gateway.service.get(session_id)).status
    except NotFound:
        return None


async def created(on: Node) -> str:
    return (await on.gateway.service.create(NewSession())).session.id


async def live(on: Node) -> str:
    return (await on.connect(Peer())).welcome.session_id


async def detached(on: Node) -> str:
    peer = await on.connect(Peer())
    await peer.go()
    return peer.welcome.session_id


async def closed(on: Node) -> str:
    peer = await on.connect(Peer())
    await peer.speak('{"type": "end"}')
    assert peer.closed == 1000
    return peer.welcome.session_id


DAY_S = 86_400.0
TIMERS = [
    (created, 30.0, 300.0, Status.CREATED, Status.EXPIRED),
    (detached, 90.0, 300.0, Status.DETACHED, Status.EXPIRED),
    (live, 300.0, 300.0, Status.LIVE, Status.CLOSED),
    (live, DAY_S, DAY_S, Status.LIVE, Status.CLOSED),
    (closed, 900.0, 300.0, Status.CLOSED, None),
]
"""What a timer is about, its seconds, how long a session may be idle, and what the timer makes of what."""


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("make", "seconds", "idle", "before", "after"), TIMERS)
def test_a_step_of_the_wall_clock_reaps_nothing_early_and_nothing_late(
    make: Callable[[Node], Awaitable[str]],
    seconds: float,
    idle: float,
    before: Status,
    after: Status | None,
    step: float,
) -> None:
    """Each timer runs out when its seconds have passed, whatever the date says meanwhile."""

    async def scenario(on: Node) -> None:
        session_id = await make(on)
        on.clock.advance(seconds / 2)
        on.clock.step_wall(step)
        await on.reap()
        assert await status(on, session_id) is before
        on.clock.advance(seconds / 2 - 1)
        await on.reap()
        assert await status(on, session_id) is before
        on.clock.advance(1)
        await on.reap()
        assert await status(on, session_id) is after

    run(scenario, session_idle_ttl_s=idle)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("age", "good"), [(29.0, True), (30.0, False)])
def test_a_ticket_is_good_for_its_thirty_seconds(step: float, age: float, good: bool) -> None:
    """Neither longer nor shorter, and an expired one is forgotten by the reaper."""

    async def scenario(on: Node) -> None:
        made = await on.gateway.service.create(NewSession())
        watcher = await on.connect(Peer(f"session_id={made.session.id}&role=observer"))
        on.clock.step_wall(step)
        on.clock.advance(age)
        assert (await on.reap()).tickets == (0 if good else 1)
        peer = await on.connect(Peer(f"session_id={made.session.id}", made.ticket))
        assert (peer.closed, peer.errors) == ((None, []) if good else (4001, ["unauthorized"]))
        assert watcher.closed is None

    run(scenario)


@pytest.mark.parametrize("step", STEPS)
def test_events_are_kept_for_their_two_minutes(step: float) -> None:
    """A client that comes back in time is recovered; one that comes later is told what is missing."""

    async def scenario(on: Node) -> None:
        peer = await on.connect(Peer())
        await peer.speak('{"type": "position", "sample": 800}')
        await peer.go()
        query = f"session_id={peer.welcome.session_id}&epoch={peer.welcome.epoch}&after=0"
        on.clock.step_wall(step)
        on.clock.advance(60)
        watcher = await on.connect(Peer(query + "&role=observer"))
        assert (watcher.welcome.recovered, [event.seq for event in watcher.durable]) == (True, [1])
        on.clock.advance(60)
        assert (await on.connect(Peer(query))).welcome.recovered
        on.clock.advance(1)
        late = await on.connect(Peer(query))
        assert (late.welcome.recovered, late.welcome.next_seq, late.durable) == (False, 2, [])
        nothing_missed = await on.connect(Peer(query.replace("after=0", "after=1")))
        assert nothing_missed.welcome.recovered

    run(scenario)


# A suspended machine ----------------------------------------------------------------------------------------


def test_after_a_suspend_whoever_speaks_first_goes_on() -> None:
    """An hour has passed at once. A client whose first word comes before the reaper's pass was not idle."""

    async def scenario(on: Node) -> None:
        speaks, silent = [await on.connect(Peer()) for _ in range(2)]
        away = await detached(on)
        on.clock.advance(HOUR)
        await speaks.speak(bytes(3_200))
        await on.reap()
        assert speaks.closed is None
        assert await status(on, speaks.welcome.session_id) is Status.LIVE
        assert (silent.errors, silent.closed) == (["idle_timeout"], 4004)
        assert isinstance(silent.durable[-1], Summary)
        assert await status(on, away) is Status.EXPIRED
        assert (await on.reap()).expired == 0

    run(scenario)


def test_a_suspend_longer_than_a_sessions_day_ends_it_in_order() -> None:
    """Told, summed up and closed, even where its client speaks at once."""

    async def scenario(on: Node) -> None:
        peer = await on.connect(Peer())
        await peer.speak(bytes(3_200))
        on.clock.advance(25 * HOUR)
        await peer.speak(bytes(3_200))
        await on.reap()
        summary = peer.durable[-1]
        assert isinstance(summary, Summary)
        assert (summary.next_sample, summary.classified_samples) == (3_200, 3_200)
        assert (peer.errors, peer.closed) == (["session_expired"], 4004)

    run(scenario)


# Any schedule -----------------------------------------------------------------------------------------------

ACTIONS = st.sampled_from(
    ["create", "connect", "observe", "speak", "position", "go", "back", "end", "ticket", "reap"]
)
SCHEDULE = st.lists(
    st.tuples(
        ACTIONS, st.sampled_from([0.0, 1.0, 29.0, 31.0, 60.0, 91.0, 300.0, 901.0]), st.sampled_from(STEPS)
    ),
    min_size=3,
    max_size=14,
)


SAID: dict[str, bytes | str] = {
    "speak": bytes(3_200),
    "position": '{"type": "position", "sample": 90000}',
    "end": '{"type": "end"}',
}


class Play:
    """A schedule played on a node; `seen` is all that anybody could tell of it, but for ids and dates."""

    def __init__(self, on: Node) -> None:
        self.on = on
        self.peers: list[Peer] = []
        self.tickets: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.seen: list[object] = []

    async def act(self, action: str) -> None:
        """One thing that somebody does."""
        peer = self.peers[-1] if self.peers else None
        match action:
            case "create":
                made = await self.on.gateway.service.create(NewSession())
                self.ids.append(made.session.id)
                self.tickets.append((made.session.id, made.ticket))
            case "connect":
                await self.connect(Peer())
                self.ids.append(self.peers[-1].welcome.session_id)
            case "ticket" if self.tickets:
                session_id, ticket = self.tickets.pop()
                await self.connect(Peer(f"session_id={session_id}", ticket))
            case "observe" if self.ids:
                await self.connect(Peer(f"session_id={self.ids[-1]}&role=observer"))
            case "back" if self.ids:
                await self.connect(Peer(f"session_id={self.ids[0]}&after=1"))
            case "go" if peer is not None:
                await peer.go()
            case "speak" | "position" | "end" if peer is not None:
                await peer.speak(SAID[action])
        report = await self.on.reap() if action == "reap" else None
        self.seen.append((action, report, [await status(self.on, one) for one in self.ids]))

    async def connect(self, peer: Peer) -> None:
        self.peers.append(await self.on.connect(peer))

    def heard(self) -> list[object]:
        """What each peer was told, without what differs from run to run."""
        return [
            (peer.closed, peer.errors, [(event.type, event.seq, event.timestamp) for event in peer.durable])
            for peer in self.peers
        ]


def played(schedule: list[tuple[str, float, float]], *, steps: bool) -> list[object]:
    seen: list[object] = []

    async def scenario(on: Node) -> None:
        play = Play(on)
        for action, seconds, step in schedule:
            if steps:
                on.clock.step_wall(step)
            await play.act(action)
            on.clock.advance(seconds)
        await play.act("reap")
        seen.extend([*play.seen, *play.heard()])

    run(scenario)
    return seen


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SCHEDULE)
def test_the_same_happens_whatever_the_wall_clock_says(schedule: list[tuple[str, float, float]]) -> None:
    """Any schedule, played with and without steps before each act: nobody could tell one from the other."""
    assert played(schedule, steps=True) == played(schedule, steps=False)
