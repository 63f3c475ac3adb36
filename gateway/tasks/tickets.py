"""What nodes that share their sessions tell each other of tasks: tickets, and the port to a store of them.

A ticket says what is made, out of what, and how far it is, and nothing that anybody said. What a task makes
is a pure function of the session's record, so whoever has the ticket makes the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

import orjson

from gateway.errors import BadDocument
from gateway.sessions.document import config_of
from gateway.sessions.model import Status
from gateway.tasks.model import TERMINAL, State
from protocol.control import SessionConfig
from protocol.errors import ProtocolError

VERSION: Final = 1
"""Of the shape; a ticket with a greater one was written by a newer gateway."""


@dataclass(frozen=True, slots=True)
class Basis:
    """Out of what a task makes its result: the session as it was when the task was taken on."""

    upto: int
    """Number of the newest event in the record."""
    truncated: bool
    """Whether the record had reached its bound."""
    status: Status
    config: SessionConfig
    counts: Mapping[str, int]
    """The statistics by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTicket:
    """What every node knows of a task."""

    id: str
    session_id: str
    namespace_id: str | None
    """Whose session it is."""
    type: str
    options: Mapping[str, Any]
    """All that are in force; names and flags, no words."""
    basis: Basis = field(repr=False)
    created_at: float
    """Seconds since the Unix epoch, for people."""
    node: str
    """Who works on it, or did."""
    state: State = State.QUEUED
    """As told last."""
    updated_at: float
    """Seconds since the Unix epoch, for people."""
    error_message: str | None = None

    @property
    def over(self) -> bool:
        """Whether it is ready, failed or cancelled."""
        return self.state in TERMINAL


class Told(StrEnum):
    """What became of the news of a task."""

    DONE = "done"
    OTHERS = "others"
    """Another node has adopted the task. Nothing was written."""
    GONE = "gone"
    """There is no such ticket any more. Nothing was written."""


class TaskTickets(Protocol):
    """Keeps tickets with their sessions: where a session is gone, so are they.

    Raises `StoreUnavailable` where the store can't be reached, everywhere.
    """

    async def add(self, ticket: TaskTicket, at_most: int) -> bool:
        """Keep a new ticket. Counting those of its session and keeping it are one atomic step.

        At the bound the oldest ticket that failed or was cancelled makes room. False: there is none.

        Raises:
            NotFound: its session is not there.
        """
        ...

    async def get(self, task_id: str) -> TaskTicket | None:
        """The ticket, or None."""
        ...

    async def list(self, session_id: str) -> Sequence[TaskTicket]:
        """A session's tickets in the order in which they came."""
        ...

    async def move(
        self, session_id: str, task_id: str, node: str, state: State, at: float, error_message: str | None
    ) -> Told:
        """Say how a task stands that `node` works on."""
        ...

    async def adopt(self, ticket: TaskTicket, node: str, at: float) -> bool:
        """From now on `node` works on it, from `queued` on. False: it is not as `ticket` says any more."""
        ...

    async def remove(self, session_id: str, task_id: str) -> bool:
        """Forget it. Whether it was there."""
        ...

    async def discard(self, session_id: str) -> None:
        """Forget all of a session."""
        ...

    async def there(self, session_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """Ids of the tickets of these sessions, by session; one that has none may be missing."""
        ...


def encode_fixed(ticket: TaskTicket) -> bytes:
    """What of a ticket never changes, but for the ids of task and session: a JSON object, UTF-8."""
    basis = ticket.basis
    return orjson.dumps(
        {
            "v": VERSION,
            "type": ticket.type,
            "options": dict(ticket.options),
            "namespace_id": ticket.namespace_id,
            "created_at": ticket.created_at,
            "upto": basis.upto,
            "truncated": basis.truncated,
            "status": basis.status.value,
            "config": basis.config.to_dict(),
            "counts": dict(basis.counts),
        }
    )


def decode_ticket(
    task_id: str,
    session_id: str,
    fixed: bytes | str,
    *,
    node: str,
    state: str,
    updated_at: float,
    error_message: str | None,
) -> TaskTicket:
    """The ticket of what `encode_fixed` made, and of how it stands.

    Raises:
        BadDocument: it is damaged, or of a newer gateway.
    """
    try:
        said = orjson.loads(fixed)
        if said["v"] > VERSION:
            raise BadDocument("a task's ticket is of a newer version")
        basis = Basis(
            said["upto"],
            said["truncated"],
            Status(said["status"]),
            config_of(said["config"]),
            said["counts"],
        )
        return TaskTicket(
            id=task_id,
            session_id=session_id,
            namespace_id=said["namespace_id"],
            type=said["type"],
            options=said["options"],
            basis=basis,
            created_at=said["created_at"],
            node=node,
            state=State(state),
            updated_at=updated_at,
            error_message=error_message,
        )
    except (ValueError, TypeError, KeyError, ProtocolError) as error:
        raise BadDocument("a task's ticket can't be read") from error
