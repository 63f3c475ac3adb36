"""How sessions look over REST."""

from typing import Any

from gateway.api.answers import iso
from gateway.sessions.model import Checkpoint, Session, Status, Timers

PREFIX = "/api/v1/sessions"


def expires_at(session: Session, timers: Timers) -> float:
    """When the session ends at the latest if things stay as they are; when it ended, if it is over."""
    if session.over:
        return session.updated_at
    waiting = session.status is Status.CREATED
    return session.created_at + (timers.connect_deadline_s if waiting else timers.session_ttl_s)


def checkpoint_view(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint, with what isn't known as null."""
    return {
        "name": checkpoint.name,
        "at": iso(checkpoint.at),
        "sample": checkpoint.sample,
        "data": checkpoint.data,
    }
