"""Whatever is asked of tasks, in any order: the bounds hold, every state came by the table, nothing leaks."""

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.tasks.lifecycle import TRANSITIONS
from gateway.tasks.model import State, Task, TaskLimit, TaskNotFound, TaskNotReady
from gateway.tasks.service import TaskBounds, TaskService
from tests.gateway.tasks.test_service import Bench, makes

BOUNDS = TaskBounds(workers=2, queue=3, per_session=4, result_bytes=8, results_bytes=20)
NAMESPACES = {"a": "one", "b": "one", "c": "two"}
SESSIONS = st.sampled_from(sorted(NAMESPACES))


class Reading:
    """Somebody who reads a result, slowly."""

    def __init__(self, service: TaskService, task: Task) -> None:
        self.task = task
        self.stopped = False
        self._stack = ExitStack()
        self.result = self._stack.enter_context(service.open_result(task.id, self.stop))

    def stop(self) -> None:
        """It is told once."""
        assert not self.stopped
        self.stopped = True

    def close(self) -> None:
        """It has all, or gave up."""
        self._stack.close()


class Tasks(RuleBasedStateMachine):
    """Clients of three sessions, and a worker's hand."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.bench = Bench(BOUNDS)
        self.ids: list[str] = []
        self.reading: list[Reading] = []

    def teardown(self) -> None:
        """Everything can be ended from wherever things stand."""
        while self.reading:
            self.reading.pop().close()
        self.loop.run_until_complete(self.bench.__aexit__())
        self.loop.close()
        assert self.bench.service.running == 0
        assert self.bench.service.result_bytes == 0

    def turn(self) -> None:
        self.loop.run_until_complete(self.bench.settle())

    def ready(self) -> list[Task]:
        """Tasks that have a result."""
        return [
            task for session in sorted(NAMESPACES) for task in self.bench.service.list(session, State.READY)
        ]

    def waiting(self, namespace_id: str) -> int:
        service = self.bench.service
        return sum(
            len(service.list(session, State.QUEUED))
            for session, owner in NAMESPACES.items()
            if owner == namespace_id
        )

    @rule(session=SESSIONS, size=st.integers(0, 10), turns=st.booleans())
    def submit(self, session: str, size: int, turns: bool) -> None:
        """A client wants something; it may be too large."""

        service = self.bench.service
        full = self.waiting(NAMESPACES[session]) == BOUNDS.queue
        full = full or len(service.list(session)) == BOUNDS.per_session

        async def ask() -> None:
            self.ids.append(service.submit(session, makes(b"x" * size), NAMESPACES[session]).id)

        try:
            self.loop.run_until_complete(ask())
        except TaskLimit:
            assert full
        if turns:
            self.turn()

    @precondition(lambda self: self.bench.executor.jobs)
    @rule()
    def work(self) -> None:
        """A worker is done with its oldest job."""
        self.bench.executor.work()
        self.turn()

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """A client removes a task, perhaps one that is gone."""
        task_id = data.draw(st.sampled_from(self.ids))
        try:
            before = self.bench.service.get(task_id)
        except TaskNotFound:
            return
        after = self.bench.service.remove(task_id)
        assert after.state is (before.state if before.over else State.CANCELLED)

    @precondition(lambda self: self.ready())
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """Somebody begins to read a result."""
        self.reading.append(Reading(self.bench.service, data.draw(st.sampled_from(self.ready()))))

    @precondition(lambda self: self.reading)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        """Somebody is done reading."""
        self.reading.pop(data.draw(st.integers(0, len(self.reading) - 1))).close()

    @rule(session=SESSIONS)
    def discard(self, session: str) -> None:
        """A session is deleted: who reads what it made is told to stop."""
        made = {task.id for task in self.bench.service.list(session)}
        self.bench.service.discard(session)
        assert self.bench.service.list(session) == []
        assert all(one.stopped for one in self.reading if one.task.id in made)

    @rule()
    def pass_time(self) -> None:
        """The loop turns."""
        self.turn()

    @invariant()
    def bounds_hold(self) -> None:
        """Whatever was asked."""
        service = self.bench.service
        assert service.running <= BOUNDS.workers
        assert all(self.waiting(namespace) <= BOUNDS.queue for namespace in NAMESPACES.values())
        tasks = [task for session in "abc" for task in service.list(session)]
        assert all(len(service.list(session)) <= BOUNDS.per_session for session in "abc")
        for task in tasks:
            assert task.result_available == (task.state is State.READY)
            if not task.result_available:
                with pytest.raises(TaskNotReady):
                    service.result(task.id)

    @invariant()
    def bytes_are_counted_while_they_are_there(self) -> None:
        """Of what can be asked for and of what is still read, each once; no namespace has too many."""
        service = self.bench.service
        held = {task.id: (task.session_id, service.result(task.id).size) for task in self.ready()}
        held |= {one.task.id: (one.task.session_id, one.result.size) for one in self.reading}
        assert service.result_bytes == sum(size for _, size in held.values())
        for namespace in NAMESPACES.values():
            of_it = [size for session, size in held.values() if NAMESPACES[session] == namespace]
            assert sum(of_it) <= BOUNDS.results_bytes

    @invariant()
    def states_follow_the_table(self) -> None:
        """As announced, each task was queued first and moved along its edges."""
        edges = {(before, after) for (before, _), after in TRANSITIONS.items()}
        last: dict[str, str] = {}
        for task_id, state in self.bench.told:
            if task_id in last:
                assert (last[task_id], state) in edges
            else:
                assert state == State.QUEUED
            last[task_id] = state
        for session in "abc":
            for task in self.bench.service.list(session):
                assert last[task.id] == task.state


TestTasks = Tasks.TestCase
TestTasks.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
