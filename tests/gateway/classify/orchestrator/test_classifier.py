"""Windows go to the sidecar allocated for them, and to the embedded classifier while there is none."""

import asyncio

import pytest

from gateway.classify.orchestrator.classifier import MOST_FAILURES
from gateway.classify.port import Health, HealthStatus
from gateway.classify.sidecar.pseudonym import pseudonym
from tests.gateway.classify.orchestrator.stands import EMBEDDED, TTL_S, Stand, run, settled


def test_a_node_shares_one_sidecar_and_gives_it_back_at_the_end() -> None:
    """Before it is there, the embedded classifier listens."""

    async def scenario(on: Stand) -> None:
        on.fleet.takes_s = 1.0
        assert await on.hear("a", "b") == [EMBEDDED] * 2
        assert on.classifier.health().status is HealthStatus.WARNING
        await asyncio.sleep(2)
        assert await on.hear("a", "b") == ["http://sidecar-1"] * 2
        assert on.classifier.health() == Health(HealthStatus.READY)
        assert on.statuses == ["loading", "ready"]
        on.classifier.forget("a")
        assert on.fleet.sidecars[0].life == ["start", "forget a"]
        assert len(on.fleet.callers) == 1

    stand = run(scenario)
    assert stand.fleet.allocated == {}


def test_each_session_has_a_sidecar_of_its_own_until_it_is_over() -> None:
    """A batch of several goes to each at the same time, in order; no session's id is told to anybody."""

    async def scenario(on: Stand) -> None:
        assert await on.hear("secret-1", "secret-2") == [EMBEDDED] * 2
        await settled()
        assert await on.hear("secret-2", "secret-1", "secret-3") == [
            "http://sidecar-2",
            "http://sidecar-1",
            EMBEDDED,
        ]
        await settled()
        assert on.fleet.callers == [f"undertone-{pseudonym(f'secret-{number}')}" for number in (1, 2, 3)]
        on.classifier.forget("secret-1")
        await settled()
        assert sorted(on.fleet.allocated) == ["a2", "a3"]
        assert on.fleet.sidecars[0].life == ["start", "forget secret-1", "close"]

    stand = run(scenario, per_session=True)
    assert stand.fleet.allocated == {}


def test_nodes_are_told_apart() -> None:
    """Each asks in a name of its own, the same at every renewal."""
    names: list[set[str]] = []

    async def scenario(on: Stand) -> None:
        await asyncio.sleep(3 * TTL_S)
        assert len(on.fleet.callers) > 2
        names.append(set(on.fleet.callers))

    run(scenario)
    run(scenario)
    assert [len(one) for one in names] == [1, 1]
    assert names[0] != names[1]


def test_a_token_is_for_the_allocation_that_it_came_with() -> None:
    """A renewal at the same address with another token is another connection."""

    async def scenario(on: Stand) -> None:
        on.fleet.tokens = True
        on.fleet.same = ("a1", "http://sidecar")
        await settled()
        assert await on.hear("a") == ["http://sidecar"]
        on.fleet.same = ("a2", "http://sidecar")
        await asyncio.sleep(0.75 * TTL_S)
        on.fleet.gone.clear()  # the same address, and another one there
        assert await on.hear("a") == ["http://sidecar"]
        await settled()
        assert [(one.token, one.life) for one in on.fleet.sidecars] == [
            ("token-1", ["start", "close"]),
            ("token-2", ["start"]),
        ]

    run(scenario)


def test_one_sidecar_that_fails_or_hangs_says_nothing_about_the_others() -> None:
    """Nor about the fallback."""

    async def scenario(on: Stand) -> None:
        await on.hear("a", "b")
        await settled()
        on.fleet.sidecars[0].fails = True
        assert await on.hear("a", "b", "c") == ["-", "http://sidecar-2", EMBEDDED]

    run(scenario, per_session=True)


def test_it_is_renewed_before_its_time_is_over_and_never_used_beyond() -> None:
    """A call that is under way holds the old one until it is over."""

    async def scenario(on: Stand) -> None:
        await settled()
        first = on.fleet.sidecars[0]
        first.gate = asyncio.Event()
        calling = asyncio.create_task(on.hear("a"))
        await asyncio.sleep(0.75 * TTL_S)
        assert await on.hear("a") == ["http://sidecar-2"]
        assert sorted(on.fleet.allocated) == ["a1", "a2"]
        first.gate.set()
        assert await calling == ["http://sidecar-1"]
        await settled()
        assert sorted(on.fleet.allocated) == ["a2"]
        for _ in range(20):
            await asyncio.sleep(TTL_S / 3)
            (who,) = await on.hear("a")
            assert who in on.fleet.allocated.values()
        assert len(on.fleet.allocated) == 1

    run(scenario)


def test_without_an_orchestrator_the_embedded_one_listens_and_it_is_tried_again_later() -> None:
    """Told as a warning, then as ready; longer pauses each time, and no session waits."""

    async def scenario(on: Stand) -> None:
        on.fleet.error = "the orchestrator answered 503"
        for _ in range(60):
            assert await on.hear("a") == [EMBEDDED]
            await asyncio.sleep(1)
        assert on.classifier.health().status is HealthStatus.WARNING
        assert 5 <= len(on.fleet.callers) <= 12
        on.fleet.error = None
        await asyncio.sleep(60)
        assert await on.hear("a") == [on.fleet.sidecars[0].url]
        assert on.statuses == ["loading", "warning", "ready"]
        assert (
            on.told[1][1].detail == "the orchestrator answered 503; the embedded classifier listens meanwhile"
        )

    run(scenario)


@pytest.mark.parametrize("how", ["fails", "error"])
def test_a_sidecar_that_stays_dead_is_given_back_for_another(how: str) -> None:
    """Its windows are gaps until then; the embedded classifier listens in between."""

    async def scenario(on: Stand) -> None:
        await settled()
        dead = on.fleet.sidecars[0]
        if how == "fails":
            dead.fails = True
        else:
            dead.now = Health(HealthStatus.ERROR, "gone")
        heard = [await on.hear("a", "b") for _ in range(MOST_FAILURES)]
        assert heard == [["-"] * 2 if how == "fails" else [EMBEDDED] * 2] * MOST_FAILURES
        assert await on.hear("a") == [EMBEDDED]
        await asyncio.sleep(2)
        assert await on.hear("a") == ["http://sidecar-2"]
        assert sorted(on.fleet.allocated) == ["a2"]
        assert on.statuses == ["loading", "ready", "warning", "ready"]

    run(scenario)


def test_a_sidecar_that_loads_is_waited_for() -> None:
    """By nobody: the embedded classifier listens. What the sidecar tells of itself is passed on."""

    async def scenario(on: Stand) -> None:
        await settled()
        sidecar = on.fleet.sidecars[0]
        sidecar.now = Health(HealthStatus.LOADING)
        sidecar.notices.tell("model stt", sidecar.now)
        for _ in range(10):
            assert await on.hear("a") == [EMBEDDED]
        assert ("model stt", sidecar.now) in on.told
        sidecar.now = Health(HealthStatus.READY)
        assert await on.hear("a") == ["http://sidecar-1"]
        assert len(on.fleet.callers) == 1

    run(scenario)


def test_one_that_cannot_be_connected_to_is_given_back() -> None:
    """And another is asked for."""

    async def scenario(on: Stand) -> None:
        on.fleet.unstartable.add("http://sidecar-1")
        await asyncio.sleep(3)
        assert await on.hear("a") == ["http://sidecar-2"]
        assert sorted(on.fleet.allocated) == ["a2"]

    run(scenario)


def test_what_cannot_be_given_back_at_once_is_tried_again() -> None:
    """At the end, too, within a bound."""

    async def scenario(on: Stand) -> None:
        await on.hear("a")
        await settled()
        on.fleet.keeps = 2
        on.classifier.forget("a")
        await asyncio.sleep(10)
        assert on.fleet.allocated == {}
        await on.hear("b")
        await settled()
        on.fleet.keeps = 2

    stand = run(scenario, per_session=True)
    assert stand.fleet.allocated == {}
    assert stand.outcomes == {"granted": 2, "released": 2}


def test_what_can_never_be_given_back_does_not_keep_the_node() -> None:
    """Its time ends it."""

    async def scenario(on: Stand) -> None:
        await settled()
        on.fleet.keeps = 1_000

    began: list[float] = []

    async def timed(on: Stand) -> None:
        await scenario(on)
        began.append(on.clock.time())

    stand = run(timed)
    assert sorted(stand.fleet.allocated) == ["a1"]
    assert stand.clock.time() - began[0] <= 6.0


def test_an_allocation_under_way_at_the_end_is_given_back() -> None:
    """It is waited for."""

    async def scenario(on: Stand) -> None:
        on.fleet.takes_s = 2.0
        await asyncio.sleep(0.5)

    stand = run(scenario)
    assert stand.fleet.made == 1
    assert stand.fleet.allocated == {}


def test_a_call_that_is_cancelled_uses_nothing_any_more() -> None:
    """As one that got no answer in time is: its allocation can be given back."""

    async def scenario(on: Stand) -> None:
        await on.hear("a", "b")
        await settled()
        for sidecar in on.fleet.sidecars:
            sidecar.gate = asyncio.Event()
        calling = asyncio.create_task(on.hear("a", "b"))
        await settled()
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        for session in ("a", "b"):
            on.classifier.forget(session)
        await settled()
        assert on.fleet.allocated == {}

    run(scenario, per_session=True)


def test_whatever_asking_and_giving_back_fail_with_they_are_tried_again() -> None:
    """Nothing is under way for good."""

    async def scenario(on: Stand) -> None:
        on.fleet.broken = True
        await asyncio.sleep(10)
        assert len(on.fleet.callers) > 2
        assert on.statuses == ["loading", "warning"]
        assert "unexpected: ZeroDivisionError" in on.told[-1][1].detail
        on.fleet.broken = False
        await asyncio.sleep(20)
        assert await on.hear("a") == ["http://sidecar-1"]
        on.fleet.sidecars[0].now = Health(HealthStatus.ERROR, "gone")
        on.fleet.broken = True
        for _ in range(MOST_FAILURES):
            await on.hear("a")
        await asyncio.sleep(1)
        on.fleet.broken = False
        await asyncio.sleep(20)
        assert sorted(on.fleet.allocated) == ["a2"]

    run(scenario)
