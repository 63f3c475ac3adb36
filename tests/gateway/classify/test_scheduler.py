"""The scheduler: who waits, who is shed, who goes next, and what comes back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.classify.port import (
    ClassifierError,
    Health,
    HealthStatus,
    Observation,
    QueueObservation,
    Window,
)
from gateway.classify.scheduler import Batch, Lane, Scheduler, Timing, WindowQueue
from gateway.clock import ManualClock


@dataclass(eq=False)
class FakeJob:
    """A job that remembers what became of it."""

    name: str
    arrived: float = 0.0
    outcome: list[str] = field(default_factory=list)
    answer: list[Observation] = field(default_factory=list)
    timing: Timing | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def window(self) -> Window:
        samples = np.zeros(16, np.int16)
        return Window(samples=samples, owned=16, end_s=1.0, state={}, session=self.name)

    def classified(self, observations: list[Observation], timing: Timing) -> None:
        self.outcome.append("classified")
        self.answer = observations
        self.timing = timing

    def failed(self, error: ClassifierError) -> None:
        self.outcome.append("failed")
        self.done.set()

    def shed(self) -> None:
        self.outcome.append("shed")


class FakeClassifier:
    """Answers each window with its session's name, when told to."""

    name = "fake"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.open_calls = 0
        self.most_open = 0

    async def classify(self, batch: Sequence[Window]) -> list[list[Observation]]:
        self.batches.append([window.session for window in batch])
        self.entered.set()
        self.open_calls += 1
        self.most_open = max(self.most_open, self.open_calls)
        try:
            await self.gate.wait()
        finally:
            self.open_calls -= 1
        if self.error is not None:
            raise self.error
        return [[QueueObservation(label=window.session, confidence=1.0)] for window in batch]

    async def health(self) -> Health:
        return Health(HealthStatus.READY)

    async def aclose(self) -> None: ...


def queue(capacity: int = 100, deadline_s: float = 2.0) -> WindowQueue:
    return WindowQueue(capacity=capacity, deadline_s=deadline_s)


def names(batch: Batch) -> list[str]:
    return [job.name for _, job in batch.items if isinstance(job, FakeJob)]


def test_a_lane_keeps_only_its_newest_windows() -> None:
    """A third waiting window pushes the oldest out."""
    windows, lane = queue(), Lane(depth=2)
    jobs = [FakeJob(str(n)) for n in range(4)]
    shed = [job for one in jobs for job in windows.submit(lane, one)]
    assert shed == jobs[:2]
    assert list(lane.waiting) == jobs[2:]


def test_lanes_take_turns() -> None:
    """One session with many windows gets one place in a batch, like everybody."""
    windows = queue()
    greedy, modest = Lane(depth=None), Lane(depth=2)
    for n in range(5):
        windows.submit(greedy, FakeJob(f"g{n}"))
    windows.submit(modest, FakeJob("m0"))
    batch, _ = windows.take(32, now=0.0)
    assert names(batch) == ["g0", "m0"]


def test_a_lane_has_one_window_in_flight() -> None:
    """The next window of a session waits until the one before came back."""
    windows, lane = queue(), Lane()
    windows.submit(lane, FakeJob("a"))
    windows.submit(lane, FakeJob("b"))
    assert names(windows.take(32, 0.0)[0]) == ["a"]
    assert windows.take(32, 0.0)[0].items == ()
    windows.finish(lane)
    assert names(windows.take(32, 0.0)[0]) == ["b"]


def test_late_windows_are_shed_at_dispatch() -> None:
    """A realtime window past its deadline is handed back, and the lane's next one goes in its place."""
    windows, lane = queue(deadline_s=2.0), Lane(depth=6)
    windows.submit(lane, FakeJob("old", arrived=0.0))
    windows.submit(lane, FakeJob("new", arrived=3.0))
    batch, late = windows.take(32, now=3.5)
    assert (names(batch), [job.name for job in late if isinstance(job, FakeJob)]) == (["new"], ["old"])


def test_lossless_windows_have_no_deadline() -> None:
    """A lossless lane waits as long as it takes."""
    windows, lane = queue(), Lane(depth=None)
    windows.submit(lane, FakeJob("old", arrived=0.0))
    assert names(windows.take(32, now=1e6)[0]) == ["old"]


def test_the_queue_over_all_lanes_is_bounded() -> None:
    """At the bound the submitting lane loses its own oldest window, not a neighbour's."""
    windows = queue(capacity=2)
    first, second = Lane(depth=None), Lane(depth=None)
    windows.submit(first, FakeJob("a"))
    windows.submit(second, FakeJob("b"))
    newest = FakeJob("c")
    assert [job.name for job in windows.submit(second, newest) if isinstance(job, FakeJob)] == ["b"]
    assert windows.waiting == 2


def test_a_closed_lane_gives_its_windows_back_and_takes_no_more() -> None:
    """Nothing of a session that is gone stays in the queue."""
    windows, lane = queue(), Lane()
    job = FakeJob("a")
    windows.submit(lane, job)
    assert windows.close(lane) == [job]
    later = FakeJob("b")
    assert windows.submit(lane, later) == [later]
    assert (windows.waiting, windows.ready) == (0, 0)


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("submit"), st.integers(0, 3)),
            st.tuples(st.just("take"), st.integers(1, 4)),
            st.tuples(st.just("finish"), st.integers(0, 3)),
            st.tuples(st.just("close"), st.integers(0, 3)),
            st.tuples(st.just("wait"), st.integers(0, 3)),
        ),
        max_size=60,
    )
)
def test_every_window_has_exactly_one_fate(steps: list[tuple[str, int]]) -> None:
    """Whatever happens, each submitted window is waiting, in flight, taken, or handed back: once."""
    windows = queue(capacity=7)
    lanes = [Lane(depth=2), Lane(depth=None), Lane(depth=6), Lane(depth=1)]
    now, submitted = 0.0, 0
    fates: list[FakeJob] = []
    for step, number in steps:
        match step:
            case "submit":
                submitted += 1
                job = FakeJob(str(submitted), arrived=now)
                fates += [one for one in windows.submit(lanes[number], job) if isinstance(one, FakeJob)]
            case "take":
                batch, late = windows.take(number, now)
                fates += [one for _, one in batch.items if isinstance(one, FakeJob)]
                fates += [one for one in late if isinstance(one, FakeJob)]
            case "finish" if lanes[number].in_flight is not None:
                windows.finish(lanes[number])
            case "close":
                fates += [one for one in windows.close(lanes[number]) if isinstance(one, FakeJob)]
            case "wait":
                now += number
    waiting = [job for lane in lanes for job in lane.waiting]
    assert windows.waiting == len(waiting)
    assert len(fates) + len(waiting) == submitted
    assert len({id(job) for job in [*fates, *waiting]}) == submitted


async def settle() -> None:
    """Let everything that can run now run."""
    for _ in range(20):
        await asyncio.sleep(0)


def drive(classifier: FakeClassifier, steps: object, **options: object) -> None:
    """Run `steps(scheduler)` beside a running scheduler."""

    async def main() -> None:
        scheduler = Scheduler(classifier, ManualClock(0.0), linger_s=0, **options)  # type: ignore[arg-type]
        running = asyncio.create_task(scheduler.run())
        try:
            await steps(scheduler)  # type: ignore[operator]
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


def test_answers_go_back_in_order_with_their_timing() -> None:
    """Each job gets its own window's answer and receipt."""
    classifier = FakeClassifier()

    async def steps(scheduler: Scheduler) -> None:
        jobs = [FakeJob(f"s{n}") for n in range(3)]
        for job in jobs:
            scheduler.submit(Lane(), job)
        await settle()
        for job in jobs:
            assert job.outcome == ["classified"]
            assert isinstance(job.answer[0], QueueObservation)
            assert job.answer[0].label == job.name
            assert job.timing == Timing(0.0, 0.0)

    drive(classifier, steps)
    assert classifier.batches == [["s0", "s1", "s2"]]


def test_batches_are_no_larger_than_set() -> None:
    """A full batch goes; the rest follow in the next."""
    classifier = FakeClassifier()

    async def steps(scheduler: Scheduler) -> None:
        for n in range(5):
            scheduler.submit(Lane(), FakeJob(f"s{n}"))
        await settle()

    drive(classifier, steps, batch_size=2)
    assert [len(batch) for batch in classifier.batches] == [2, 2, 1]


def test_calls_in_flight_are_bounded() -> None:
    """A stalled classifier holds no more calls open than set, and the rest waits."""
    classifier = FakeClassifier()
    classifier.gate.clear()

    async def steps(scheduler: Scheduler) -> None:
        for n in range(8):
            scheduler.submit(Lane(), FakeJob(f"s{n}"))
        await settle()
        assert (classifier.open_calls, scheduler.waiting) == (2, 4)
        classifier.gate.set()
        await settle()
        assert scheduler.waiting == 0

    drive(classifier, steps, batch_size=2, concurrency=2)
    assert classifier.most_open == 2


@pytest.mark.parametrize("error", [ClassifierError("no"), RuntimeError("a defect")])
def test_a_failed_batch_fails_its_jobs_only(error: Exception) -> None:
    """A failure reaches each job of the batch, and the scheduler goes on."""
    classifier = FakeClassifier()

    async def steps(scheduler: Scheduler) -> None:
        classifier.error = error
        lane, unlucky, lucky = Lane(), FakeJob("a"), FakeJob("b")
        scheduler.submit(lane, unlucky)
        await settle()
        classifier.error = None
        scheduler.submit(lane, lucky)
        await settle()
        assert (unlucky.outcome, lucky.outcome) == (["failed"], ["classified"])

    drive(classifier, steps)


def test_a_session_that_breaks_on_its_answer_hurts_nobody() -> None:
    """A defect in one session's callback leaves its batch-mates and the dispatcher alone."""
    classifier = FakeClassifier()

    class Broken(FakeJob):
        def classified(self, observations: list[Observation], timing: Timing) -> None:
            raise RuntimeError("a defect")

    async def steps(scheduler: Scheduler) -> None:
        broken, sound, later = Broken("a"), FakeJob("b"), FakeJob("c")
        scheduler.submit(Lane(), broken)
        scheduler.submit(Lane(), sound)
        await settle()
        scheduler.submit(Lane(), later)
        await settle()
        assert (sound.outcome, later.outcome) == (["classified"], ["classified"])

    drive(classifier, steps)


def test_a_classifier_that_gives_no_answer_is_given_up() -> None:
    """Its windows fail at the deadline, the scheduler says so, and an answer later makes it well again."""
    classifier = FakeClassifier()
    classifier.gate.clear()

    async def steps(scheduler: Scheduler) -> None:
        unlucky, lucky = FakeJob("a"), FakeJob("b")
        scheduler.submit(Lane(), unlucky)
        await classifier.entered.wait()
        async with asyncio.timeout(5):
            await unlucky.done.wait()
        stalled = [scheduler.stalled]
        classifier.gate.set()
        scheduler.submit(Lane(), lucky)
        await settle()
        stalled.append(scheduler.stalled)
        assert (unlucky.outcome, lucky.outcome) == (["failed"], ["classified"])
        assert stalled == [True, False]

    drive(classifier, steps, call_s=0.01)
