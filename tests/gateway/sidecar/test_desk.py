"""The desk: who is let in, in which time, and what becomes of those whose callers leave."""

import asyncio
import random

import pytest

from gateway.api.problems import Problem
from gateway.classify.port import ClassifierError, Window
from gateway.classify.scheduler import Scheduler
from gateway.clock import ManualClock
from gateway.sidecar.desk import MOST_RETRY_S, RETRY_S, Desk, Late, Outcome
from tests.gateway.sidecar.kit import HeldClassifier, pcm, turns


class Bench:
    """A desk before a scheduler that runs."""

    def __init__(self, capacity: int = 4, deadline_s: float = 2.0) -> None:
        self.classifier, self.clock = HeldClassifier(), ManualClock()
        self.outcomes: list[Outcome] = []
        self.scheduler = Scheduler(
            self.classifier, self.clock, batch_size=2, linger_s=0, capacity=capacity, deadline_s=deadline_s
        )
        self.desk = Desk(self.scheduler, self.clock, self, capacity=capacity, jitter=random.Random(1))

    def window(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    async def __aenter__(self) -> "Bench":
        self._running = asyncio.create_task(self.scheduler.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


def window(first: int = 1) -> Window:
    return Window(pcm(first, 16), 16, 1.0, {})


def test_answers_in_order_whatever_becomes_of_each() -> None:
    """One that fails is an answer, too."""

    async def main() -> None:
        async with Bench() as bench:
            first, bad, last = await bench.desk.ask([window(1), window(13), window(3)], 1_000.0)
            assert isinstance(first, list)
            assert isinstance(bad, ClassifierError)
            assert isinstance(last, list)
            assert bench.outcomes == [Outcome.CLASSIFIED, Outcome.FAILED, Outcome.CLASSIFIED]

    asyncio.run(main())


def test_no_more_than_fit_are_let_in() -> None:
    """What is refused is told when to come back, not all at the same second; what leaves makes room."""

    async def main() -> None:
        async with Bench(capacity=4) as bench:
            waits = set()
            with bench.desk.admitted(3):
                for _ in range(40):
                    with pytest.raises(Problem) as refused, bench.desk.admitted(2):
                        pass
                    assert (refused.value.status, refused.value.code) == (503, "overloaded")
                    waits.add(int(refused.value.headers["retry-after"]))
                with bench.desk.admitted(1):
                    assert bench.desk.held == 4
            assert waits == set(range(RETRY_S, MOST_RETRY_S + 1))
            assert bench.desk.held == 0

    asyncio.run(main())


def test_a_window_that_waits_too_long_is_late() -> None:
    """It is not classified, and its batch-mates are."""

    async def main() -> None:
        async with Bench(deadline_s=2.0) as bench:
            late, fresh = await asyncio.gather(
                bench.desk.ask([window(1)], bench.clock.monotonic() - 2.5),
                bench.desk.ask([window(2)], bench.clock.monotonic()),
            )
            assert isinstance(late[0], Late)
            assert isinstance(fresh[0], list)
            assert sum(map(len, bench.classifier.batches)) == 1

    asyncio.run(main())


def test_who_leaves_takes_along_what_still_waits() -> None:
    """Nobody waits for those answers; what the classifier has already is finished, to no avail."""

    async def main() -> None:
        async with Bench(capacity=8) as bench:
            bench.classifier.may.clear()
            call = asyncio.create_task(bench.desk.ask([window(n) for n in range(1, 6)], 1_000.0))
            await turns()
            assert bench.scheduler.waiting == 3
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            assert bench.scheduler.waiting == 0
            bench.classifier.may.set()
            await turns()
            assert sorted(bench.outcomes) == [*["abandoned"] * 3, *["classified"] * 2]
            assert sum(map(len, bench.classifier.batches)) == 2

    asyncio.run(main())


def test_once_closed_nobody_is_let_in() -> None:
    """They are told that it goes away."""

    async def main() -> None:
        async with Bench() as bench:
            bench.desk.closed = True
            with pytest.raises(Problem) as refused, bench.desk.admitted(1):
                pass
            assert (refused.value.status, refused.value.code) == (503, "draining")

    asyncio.run(main())
