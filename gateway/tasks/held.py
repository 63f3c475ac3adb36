"""What a node has of a task."""

import asyncio
from dataclasses import dataclass, field, replace

from gateway.tasks.model import State, Task
from gateway.tasks.results import Kept
from gateway.tasks.tickets import Basis
from gateway.tasks.worker import Job

_NEARLY = 0.999
"""The progress of a task that has no result yet, at most."""


@dataclass(slots=True)
class Held:
    """A task that is taken on, with all that there is of it."""

    task: Task
    job: Job
    namespace_id: str | None
    """Whose session it is of."""
    started: float | None = None
    """Monotonic seconds."""
    kept: Kept | None = None
    """What it made."""
    basis: Basis | None = None
    """Out of what; None: the session as it is when the work begins."""
    copy: bool = False
    """Another node tells how the task stands; nobody is told of this one."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """It is over, or forgotten."""


def current(held: Held) -> Task:
    """The task as it is now."""
    if held.task.state is not State.RUNNING:
        return held.task
    return replace(held.task, progress=min(round(held.job.progress, 3), _NEARLY))
