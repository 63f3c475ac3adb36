"""What a session is. Values only: nothing here reads a clock, waits, or talks to a store.

Stamps named `*_mono` are monotonic seconds and decide everything; `*_at` are wall-clock seconds for people.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from protocol.audio import AudioFormat
from protocol.control import SessionConfig

_NO_COUNTS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(
        (
            "message_count",
            "audio_chunks_received",
            "audio_chunks_processed",
            "next_sample",
            "classified_samples",
            "gap_samples",
            "client_gap_samples",
            "received_samples",
            "pending_samples",
        ),
        0,
    )
)


class Status(StrEnum):
    """Where a session is in its life."""

    CREATED = "created"
    """Nobody has attached yet."""
    LIVE = "live"
    """An owner is attached."""
    DETACHED = "detached"
    """No owner is attached, but one may come (back)."""
    DRAINING = "draining"
    """No more audio; the last windows are being classified."""
    CLOSED = "closed"
    """Ended in order."""
    EXPIRED = "expired"
    """Nobody came, or came back, in time."""
    FAILED = "failed"
    """Lost with its node."""


TERMINAL = frozenset({Status.CLOSED, Status.EXPIRED, Status.FAILED})


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A named moment of a session."""

    name: str
    at: float
    """Seconds since the Unix epoch, for people."""
    sample: int | None = None
    """Where the session's audio was; None where that isn't known."""
    data: Mapping[str, Any] | None = field(default=None, repr=False)
    """What the application says about it; a bounded JSON object."""


@dataclass(frozen=True, slots=True)
class Timers:
    """How long a session may be in what condition."""

    connect_deadline_s: float = 30.0
    """Seconds from creation to the first attach."""
    detached_ttl_s: float = 90.0
    """Seconds without any subscriber, a socket or an observer."""
    idle_ttl_s: float = 300.0
    """Seconds attached without audio, ping or control."""
    session_ttl_s: float = 86_400.0
    """Seconds in total."""
    stale_ttl_s: float = 172_800.0
    """Seconds without a heartbeat, after which its node counts as lost."""
    closed_retention_s: float = 900.0
    """Seconds that a session which is over can still be read."""
    ticket_ttl_s: float = 30.0
    """Seconds that a ticket is good for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One conversation, as the stores keep it."""

    id: str
    """128 random bits in base64url, unpadded; in open mode knowing it is the permission."""
    namespace_id: str | None = None
    """The tenant that owns it; None in open mode."""
    user_id: str | None = None
    """The tenant's name for its user; counted by limits."""
    device_type: str | None = None
    """As the client says."""
    client_version: str | None = None
    """As the client says."""
    legacy: bool = False
    """Made by an older route, where nobody shows a key: with keys on, those routes serve no other."""
    audio: AudioFormat = field(default_factory=AudioFormat)
    """Fixed for its life."""
    config: SessionConfig = field(default_factory=SessionConfig)
    """In force now."""
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the client's application keeps with it; a bounded JSON object, never looked into."""
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the conversation is about, as the application says; the same."""
    checkpoints: tuple[Checkpoint, ...] = ()
    """Oldest first; bounded by `notes`."""
    beat_at: float | None = None
    """Seconds since the Unix epoch: the last heartbeat of the client's application."""
    status: Status = Status.CREATED
    """Moved by `lifecycle.step` only."""
    version: int = 1
    """Counts the store's updates; an update must name the version it is based on."""
    node: str | None = None
    """The node that holds it, or held it last; None where no owner has come, or nodes share nothing."""
    attaches: int = 0
    """Owners so far: what an earlier owner says late is told by it."""
    created_at: float
    """Seconds since the Unix epoch, for people."""
    updated_at: float
    """Seconds since the Unix epoch, for people."""
    created_mono: float
    """Monotonic seconds."""
    seen_mono: float
    """Monotonic seconds: the last heartbeat of the node that holds it."""
    live_mono: float | None = None
    """Monotonic seconds: the last attach of an owner."""
    beat_mono: float | None = None
    """Monotonic seconds: the last heartbeat of the client's application, which any node may be told."""
    detached_mono: float | None = None
    """Monotonic seconds: since when it has no owner, or since an observer last came or went."""
    ended_mono: float | None = None
    """Monotonic seconds: when it was over."""
    end_reason: str | None = None
    """The lifecycle input that ended it, or began to."""
    summary: Mapping[str, Any] | None = None
    """The final counts, once known."""
    resume_hash: str | None = field(default=None, repr=False)
    """SHA-256 of the resume token of the latest attach."""
    previous_resume_hash: str | None = field(default=None, repr=False)
    """SHA-256 of the one before, good until the latest owner has spoken."""

    @property
    def over(self) -> bool:
        """Whether it is closed, expired or failed."""
        return self.status in TERMINAL

    @property
    def truncated_id(self) -> str:
        """What logs and statistics may show of the id."""
        return self.id[:8]

    @property
    def counts(self) -> Mapping[str, int]:
        """The statistics of a session that is not live here: the final ones, or none at all."""
        if self.summary is None:
            return _NO_COUNTS
        return {name: self.summary.get(name, 0) for name in _NO_COUNTS}


def new_session_id() -> str:
    """128 random bits in base64url, unpadded: 22 characters."""
    return secrets.token_urlsafe(16)
