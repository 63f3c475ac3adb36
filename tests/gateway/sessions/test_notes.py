"""Checkpoints and heartbeats of a session."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import SessionGone
from gateway.sessions.notes import MAX_GIVEN, MAX_OWN, Milestone, TooManyCheckpoints, passed
from gateway.sessions.service import NewSession
from tests.gateway.sessions.kit import Node, run, session, summary


def test_the_gateway_notes_how_a_session_comes_and_goes() -> None:
    """Created, connected, then each detachment and return; an owner who is replaced has come again."""

    async def main() -> list[str]:
        node = Node()
        made = (await node.service.create(NewSession())).session.id
        await node.service.attach(made)
        node.clock.advance(5)
        await node.service.lose(made)
        await node.service.attach(made)
        await node.service.attach(made)
        points = (await node.service.get(made)).checkpoints
        assert points[2].at - points[1].at == 5
        return [one.name for one in points]

    assert run(main()) == ["created", "connected", "detached", "resumed", "resumed"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["detached", "resumed", "own"]), max_size=100))
def test_milestones_are_bounded_and_the_first_two_stay(names: list[str]) -> None:
    """The oldest of the others make room; what the application set is not touched."""
    one = session()
    for milestone in (Milestone.CREATED, Milestone.CONNECTED):
        one = passed(one, milestone, 0.0)
    for at, name in enumerate(names):
        if name != "own":
            one = passed(one, Milestone(name), float(at + 1))
    said = [name for name in names if name != "own"]
    assert [point.name for point in one.checkpoints] == ["created", "connected", *said[2 - MAX_OWN :]]


def test_an_application_sets_as_many_as_it_may() -> None:
    """Then it is told so; the gateway's own go on."""

    async def main() -> None:
        node = Node()
        made = (await node.service.create(NewSession())).session.id
        for number in range(MAX_GIVEN):
            await node.service.notes.mark(made, "here", {"n": number}, number)
        with pytest.raises(TooManyCheckpoints):
            await node.service.notes.mark(made, "here", None, None)
        await node.service.attach(made)
        points = (await node.service.get(made)).checkpoints
        assert len(points) == MAX_GIVEN + 2
        assert (points[1].data, points[1].sample, points[-1].name) == ({"n": 0}, 0, "connected")

    run(main())


def test_a_session_that_is_over_takes_no_notes() -> None:
    """Neither checkpoints nor heartbeats."""

    async def main() -> None:
        node = Node()
        made = (await node.service.create(NewSession())).session.id
        await node.service.attach(made)
        await node.service.end(made, summary(made))
        with pytest.raises(SessionGone):
            await node.service.notes.mark(made, "late", None, None)
        with pytest.raises(SessionGone):
            await node.service.notes.beat(made)

    run(main())


def test_a_heartbeat_is_a_sign_of_life() -> None:
    """It is shown with its time, and keeps the session from counting as lost."""

    async def main() -> None:
        node = Node()
        made = (await node.service.create(NewSession())).session
        node.clock.advance(20)
        beaten = await node.service.notes.beat(made.id)
        assert beaten.beat_at == made.created_at + 20
        assert beaten.seen_mono == beaten.beat_mono == made.seen_mono + 20

    run(main())
