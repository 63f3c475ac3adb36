"""What can be done with tasks. All of it but the work itself is synchronous, on the event loop's thread.

Tasks and their results live in this process's memory, next to the sessions that they are of, and go with
them. Three bounds hold: tasks of a session, tasks of a namespace that wait, bytes of its results. At the
first two, new tasks are refused; a task whose result has no room fails. Workers go to namespaces in turn, and
within each to its sessions: who asks for much waits for it, and nobody else does.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gateway.clock import Clock
from gateway.errors import NotFound, StoreUnavailable
from gateway.tasks.held import Held, current
from gateway.tasks.lifecycle import Input, advance
from gateway.tasks.model import (
    Recipe,
    Result,
    State,
    Task,
    TaskLimit,
    TaskNotFound,
    TaskNotReady,
    new_task_id,
)
from gateway.tasks.results import Kept, NoRoom, Results
from gateway.tasks.tickets import Basis
from gateway.tasks.turns import Turns
from gateway.tasks.worker import Cancelled, Job, Material, TooLarge

log = logging.getLogger(__name__)

RETRY_S = 2.0
"""Seconds after which there may be room again: most tasks take less."""

DISCARDED = "discarded"
"""What became of a task that was not over when its session went."""

Read: TypeAlias = Callable[[str, Basis | None], Awaitable[Material]]
"""Reads a session by id, as it was at the basis, or as it is; raises NotFound where it is gone."""
Announce: TypeAlias = Callable[[Task], None]
"""Says in the session's event log what became of a task."""


class TaskObserver(Protocol):
    """Told of tasks that ended."""

    def task(self, outcome: str, took_s: float | None) -> None:
        """A task is over: its last state, or `DISCARDED`, and for how long it was running; None where it
        never ran."""
        ...


@dataclass(frozen=True, slots=True)
class TaskBounds:
    """How much there may be."""

    workers: int = 2
    """Tasks that run at the same time."""
    queue: int = 64
    """Tasks of one namespace that wait for a worker."""
    per_session: int = 8
    """Tasks of one session, those that are over included."""
    result_bytes: int = 8 * 1024 * 1024
    """Bytes of one result."""
    results_bytes: int = 256 * 1024 * 1024
    """Bytes of all results of one namespace."""


class TaskService:
    """Takes tasks, has them done, keeps what they made.

    Args:
        executor: runs the work; a pool of threads of its own unless given.
    """

    def __init__(
        self,
        read: Read,
        announce: Announce,
        clock: Clock,
        bounds: TaskBounds,
        observer: TaskObserver,
        *,
        executor: Executor | None = None,
    ) -> None:
        self._read = read
        self._announce = announce
        self._clock = clock
        self._bounds = bounds
        self._observer = observer
        self._executor = executor or ThreadPoolExecutor(bounds.workers, thread_name_prefix="task")
        self._tasks: dict[str, Held] = {}
        self._of: dict[str, dict[str, Held]] = {}
        self._queue: Turns[Held] = Turns()
        self._workers: set[asyncio.Task[None]] = set()
        self._closed = False
        self._results = Results(bounds.results_bytes)

    @property
    def result_bytes(self) -> int:
        """Bytes of the results held, those included that somebody still reads."""
        return self._results.bytes

    @property
    def waiting(self) -> int:
        """Tasks that wait for a worker."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Workers that are at work."""
        return len(self._workers)

    # Asking -----------------------------------------------------------------------------------------------

    def submit(self, session_id: str, recipe: Recipe, namespace_id: str | None = None) -> Task:
        """Take a task on; it runs when a worker is free.

        Args:
            namespace_id: whose session it is.

        Raises:
            TaskLimit: the session has too many, or too many of its namespace wait. One that failed or was
                cancelled makes room by itself; one that is ready has to be removed.
        """
        self.check_queue(namespace_id)
        self._make_room(session_id)
        return self.take(self.draft(session_id, recipe), namespace_id)

    def check_queue(self, namespace_id: str | None) -> None:
        """Raises TaskLimit where as many of a namespace wait as may."""
        if self._queue.of(namespace_id) >= self._bounds.queue:
            raise TaskLimit("too many tasks are waiting for a worker", RETRY_S)

    def draft(self, session_id: str, recipe: Recipe) -> Task:
        """A new task that nobody has taken on yet."""
        now = self._clock.time()
        return Task(id=new_task_id(), session_id=session_id, recipe=recipe, created_at=now, updated_at=now)

    def take(
        self, task: Task, namespace_id: str | None, basis: Basis | None = None, *, copy: bool = False
    ) -> Task:
        """Take on a task that is queued, however many its session has.

        Args:
            basis: what it is to be made out of.
            copy: make again what another node has made; nobody is told how that goes.

        Raises:
            TaskLimit: too many of its namespace wait.
        """
        self.check_queue(namespace_id)
        if not copy:
            self._announce(task)  # first: what can't be told is not taken on
        job = Job(task.recipe, self._bounds.result_bytes)
        held = Held(task, job, namespace_id, basis=basis, copy=copy)
        self._tasks[task.id] = held
        self._of.setdefault(task.session_id, {})[task.id] = held
        self._queue.add(namespace_id, task.session_id, held)
        self._employ()
        return task

    def get(self, task_id: str) -> Task:
        """The task as it is now.

        Raises:
            TaskNotFound: there is none.
        """
        return current(self._find(task_id))

    def find(self, task_id: str) -> Task | None:
        """The task as it is now, or None."""
        held = self._tasks.get(task_id)
        return None if held is None else current(held)

    def held(self) -> Mapping[str, Sequence[str]]:
        """Ids of all tasks, by session."""
        return {session_id: tuple(tasks) for session_id, tasks in self._of.items()}

    async def settled(self, task_id: str, within_s: float) -> None:
        """Return once the task is over or gone, or after so many seconds."""
        held = self._tasks.get(task_id)
        if held is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await held.settled.wait()

    def list(self, session_id: str, state: State | None = None) -> Sequence[Task]:
        """The session's tasks in the order in which they came."""
        tasks = [current(held) for held in self._of.get(session_id, {}).values()]
        return [task for task in tasks if state is None or task.state is state]

    def pending(self, session_id: str) -> int:
        """How many of the session's tasks are queued or running."""
        return sum(not held.task.over for held in self._of.get(session_id, {}).values())

    def result(self, task_id: str) -> Result:
        """What the task made.

        Raises:
            TaskNotFound: there is no such task.
            TaskNotReady: it made nothing, or nothing yet.
        """
        return self._kept(task_id).result

    def open_result(self, task_id: str, stop: Callable[[], None]) -> AbstractContextManager[Result]:
        """What the task made, to be read slowly; until this is closed, its bytes are not given back.

        Args:
            task_id: which one.
            stop: called where the session is discarded meanwhile: then it has to be closed soon.

        Raises:
            TaskNotFound: there is no such task.
            TaskNotReady: it made nothing, or nothing yet.
        """
        return self._kept(task_id).reading(stop)

    # Ending -----------------------------------------------------------------------------------------------

    def remove(self, task_id: str) -> Task:
        """Cancel the task where it is not over; one that is over is forgotten, with its result.

        Raises:
            TaskNotFound: there is none.
        """
        held = self._find(task_id)
        if held.task.over:
            self._forget(held)
        else:
            self._stop(held)
            self._move(held, Input.CANCEL)
        return held.task

    def drop(self, task_id: str) -> None:
        """Somebody removed the task on another node: it is cancelled where it is not over, and forgotten.

        Nothing happens where there is none.
        """
        held = self._tasks.get(task_id)
        if held is None:
            return
        if not held.task.over:
            self._stop(held)
            self._move(held, Input.CANCEL)
        self._forget(held)

    def discard(self, session_id: str) -> None:
        """The session is gone, and its tasks and results with it; who reads one is told to stop."""
        for held in tuple(self._of.get(session_id, {}).values()):
            self._stop(held)
            self._forget(held, stop_reading=True)
            if not held.task.over:
                self._observer.task(DISCARDED, self._took(held))

    async def aclose(self) -> None:
        """Stop all work and wait for the stretch that is under way."""
        self._closed = True
        for session_id in tuple(self._of):
            self.discard(session_id)
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._executor.shutdown()

    # Within -----------------------------------------------------------------------------------------------

    def _find(self, task_id: str) -> Held:
        held = self._tasks.get(task_id)
        if held is None:
            raise TaskNotFound
        return held

    def _kept(self, task_id: str) -> Kept:
        held = self._find(task_id)
        if held.kept is None:
            raise TaskNotReady(held.task.state)
        return held.kept

    def _make_room(self, session_id: str) -> None:
        tasks = self._of.get(session_id, {})
        if len(tasks) < self._bounds.per_session:
            return
        useless = _first(held for held in tasks.values() if held.task.over and held.kept is None)
        if useless is None:
            message = f"this session has {len(tasks)} tasks, as many as allowed: delete one"
            raise TaskLimit(message, RETRY_S)
        self._forget(useless)

    def _stop(self, held: Held) -> None:
        held.job.cancel()
        self._queue.remove(held.namespace_id, held.task.session_id, held)

    def _forget(self, held: Held, *, stop_reading: bool = False) -> None:
        task = held.task
        del self._tasks[task.id]
        siblings = self._of[task.session_id]
        del siblings[task.id]
        if not siblings:
            del self._of[task.session_id]
        held.settled.set()
        if held.kept is not None:
            held.kept.forget(stop=stop_reading)

    def _move(self, held: Held, given: Input, error_message: str | None = None) -> None:
        task = advance(current(held), given, wall=self._clock.time(), error_message=error_message)
        held.task = task
        if given is Input.START:
            held.started = self._clock.monotonic()
        if task.over:
            held.settled.set()
            self._observer.task(task.state, self._took(held))
        if not held.copy:
            self._announce(task)

    def _took(self, held: Held) -> float | None:
        return None if held.started is None else self._clock.monotonic() - held.started

    def _employ(self) -> None:
        while self._queue and len(self._workers) < self._bounds.workers and not self._closed:
            worker = asyncio.create_task(self._work(self._queue.take()))
            self._workers.add(worker)
            worker.add_done_callback(self._dismiss)

    def _dismiss(self, worker: "asyncio.Task[None]") -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            log.error("a task's end could not be told", exc_info=error)
        self._employ()

    async def _work(self, held: Held) -> None:
        """See one task through; whatever happens to it happens to nobody else."""
        if not self._wanted(held):
            return
        self._move(held, Input.START)
        try:
            result = await self._make(held)
        except Cancelled:
            return
        except NotFound:
            self.discard(held.task.session_id)
        except StoreUnavailable:
            self._fail(held, "the session could not be read: the store is away; try again later")
        except TooLarge:
            self._fail(held, f"the result is over {self._bounds.result_bytes} bytes")
        except Exception:
            log.exception("a task failed", extra={"task_type": held.task.recipe.type})
            self._fail(held, "the gateway failed; it has logged why")
        else:
            self._finish(held, result)

    async def _make(self, held: Held) -> Result:
        material = await self._read(held.task.session_id, held.basis)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, held.job.run, material)
        except asyncio.CancelledError:
            held.job.cancel()
            raise

    def _wanted(self, held: Held) -> bool:
        """Whether the task is neither cancelled nor gone with its session."""
        return held.task.id in self._tasks and not held.task.over

    def _fail(self, held: Held, message: str) -> None:
        if self._wanted(held):
            self._move(held, Input.FAIL, message)

    def _finish(self, held: Held, result: Result) -> None:
        if not self._wanted(held):
            return
        try:
            held.kept = self._results.keep(held.namespace_id, result)
        except NoRoom:
            self._fail(held, "there is no room for another result now; delete some, or try again later")
        else:
            self._move(held, Input.FINISH)


def _first(held: Iterable[Held]) -> Held | None:
    return next(iter(held), None)
