"""What renews a sidecar is used when it answers; and what sessions are told meanwhile is true of them."""

import asyncio

import pytest

from gateway.classify.orchestrator.classifier import MOST_FAILURES, PART
from gateway.classify.port import Health, HealthStatus
from tests.gateway.classify.orchestrator.stands import EMBEDDED, TTL_S, Stand, run, settled


def test_what_renews_is_used_when_it_answers() -> None:
    """Until then the old one is, and nobody hears of the new one's loading."""

    async def scenario(on: Stand) -> None:
        await settled()
        on.fleet.loading.add("http://sidecar-2")
        await asyncio.sleep(0.75 * TTL_S)
        assert await on.hear("a") == ["http://sidecar-1"]
        new = on.fleet.sidecars[1]
        new.notices.tell("model stt", new.now)
        assert sorted(on.fleet.allocated) == ["a1", "a2"]
        assert on.classifier.health() == Health(HealthStatus.READY)
        new.now = Health(HealthStatus.READY)
        new.notices.tell("model stt", new.now)
        assert await on.hear("a") == ["http://sidecar-2"]
        await settled()
        assert sorted(on.fleet.allocated) == ["a2"]
        assert [health for part, health in on.told if part == "model stt"] == [new.now]
        assert on.statuses == ["loading", "ready"]

    run(scenario)


def test_what_renews_and_never_answers_takes_over_when_the_old_time_is_over() -> None:
    """The old one isn't used any more then."""

    async def scenario(on: Stand) -> None:
        await settled()
        on.fleet.loading.add("http://sidecar-2")
        await asyncio.sleep(0.98 * TTL_S)
        assert await on.hear("a") == ["http://sidecar-1"]
        await asyncio.sleep(0.04 * TTL_S)
        assert await on.hear("a") == [EMBEDDED]
        assert on.classifier.health().status is HealthStatus.WARNING
        on.fleet.sidecars[1].now = Health(HealthStatus.READY)
        assert await on.hear("a") == ["http://sidecar-2"]

    run(scenario)


@pytest.mark.parametrize("per_session", [False, True])
def test_who_asks_again_has_the_same_name(per_session: bool) -> None:
    """One a scope, so an orchestrator can tell a renewal."""

    async def scenario(on: Stand) -> None:
        for _ in range(30):
            await on.hear("a", "b")
            await asyncio.sleep(TTL_S / 10)
        assert len(on.fleet.callers) >= (8 if per_session else 4)
        assert len(set(on.fleet.callers)) == (2 if per_session else 1)

    run(scenario, per_session=per_session)


def test_what_the_sidecar_in_use_tells_is_told_and_no_other_is_heard() -> None:
    """However long another takes to be given back."""

    async def scenario(on: Stand) -> None:
        await settled()
        old = on.fleet.sidecars[0]
        old.now = Health(HealthStatus.ERROR, "gone")
        old.notices.tell("model stt", old.now)
        old.notices.tell("model of old", old.now)
        on.fleet.takes_s = 3.0
        for _ in range(MOST_FAILURES):
            await on.hear("a")
        assert list(on.classifier.notices.current) == [PART]
        await asyncio.sleep(1.5)
        old.notices.tell("model stt", Health(HealthStatus.LOADING, "of old"))
        await asyncio.sleep(3)
        new = on.fleet.sidecars[1]
        new.notices.tell("model stt", new.now)
        await asyncio.sleep(10)
        assert old.life[-1] == "close"
        assert on.classifier.notices.current["model stt"] == new.now
        assert "of old" not in [health.detail for _, health in on.told]

    run(scenario)


def test_a_renewal_that_is_refused_is_nobodys_trouble_while_the_old_one_serves() -> None:
    """When its time is over it is told."""

    async def scenario(on: Stand) -> None:
        await settled()
        on.fleet.error = "the orchestrator answered 503"
        await asyncio.sleep(0.9 * TTL_S)
        assert len(on.fleet.callers) > 2
        assert await on.hear("a") == ["http://sidecar-1"]
        assert on.statuses == ["loading", "ready"]
        assert on.classifier.health() == Health(HealthStatus.READY)
        await asyncio.sleep(0.2 * TTL_S)
        assert await on.hear("a") == [EMBEDDED]
        assert on.statuses == ["loading", "ready", "warning"]

    run(scenario)


def test_one_that_was_given_and_cannot_be_taken_is_not_told_as_ready() -> None:
    """The same id at another address, or while it is given back."""

    async def scenario(on: Stand) -> None:
        on.fleet.same = ("a1", "http://sidecar-1")
        await settled()
        on.fleet.same = ("a1", "http://elsewhere")
        on.fleet.keeps = 100
        await asyncio.sleep(0.9 * TTL_S)
        assert on.statuses == ["loading", "ready"]
        on.fleet.sidecars[0].now = Health(HealthStatus.ERROR, "gone")
        for _ in range(MOST_FAILURES):
            await on.hear("a")
        await asyncio.sleep(2)
        assert set(on.statuses[2:]) == {"warning"}
        assert on.outcomes["extended"] == 0
        on.fleet.keeps = 0

    run(scenario)


@pytest.mark.parametrize("how", ["fails", "unstartable"])
def test_what_one_session_goes_through_the_others_are_not_told(how: str) -> None:
    """A sidecar of its own that can't be used; what the orchestrator refuses concerns all."""

    async def scenario(on: Stand) -> None:
        await on.hear("a")
        await settled()
        on.fleet.unstartable.update({"http://sidecar-2"} if how == "unstartable" else ())
        await on.hear("a", "b")
        await settled()
        on.fleet.sidecars[1].fails = how == "fails"
        for _ in range(MOST_FAILURES):
            await on.hear("a", "b")
        assert on.statuses == ["ready"]
        on.fleet.error = "the orchestrator answered 503"
        await on.hear("c")
        await asyncio.sleep(3)
        assert on.statuses == ["ready", "warning"]
        assert "where a session has no sidecar" in on.told[-1][1].detail

    run(scenario, per_session=True)


def test_room_is_what_those_that_answer_have() -> None:
    """None where none does: the embedded classifier is not held to it."""

    async def scenario(on: Stand) -> None:
        await on.hear("a", "b")
        await settled()
        for sidecar, room in zip(on.fleet.sidecars, (4, 8), strict=True):
            sidecar.room = room
        assert on.classifier.room == 8
        on.fleet.sidecars[1].now = Health(HealthStatus.ERROR, "gone")
        assert on.classifier.room == 4
        on.fleet.sidecars[0].now = Health(HealthStatus.LOADING)
        assert on.classifier.room is None

    run(scenario, per_session=True)
