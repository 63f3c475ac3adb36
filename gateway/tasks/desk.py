"""Where tasks are asked for: at this node, for those in its memory, or at any, for those of all nodes."""

from collections.abc import Sequence
from typing import Protocol

from gateway.sessions.model import Session
from gateway.tasks.model import Recipe, State, Task, TaskNotFound
from gateway.tasks.service import TaskService


class TaskDesk(Protocol):
    """What can be done with tasks, wherever they are; raises `StoreUnavailable` where that can't be known."""

    async def submit(self, session: Session, recipe: Recipe) -> Task:
        """Take a task on; see `TaskService.submit`."""
        ...

    async def session_of(self, task_id: str) -> str:
        """Whose task it is, by which it is decided who may ask for it; nothing else happens.

        Raises:
            TaskNotFound: there is none.
        """
        ...

    async def get(self, task_id: str) -> Task:
        """The task as it is now.

        Raises:
            TaskNotFound: there is none.
        """
        ...

    async def list(self, session_id: str, state: State | None = None) -> Sequence[Task]:
        """The session's tasks in the order in which they came."""
        ...

    async def pending(self, session_id: str) -> int:
        """How many of the session's tasks are queued or running."""
        ...

    async def fetch(self, task_id: str) -> None:
        """Have the result of a task in this node's memory.

        Raises:
            TaskNotFound: there is no such task.
            TaskNotReady: it has no result, or not soon enough.
            TaskLimit: there is no room for it here.
        """
        ...

    async def remove(self, task_id: str) -> Task:
        """Cancel the task where it is not over; one that is over is forgotten, with its result.

        Raises:
            TaskNotFound: there is none.
        """
        ...

    async def forget(self, session_id: str) -> None:
        """The session is being deleted; afterwards no node tells of its tasks, unless the store is away."""
        ...

    def discard(self, session_id: str) -> None:
        """The session is gone, and its tasks and results with it; other nodes find out soon."""
        ...


class LocalDesk:
    """Tasks of this process; nobody else has any."""

    def __init__(self, service: TaskService) -> None:
        self._service = service

    async def submit(self, session: Session, recipe: Recipe) -> Task:
        return self._service.submit(session.id, recipe, session.namespace_id)

    async def session_of(self, task_id: str) -> str:
        return self._service.get(task_id).session_id

    async def get(self, task_id: str) -> Task:
        return self._service.get(task_id)

    async def list(self, session_id: str, state: State | None = None) -> Sequence[Task]:
        return self._service.list(session_id, state)

    async def pending(self, session_id: str) -> int:
        return self._service.pending(session_id)

    async def fetch(self, task_id: str) -> None:
        if self._service.find(task_id) is None:
            raise TaskNotFound

    async def remove(self, task_id: str) -> Task:
        return self._service.remove(task_id)

    async def forget(self, session_id: str) -> None:
        self._service.discard(session_id)

    def discard(self, session_id: str) -> None:
        self._service.discard(session_id)
