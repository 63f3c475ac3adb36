"""The scheduler: batches go to the classifier, answers and failures come back to their sessions."""

import asyncio

import pytest

from gateway.classify.lanes import Lane, Timing
from gateway.classify.port import ClassifierError, Observation, QueueObservation, Window
from gateway.classify.scheduler import Scheduler
from gateway.clock import ManualClock
from tests.gateway.classify.jobs import FakeClassifier, FakeJob


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


def test_batches_are_no_larger_than_the_classifier_has_time_for() -> None:
    """What is more waits for its turn; one window always goes."""
    classifier = FakeClassifier()
    classifier.room = 2

    async def steps(scheduler: Scheduler) -> None:
        for n in range(3):
            scheduler.submit(Lane(), FakeJob(f"s{n}"))
        await settle()
        classifier.room = 0
        for n in range(2):
            scheduler.submit(Lane(), FakeJob(f"t{n}"))
        await settle()

    drive(classifier, steps)
    assert [len(batch) for batch in classifier.batches] == [2, 1, 1, 1]


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


def test_calls_in_flight_are_as_many_as_the_classifier_wants() -> None:
    """Within what is set; it may change its mind while it works, as when its workers come and go."""
    classifier = FakeClassifier()
    classifier.gate.clear()
    classifier.calls = 0

    async def steps(scheduler: Scheduler) -> None:
        for n in range(9):
            scheduler.submit(Lane(), FakeJob(f"s{n}"))
        await settle()
        assert (scheduler.call_limit, classifier.open_calls) == (1, 1)
        classifier.calls = 8
        classifier.gate.set()
        await settle()
        classifier.gate.clear()
        for n in range(9):
            scheduler.submit(Lane(), FakeJob(f"t{n}"))
        await settle()
        assert (scheduler.call_limit, classifier.open_calls) == (3, 3)
        classifier.gate.set()
        await settle()

    drive(classifier, steps, batch_size=1, concurrency=3)
    assert classifier.most_open == 3


def test_a_batch_that_is_large_enough_waits_for_no_more() -> None:
    """Where the classifier wants fewer windows at once than are allowed, so many are a full batch."""
    classifier = FakeClassifier()
    classifier.room = 2

    async def main() -> None:
        scheduler = Scheduler(classifier, ManualClock(0.0), linger_s=30)
        running = asyncio.create_task(scheduler.run())
        for n in range(2):
            scheduler.submit(Lane(), FakeJob(f"s{n}"))
        await settle()
        assert classifier.batches == [["s0", "s1"]]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


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


def test_a_failed_window_leaves_its_batch_mates_alone() -> None:
    """An error in place of an answer is that window's only."""
    classifier = FakeClassifier()
    classifier.bad = {"b"}

    async def steps(scheduler: Scheduler) -> None:
        jobs = [FakeJob(name) for name in "abc"]
        for job in jobs:
            scheduler.submit(Lane(), job)
        await settle()
        assert [job.outcome for job in jobs] == [["classified"], ["failed"], ["classified"]]

    drive(classifier, steps)
    assert classifier.batches == [["a", "b", "c"]]


def test_a_session_that_breaks_on_its_window_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Its window is lost, said once; the others of the batch are classified, and the dispatcher goes on."""
    classifier = FakeClassifier()

    class Broken(FakeJob):
        def window(self) -> Window:
            raise ZeroDivisionError

    async def steps(scheduler: Scheduler) -> None:
        lane, broken = Lane(), Broken("b")
        jobs = [FakeJob("a"), broken, FakeJob("c")]
        for job in jobs:
            scheduler.submit(lane if job is broken else Lane(), job)
        await settle()
        assert [job.outcome for job in jobs] == [["classified"], ["failed"], ["classified"]]
        assert [getattr(job.answer[0], "label", None) for job in (jobs[0], jobs[2])] == ["a", "c"]
        assert not scheduler.stalled
        alone, later = Broken("d"), FakeJob("e")
        scheduler.submit(lane, alone)
        await settle()
        scheduler.submit(lane, later)
        await settle()
        assert (alone.outcome, later.outcome) == (["failed"], ["classified"])

    drive(classifier, steps)
    assert classifier.batches == [["a", "c"], ["e"]]
    assert [record.getMessage() for record in caplog.records] == [
        "a session could not give its window: ZeroDivisionError"
    ] * 2


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


def test_answers_that_take_long_leave_others_their_turn() -> None:
    """The event loop is not held up by all of a batch, and a lane whose answer is still to come has no other
    window under way meanwhile."""
    clock = ManualClock(0.0)
    turns: list[str] = []
    lanes = [Lane() for _ in range(4)]

    class Slow(FakeJob):
        def classified(self, observations: list[Observation], timing: Timing) -> None:
            super().classified(observations, timing)
            clock.advance(0.0015)
            turns.append(self.name)

    async def main() -> None:
        scheduler = Scheduler(FakeClassifier(), clock, linger_s=0)
        running = asyncio.create_task(scheduler.run())
        for n, lane in enumerate(lanes):
            scheduler.submit(lane, Slow(f"s{n}"))
        while len(turns) < 4:
            await asyncio.sleep(0)
            if turns and turns[-1] != "others":
                turns.append("others")
                busy = [lane.in_flight is not None for lane in lanes]
                told = {name for name in turns if name != "others"}
                assert busy == [f"s{n}" not in told for n in range(4)]
        await settle()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())
    assert turns == ["s0", "s1", "others", "s2", "s3", "others"]
    assert not any(lane.in_flight for lane in lanes)


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
