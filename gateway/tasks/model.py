"""What a task is. Values only: nothing here reads a clock, waits, or does the work."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gateway.errors import LimitExceeded, NotFound, UndertoneError
from gateway.tasks.story import Story


class State(StrEnum):
    """Where a task is in its life."""

    QUEUED = "queued"
    """It waits for a worker."""
    RUNNING = "running"
    """A worker has it."""
    READY = "ready"
    """Its result can be fetched."""
    FAILED = "failed"
    """It came to nothing; `error_message` says why."""
    CANCELLED = "cancelled"
    """It was not wanted any more."""


TERMINAL = frozenset((State.READY, State.FAILED, State.CANCELLED))


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a task is to make, its options read and found good."""

    type: str
    """`export`, `summary`, …"""
    options: Mapping[str, Any]
    """All that are in force, defaults included."""
    write: Callable[[Story], Iterator[bytes]]
    """Yields the result in small pieces: between them the worker pauses, and stops where it is cancelled."""
    media_type: str
    suffix: str
    """How the result's file name ends."""
    pieces: Callable[[Story], int] = lambda story: len(story.events)
    """About how many pieces there will be, for the progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Background work on one session, as it stands."""

    id: str
    """128 random bits in base64url, unpadded."""
    session_id: str
    recipe: Recipe = field(repr=False)
    state: State = State.QUEUED
    """Moved by `lifecycle.advance` only."""
    created_at: float
    """Seconds since the Unix epoch, for people."""
    updated_at: float
    """Seconds since the Unix epoch, for people: when the state last changed."""
    progress: float = 0.0
    """0 to 1; 1 only with the result."""
    error_message: str | None = None
    """Why it failed, in one sentence for people."""

    @property
    def over(self) -> bool:
        """Whether it is ready, failed or cancelled."""
        return self.state in TERMINAL

    @property
    def result_available(self) -> bool:
        """Whether its result can be fetched."""
        return self.state is State.READY


@dataclass(frozen=True, slots=True)
class Result:
    """What a task made; in memory only, like all that it is made of."""

    chunks: tuple[bytes, ...] = field(repr=False)
    """Of some 64 KiB each: joined, they are the file."""
    media_type: str
    filename: str

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.chunks))


def new_task_id() -> str:
    """128 random bits in base64url, unpadded: 22 characters."""
    return secrets.token_urlsafe(16)


class TaskNotFound(NotFound):
    """There is no such task, or its session is none of the caller's business."""

    code = "task_not_found"

    def __init__(self) -> None:
        super().__init__("there is no such task")


class TaskNotReady(UndertoneError):
    """The task has no result: not yet, or not at all."""

    code = "task_not_ready"

    def __init__(self, state: State) -> None:
        super().__init__(f"the task is {state}: it has no result")
        self.state = state


class TaskLimit(LimitExceeded):
    """There is no room for another task, of this session or at all."""

    code = "task_limit"
