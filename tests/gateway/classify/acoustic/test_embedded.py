"""The embedded classifier over workers that the test moves: what is chosen, and what a death costs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from gateway.classify.acoustic.embedded import PART, EmbeddedClassifier
from gateway.classify.acoustic.sizing import SIZES, Where, Wish
from gateway.classify.acoustic.slab import CAPACITY
from gateway.classify.port import ClassifierError, HealthStatus, Window
from gateway.clock import SystemClock
from tests.gateway.classify.acoustic.hands import COSTS, FakeHand, Hands, turns

CHOSEN = Wish(Where.PROCESS, 1, 32)


def run(
    scenario: Callable[[EmbeddedClassifier, Hands], Awaitable[None]],
    wish: Wish = CHOSEN,
    *,
    cores: int = 2,
    ready: bool = True,
    crowded: float = 1.0,
) -> None:
    """Play it with a classifier of its own, started."""

    async def steps() -> None:
        hands = Hands(ready=ready, crowded=crowded)
        measure: Any = lambda sizes: {size: COSTS[size] for size in sizes}  # noqa: E731
        classifier = EmbeddedClassifier(wish, SystemClock(), cores=cores, make=hands, measure=measure)
        await classifier.start()
        async with asyncio.timeout(20):
            await scenario(classifier, hands)
        await classifier.aclose()
        await classifier.aclose()
        assert all(hand.closed for hand in hands.all if hand.future is None)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(steps())


def window(samples: int = 1_600) -> Window:
    return Window(np.zeros(samples, np.int16), samples, 1.0, {})


async def settled(classifier: EmbeddedClassifier) -> None:
    """Until it is known how many workers, and they are there."""
    for _ in range(2_000):
        if classifier.plan is not None:
            break
        await asyncio.sleep(0.001)
    await turns()
    assert classifier.plan is not None


def test_what_is_left_open_is_measured(caplog: pytest.LogCaptureFixture) -> None:
    """By one worker alone, then by two together; what was chosen is logged once."""
    caplog.set_level(logging.INFO)

    async def scenario(classifier: EmbeddedClassifier, hands: Hands) -> None:
        await settled(classifier)
        plan = classifier.plan
        assert plan is not None
        assert (plan.where, plan.workers, plan.batch) == (Where.PROCESS, 2, 16)
        assert (classifier.room, classifier.calls) == (16, 2)
        assert classifier.workers == {"process": 2, "thread": 0}
        asked = [sizes for hand in hands.all for sizes in hand.sizes]
        assert sorted(map(len, asked)) == [1, 1, 1, len(SIZES)]
        assert "two workers do 2.00 times" in plan.why

    run(scenario, Wish())
    (record,) = [one for one in caplog.records if "was chosen" in one.message]
    assert vars(record)["batch"] == 16


def test_a_second_worker_that_is_no_help_goes() -> None:
    """Where two together take twice as long."""

    async def scenario(classifier: EmbeddedClassifier, hands: Hands) -> None:
        await settled(classifier)
        assert classifier.plan is not None
        assert classifier.plan.workers == 1
        assert [hand.closed for hand in hands.all].count(True) == 1
        assert (classifier.calls, classifier.health().status) == (1, HealthStatus.READY)

    run(scenario, Wish(), crowded=2.0)


def test_what_was_asked_for_is_not_measured() -> None:
    """Neither by processes nor by threads."""

    async def chosen(classifier: EmbeddedClassifier, hands: Hands) -> None:
        await settled(classifier)
        assert classifier.plan is not None
        assert (classifier.plan.workers, classifier.plan.batch) == (1, 32)
        assert not hands.all[0].sizes

    run(chosen)

    async def in_threads(classifier: EmbeddedClassifier, hands: Hands) -> None:
        await settled(classifier)
        assert not hands.all
        assert (classifier.room, classifier.calls) == (4, 3)
        assert classifier.workers == {"process": 0, "thread": 3}
        assert len(await classifier.classify([window()] * 2)) == 2

    run(in_threads, Wish(Where.THREAD, 3, 4))


def test_one_core_has_a_thread() -> None:
    """Whose batch is measured, too."""

    async def scenario(classifier: EmbeddedClassifier, hands: Hands) -> None:
        await settled(classifier)
        assert not hands.all
        assert (classifier.room, classifier.calls) == (16, 1)

    run(scenario, Wish(), cores=1)


def test_threads_answer_until_there_are_workers() -> None:
    """Nobody waits for them, and nobody is told."""

    async def scenario(classifier: EmbeddedClassifier, hands: Hands) -> None:
        await turns()
        assert len(await classifier.classify([window()])) == 1
        assert classifier.health().status is HealthStatus.READY
        assert not classifier.notices.current
        hands.all[0].ready()
        await settled(classifier)
        call = asyncio.ensure_future(classifier.classify([window()]))
        await turns()
        assert len(hands.all[0].windows) == 1
        hands.all[0].answer()
        await call
        assert not classifier.notices.current

    run(scenario, ready=False)


def test_threads_stand_in_where_no_worker_gets_ready() -> None:
    """And it is told."""

    async def scenario(classifier: EmbeddedClassifier, hands: Hands) -> None:
        for _ in range(8):
            await turns()
            if hands.all[-1].owner is not None and len(hands.all) < 6:
                hands.all[-1].end()
        assert classifier.health().status is HealthStatus.WARNING
        assert len(await classifier.classify([window()])) == 1

    run(scenario, ready=False)


def test_an_answer_and_its_state() -> None:
    """The observations of each window, and its state as the worker packed it."""

    async def scenario(classifier: EmbeddedClassifier, hands: Hands) -> None:
        await settled(classifier)
        windows = [window(5), window(7)]
        call = asyncio.ensure_future(classifier.classify(windows))
        await turns()
        hands.all[0].answer()
        answers = await call
        assert [isinstance(answer, list) and len(answer) for answer in answers] == [1, 1]
        assert windows[0].state["acoustic"] != windows[1].state["acoustic"]
        assert isinstance(windows[0].state["acoustic"], bytes)

    run(scenario)


def test_a_death_costs_nothing_but_time() -> None:
    """The windows are tried once more, each alone, and it is told what is going on."""

    async def scenario(classifier: EmbeddedClassifier, hands: Hands) -> None:
        await settled(classifier)
        told: list[HealthStatus] = []
        classifier.notices.listen(lambda part, health: told.append(health.status) if part == PART else None)
        call = asyncio.ensure_future(classifier.classify([window(), window()]))
        await turns()
        hands.all[0].end()
        await turns()
        for _ in range(2):
            assert len(hands.all[1].windows) == 1
            hands.all[1].answer()
            await turns()
        assert [isinstance(answer, list) for answer in await call] == [True, True]
        assert told == [HealthStatus.WARNING, HealthStatus.READY]
        assert classifier.workers_ended == 1

    run(scenario)


def test_a_worker_that_has_ended_unnoticed_is_passed_over() -> None:
    """The windows go to another one, and that is no try."""

    async def scenario(classifier: EmbeddedClassifier, hands: Hands) -> None:
        await settled(classifier)
        hand = hands.all[-1]
        hand.alive = False
        call = asyncio.ensure_future(classifier.classify([window()]))
        await turns()
        assert not hand.windows
        hand.end()
        await turns()
        hands.all[-1].answer()
        assert isinstance((await call)[0], list)

    run(scenario)


def test_the_window_that_ends_workers_fails_alone() -> None:
    """Its neighbours are answered, and it is not tried a third time."""

    async def scenario(classifier: EmbeddedClassifier, hands: Hands) -> None:
        await settled(classifier)
        windows = [window(1), window(666), window(3)]
        call = asyncio.ensure_future(classifier.classify(windows))
        while not call.done():
            await turns()
            hand: FakeHand = hands.all[-1]
            if hand.future is not None:
                deadly = any(len(one.samples) == 666 for one in hand.windows)
                (hand.end if deadly else hand.answer)()
        first, second, third = await call
        assert isinstance(first, list)
        assert isinstance(second, ClassifierError)
        assert isinstance(third, list)
        assert windows[1].state == {}
        assert len(hands.all) == 3

    run(scenario)


def test_a_call_that_is_given_up_changes_no_state() -> None:
    """And leaves its worker to the next one, once it has answered."""

    async def scenario(classifier: EmbeddedClassifier, hands: Hands) -> None:
        await settled(classifier)
        left = window()
        call = asyncio.ensure_future(classifier.classify([left]))
        await turns()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        other = asyncio.ensure_future(classifier.classify([window()]))
        await turns()
        assert hands.all[0].windows[0] is left
        hands.all[0].answer()
        await turns()
        hands.all[0].answer()
        await other
        assert left.state == {}

    run(scenario)


def test_a_window_too_long_for_the_slab_fails_alone() -> None:
    """Those beside it go in as many parts as it takes."""

    async def scenario(classifier: EmbeddedClassifier, hands: Hands) -> None:
        await settled(classifier)
        whole = window(CAPACITY)
        call = asyncio.ensure_future(classifier.classify([whole, window(CAPACITY + 1), whole]))
        while not call.done():
            await turns()
            if hands.all[0].future is not None:
                hands.all[0].answer()
        assert [isinstance(answer, list) for answer in await call] == [True, False, True]

    run(scenario)
