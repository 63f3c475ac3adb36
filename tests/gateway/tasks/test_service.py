"""Tasks as their service has them: taken on, done in turn, cancelled, bounded, gone with their session."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gateway.clock import ManualClock
from gateway.errors import NotFound
from gateway.tasks.model import Recipe, State, Task, TaskLimit, TaskNotFound, TaskNotReady
from gateway.tasks.recipes import recipe
from gateway.tasks.service import TaskBounds, TaskService
from gateway.tasks.story import Story
from gateway.tasks.tickets import Basis
from gateway.tasks.worker import Material
from tests.gateway.sessions.kit import run, session


class HandExecutor(Executor):
    """Runs what it was given when the test says so, on the test's own thread."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Future[Any], Callable[[], Any]]] = []
        self.closed = False

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.jobs.append((future, lambda: work(*given, **named)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.closed = True

    def work(self) -> None:
        """Do the oldest."""
        future, work = self.jobs.pop(0)
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)


@dataclass
class Bench:
    """A service whose work, clock and sessions are moved by hand."""

    bounds: TaskBounds = field(default_factory=TaskBounds)
    clock: ManualClock = field(default_factory=ManualClock)
    executor: HandExecutor = field(default_factory=HandExecutor)
    told: list[tuple[str, str]] = field(default_factory=list)
    """Task ids and states as they were announced."""
    ended: list[tuple[str, float | None]] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    """Sessions that are there no more."""

    def __post_init__(self) -> None:
        self.service = TaskService(
            self.read, self.announce, self.clock, self.bounds, self, executor=self.executor
        )

    async def read(self, session_id: str, basis: Basis | None = None) -> Material:
        if session_id in self.gone:
            raise NotFound
        return Material(session(id=session_id), (), {}, False)

    def announce(self, task: Task) -> None:
        self.told.append((task.id, task.state))

    def task(self, outcome: str, took_s: float | None) -> None:
        self.ended.append((outcome, took_s))

    async def __aenter__(self) -> "Bench":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Whatever is under way is stopped."""
        closing = asyncio.create_task(self.service.aclose())
        while not closing.done():
            await self.settle()
            while self.executor.jobs:
                self.executor.work()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def work(self) -> None:
        """Let the loop turn, one job be done, and the loop turn."""
        await self.settle()
        self.executor.work()
        await self.settle()

    def states(self, session_id: str = "s") -> list[str]:
        return [task.state for task in self.service.list(session_id)]


def makes(content: bytes = b"made") -> Recipe:
    """A task that makes `content`."""
    return replace(recipe("summary", None), write=lambda _: iter((content,)))


def test_a_task_is_queued_then_running_then_ready() -> None:
    """Each state is announced once, with its time; the result is there when it is ready, and not before."""

    async def main() -> None:
        async with Bench() as bench:
            task = bench.service.submit("s", makes())
            assert (task.state, task.progress, bench.service.pending("s")) == (State.QUEUED, 0.0, 1)
            with pytest.raises(TaskNotReady):
                bench.service.result(task.id)
            await bench.settle()
            assert (bench.service.get(task.id).state, bench.service.running) == (State.RUNNING, 1)
            bench.clock.advance(0.25)
            await bench.work()
            ready = bench.service.get(task.id)
            assert (ready.state, ready.progress, ready.error_message) == (State.READY, 1.0, None)
            assert ready.updated_at == ready.created_at + 0.25
            assert bench.service.result(task.id).chunks == (b"made",)
            assert [state for _, state in bench.told] == ["queued", "running", "ready"]
            assert bench.ended == [("ready", 0.25)]
            assert (bench.service.pending("s"), bench.service.running, bench.service.result_bytes) == (
                0,
                0,
                4,
            )

    run(main())


def test_no_more_run_at_once_than_there_are_workers() -> None:
    """The others wait in the order in which they came."""

    async def main() -> None:
        async with Bench(TaskBounds(workers=2)) as bench:
            for _ in range(4):
                bench.service.submit("s", makes())
            await bench.settle()
            assert bench.states() == ["running", "running", "queued", "queued"]
            assert (bench.service.running, bench.service.waiting) == (2, 2)
            await bench.work()
            assert bench.states() == ["ready", "running", "running", "queued"]
            for _ in range(3):
                await bench.work()
            assert bench.states() == ["ready"] * 4

    run(main())


def test_at_the_bounds_new_tasks_are_refused() -> None:
    """Too many waiting, or too many of one session: typed, and with a time to come back."""

    async def main() -> None:
        async with Bench(TaskBounds(workers=1, queue=2, per_session=3)) as bench:
            bench.service.submit("a", makes())
            await bench.settle()
            bench.service.submit("a", makes())
            bench.service.submit("b", makes())
            with pytest.raises(TaskLimit, match="waiting") as caught:
                bench.service.submit("c", makes())
            assert (caught.value.code, caught.value.retry_after_s > 0) == ("task_limit", True)
            await bench.work()
            bench.service.submit("a", makes())
            await bench.work()
            with pytest.raises(TaskLimit, match="this session has 3 tasks"):
                bench.service.submit("a", makes())
            assert bench.states("a") == ["ready", "ready", "queued"]
            bench.service.remove(bench.service.list("a")[0].id)
            bench.service.submit("a", makes())

    run(main())


def test_a_namespace_fills_its_own_queue_only() -> None:
    """Another one is taken on, and served before what the first asked for later."""

    async def main() -> None:
        async with Bench(TaskBounds(workers=1, queue=2)) as bench:
            for _ in range(3):
                bench.service.submit("a", makes(), "much")
                await bench.settle()
            with pytest.raises(TaskLimit, match="waiting"):
                bench.service.submit("b", makes(), "much")
            bench.service.submit("c", makes(), "little")
            await bench.work()
            await bench.work()
            assert (bench.states("a"), bench.states("c")) == (["ready", "ready", "queued"], ["running"])

    run(main())


def test_what_a_session_takes_along_is_counted() -> None:
    """Whether it ran or not; not what was over before."""

    async def main() -> None:
        async with Bench(TaskBounds(workers=1)) as bench:
            bench.service.submit("s", makes())
            await bench.settle()
            await bench.work()
            for _ in range(2):
                bench.service.submit("s", makes())
            await bench.settle()
            bench.clock.advance(0.5)
            bench.service.discard("s")
            assert bench.ended == [("ready", 0.0), ("discarded", 0.5), ("discarded", None)]

    run(main())


def test_what_came_to_nothing_makes_room_by_itself() -> None:
    """A session's oldest failed or cancelled task goes before a new one is refused."""

    async def main() -> None:
        async with Bench(TaskBounds(per_session=2)) as bench:
            first = bench.service.submit("s", makes())
            bench.service.submit("s", makes())
            bench.service.remove(first.id)
            bench.service.submit("s", makes())
            assert bench.states() == ["queued", "queued"]
            with pytest.raises(TaskNotFound):
                bench.service.get(first.id)

    run(main())


def test_one_that_waits_is_cancelled_at_once() -> None:
    """It never runs, and the one behind it moves up."""

    async def main() -> None:
        async with Bench(TaskBounds(workers=1)) as bench:
            first, second, third = (bench.service.submit("s", makes()) for _ in range(3))
            await bench.settle()
            assert bench.service.remove(second.id).state is State.CANCELLED
            assert bench.ended == [("cancelled", None)]
            assert bench.service.waiting == 1
            await bench.work()
            await bench.work()
            assert bench.executor.jobs == []
            assert bench.states() == ["ready", "cancelled", "ready"]
            assert (second.id, "running") not in bench.told
            assert (first.id, "ready") in bench.told
            assert (third.id, "ready") in bench.told

    run(main())


def test_one_that_runs_is_cancelled_and_its_work_stops() -> None:
    """It is cancelled at once; its worker is free after the piece that was under way, and makes nothing."""

    async def main() -> None:
        async with Bench(TaskBounds(workers=1)) as bench:
            pieces = 0

            def endless(_: Story) -> Iterator[bytes]:
                nonlocal pieces
                while True:
                    pieces += 1
                    if pieces == 3:
                        assert bench.service.remove(task.id).state is State.CANCELLED
                    yield b"x"

            task = bench.service.submit("s", replace(makes(), write=endless))
            other = bench.service.submit("s", makes())
            await bench.work()
            assert pieces == 3
            assert bench.states() == ["cancelled", "running"]
            with pytest.raises(TaskNotReady):
                bench.service.result(task.id)
            await bench.work()
            assert bench.service.get(other.id).state is State.READY
            states = [state for one, state in bench.told if one == task.id]
            assert states == ["queued", "running", "cancelled"]

    run(main())


def test_progress_is_told_while_it_runs() -> None:
    """Between 0 and 1, and where it stood when it was cancelled."""

    async def main() -> None:
        async with Bench() as bench:

            def halting(_: Story) -> Iterator[bytes]:
                yield b"x"
                assert 0.0 < bench.service.get(task.id).progress <= 1.0
                bench.service.remove(task.id)
                yield b"x"

            task = bench.service.submit("s", replace(makes(), write=halting))
            await bench.work()
            assert 0.0 < bench.service.get(task.id).progress <= 1.0

    run(main())


def test_nothing_is_done_before_it_is_ready() -> None:
    """However many pieces a result turns out to have, progress is 1 only with the result."""

    async def main() -> None:
        async with Bench() as bench:
            seen: list[float] = []

            def long(_: Story) -> Iterator[bytes]:
                for _number in range(10):
                    yield b"x"
                    seen.append(bench.service.get(task.id).progress)

            task = bench.service.submit("s", replace(makes(), write=long))
            await bench.work()
            assert 0.5 < max(seen) < 1.0
            assert bench.service.get(task.id).progress == 1.0

    run(main())


def test_one_that_is_over_is_forgotten_with_its_result() -> None:
    """Removing it gives its bytes back; it is announced no more, as its state did not change."""

    async def main() -> None:
        async with Bench() as bench:
            task = bench.service.submit("s", makes())
            await bench.work()
            assert bench.service.remove(task.id).state is State.READY
            for look in (bench.service.get, bench.service.result, bench.service.remove):
                with pytest.raises(TaskNotFound):
                    look(task.id)
            assert (bench.service.result_bytes, bench.states(), len(bench.told)) == (0, [], 3)

    run(main())


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (TaskBounds(result_bytes=3), "the result is over 3 bytes"),
        (TaskBounds(results_bytes=3), "there is no room for another result"),
    ],
)
def test_a_result_without_room_fails_its_task(bounds: TaskBounds, message: str) -> None:
    """One that is too large by itself, or with all the others; it says so."""

    async def main() -> None:
        async with Bench(bounds) as bench:
            task = bench.service.submit("s", makes(b"four"))
            await bench.work()
            failed = bench.service.get(task.id)
            assert (failed.state, failed.result_available) == (State.FAILED, False)
            assert failed.error_message is not None
            assert failed.error_message.startswith(message)
            assert (bench.ended[0][0], bench.service.result_bytes) == ("failed", 0)

    run(main())


def test_a_defect_fails_one_task_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, the client is told no secrets, and the worker goes on."""

    async def main() -> None:
        async with Bench(TaskBounds(workers=1)) as bench:

            def broken(_: Story) -> Iterator[bytes]:
                yield b"%d" % (1 // len(b""))

            bad = bench.service.submit("s", replace(makes(), write=broken))
            bench.service.submit("s", makes())
            await bench.work()
            await bench.work()
            assert bench.states() == ["failed", "ready"]
            assert "zero" not in (bench.service.get(bad.id).error_message or "")

    run(main())
    assert [record.getMessage() for record in caplog.records] == ["a task failed"]


def test_tasks_go_with_their_session() -> None:
    """Waiting, running or ready: nothing is left, nothing is announced, and others are untouched."""

    async def main() -> None:
        async with Bench(TaskBounds(workers=1)) as bench:
            bench.service.submit("s", makes())
            await bench.work()
            bench.service.submit("s", makes())
            await bench.settle()
            bench.service.submit("s", makes())
            other = bench.service.submit("t", makes())
            assert bench.states() == ["ready", "running", "queued"]
            told = len(bench.told)
            bench.service.discard("s")
            assert (bench.states(), bench.service.result_bytes, bench.service.waiting) == ([], 0, 1)
            await bench.work()
            await bench.work()
            assert bench.service.get(other.id).state is State.READY
            assert {task_id for task_id, _ in bench.told[told:]} == {other.id}
            bench.service.discard("unknown")

    run(main())


def test_a_session_that_is_gone_takes_a_late_task_along() -> None:
    """One that was submitted while its session was being deleted leaves nothing behind."""

    async def main() -> None:
        async with Bench() as bench:
            bench.gone.add("s")
            task = bench.service.submit("s", makes())
            await bench.settle()
            with pytest.raises(TaskNotFound):
                bench.service.get(task.id)
            assert (bench.executor.jobs, bench.service.running) == ([], 0)

    run(main())


def test_the_end_stops_everything() -> None:
    """What runs is stopped and waited for, what waits never starts, and the threads are given back."""

    async def main() -> None:
        async with Bench(TaskBounds(workers=1)) as bench:
            for _ in range(3):
                bench.service.submit("s", makes())
            await bench.settle()
            closing = asyncio.create_task(bench.service.aclose())
            await bench.settle()
            assert not closing.done()
            bench.executor.work()
            await closing
            assert (bench.executor.jobs, bench.executor.closed) == ([], True)
            assert (bench.service.running, bench.service.waiting, bench.states()) == (0, 0, [])

    run(main())


def test_real_threads_do_the_same() -> None:
    """With the pool of its own, results come without anybody's hand."""

    async def main() -> None:
        async with Bench() as bench:
            done = asyncio.Event()

            def announce(task: Task) -> None:
                if task.over and not service.pending("s"):
                    done.set()

            service = TaskService(bench.read, announce, bench.clock, TaskBounds(), bench)
            tasks = [service.submit("s", makes(b"%d" % number)) for number in range(6)]
            async with asyncio.timeout(10):
                await done.wait()
            assert [b"".join(service.result(task.id).chunks) for task in tasks] == [
                b"%d" % n for n in range(6)
            ]
            await service.aclose()

    run(main())
