"""The life of a task, as one table.

A task is *queued* until a worker is free, and *running* until its result is *ready* or it has *failed*. It
can be *cancelled* before that. Nothing leads out of these three: a task that was removed afterwards, or whose
session was, is gone, which is no state.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType

from gateway.tasks.model import TERMINAL, State, Task


class Input(StrEnum):
    """What can happen to a task."""

    START = "start"
    """A worker took it."""
    FINISH = "finish"
    """Its result is whole."""
    FAIL = "fail"
    """There will be no result."""
    CANCEL = "cancel"
    """Nobody wants it any more."""


TRANSITIONS: Mapping[tuple[State, Input], State] = MappingProxyType(
    {
        (State.QUEUED, Input.START): State.RUNNING,
        (State.QUEUED, Input.CANCEL): State.CANCELLED,
        (State.RUNNING, Input.FINISH): State.READY,
        (State.RUNNING, Input.FAIL): State.FAILED,
        (State.RUNNING, Input.CANCEL): State.CANCELLED,
    }
)
"""Where each input leads; what is not here can't happen."""


class IllegalTransition(Exception):
    """An input came that the state has no place for."""

    def __init__(self, state: State, given: Input) -> None:
        super().__init__(f"{given} can't happen to a task that is {state}")
        self.state = state
        self.given = given


def step(state: State, given: Input) -> State:
    """The state after `given`.

    Raises:
        IllegalTransition: the table has no such edge.
    """
    try:
        return TRANSITIONS[state, given]
    except KeyError:
        raise IllegalTransition(state, given) from None


def advance(task: Task, given: Input, *, wall: float, error_message: str | None = None) -> Task:
    """The task after `given`, at `wall` seconds since the Unix epoch.

    Raises:
        IllegalTransition: the table has no such edge.
    """
    state = step(task.state, given)
    progress = 1.0 if state is State.READY else task.progress
    return replace(task, state=state, updated_at=wall, progress=progress, error_message=error_message)


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.QUEUED}"]
    lines += [f"    {before} --> {after}: {given}" for (before, given), after in TRANSITIONS.items()]
    lines += [f"    {state} --> [*]" for state in State if state in TERMINAL]
    return "\n".join(lines) + "\n"
