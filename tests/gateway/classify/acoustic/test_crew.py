"""Which worker is whose, and what becomes of the place of one that ends."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.classify.acoustic import crew as module
from gateway.classify.acoustic.crew import ENDS, PAUSE_S, Crew, NobodyThere
from gateway.classify.port import ClassifierError
from gateway.clock import Clock
from tests import virtual_time
from tests.gateway.classify.acoustic.hands import FakeHand, Hands, turns


def run(scenario: Callable[[Crew, Hands, Clock], Awaitable[None]], *, ready: bool = True) -> None:
    """Play it with a crew of its own, in virtual time."""

    async def steps(loop: virtual_time.VirtualLoop) -> None:
        hands = Hands(ready=ready)
        crew = Crew(hands, loop)
        await scenario(crew, hands, loop)
        await crew.aclose()
        await crew.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtual_time.run(steps)


def test_each_worker_is_lent_to_one_at_a_time() -> None:
    """In the order of asking; who waits gets the one that comes free."""

    async def scenario(crew: Crew, hands: Hands, _: Clock) -> None:
        crew.resize(2)
        leases = [asyncio.ensure_future(crew.lease()) for _lease in range(3)]
        await turns()
        assert [lease.done() for lease in leases] == [True, True, False]
        first = leases[0].result()
        assert {first, leases[1].result()} == set(hands.all)
        crew.on_idle(first)
        assert await leases[2] is first

    run(scenario)


def test_who_gives_up_takes_no_worker_away() -> None:
    """Neither while it waits nor in the moment in which it was given one."""

    async def scenario(crew: Crew, hands: Hands, _: Clock) -> None:
        crew.resize(1)
        held = await crew.lease()
        waiting, served = asyncio.ensure_future(crew.lease()), asyncio.ensure_future(crew.lease())
        await turns()
        waiting.cancel()
        await turns()
        crew.on_idle(held)
        served.cancel()
        await asyncio.gather(waiting, served, return_exceptions=True)
        async with asyncio.timeout(1):
            assert await crew.lease() is held

    run(scenario)


def test_one_that_ends_is_replaced() -> None:
    """Whether it was idle or at work; who waits for one gets the new one."""

    async def scenario(crew: Crew, hands: Hands, _: Clock) -> None:
        crew.resize(1)
        await crew.lease()
        waiting = asyncio.ensure_future(crew.lease())
        await turns()
        hands.all[0].end()
        assert await waiting is hands.all[1]
        assert (crew.ready, crew.ended, crew.failed) == (1, 1, 0)

    run(scenario)


def test_too_many_ends_make_it_wait() -> None:
    """After the fifth in a minute nobody is launched for a while, and nobody waits in vain."""

    async def scenario(crew: Crew, hands: Hands, _: Clock) -> None:
        crew.resize(1)
        for _end in range(ENDS):
            await turns()
            hands.all[-1].end()
        assert len(hands.all) == ENDS
        with pytest.raises(NobodyThere):
            await crew.lease()
        await asyncio.sleep(PAUSE_S + 0.1)
        assert len(hands.all) == ENDS + 1
        assert await crew.lease() is hands.all[-1]

    run(scenario)


def test_who_waits_is_told_when_nobody_is_left() -> None:
    """At the moment in which the last one ended."""

    async def scenario(crew: Crew, hands: Hands, _: Clock) -> None:
        crew.resize(1)
        waiting = asyncio.ensure_future(crew.lease())
        await turns()
        for _end in range(ENDS):
            hands.all[-1].end()
            await turns()
        with pytest.raises(NobodyThere):
            await waiting

    run(scenario, ready=False)


def test_a_smaller_crew_lets_them_go() -> None:
    """Idle ones at once, busy ones with their answer."""

    async def scenario(crew: Crew, hands: Hands, _: Clock) -> None:
        crew.resize(3)
        await turns()
        busy = await crew.lease()
        assert isinstance(busy, FakeHand)
        crew.resize(1)
        await turns()
        assert sum(hand.closed for hand in hands.all) == 2
        assert not busy.closed
        assert crew.ready == 1
        crew.on_idle(busy)
        assert await crew.lease() is busy

    run(scenario)


def test_so_many_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row has a bound."""
    monkeypatch.setattr(module, "MOST_WAITING", 2)

    async def scenario(crew: Crew, hands: Hands, _: Clock) -> None:
        crew.resize(1)
        waiting = [asyncio.ensure_future(crew.lease()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ClassifierError):
            await crew.lease()
        for lease in waiting:
            lease.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    run(scenario, ready=False)
