"""What goes into the use cases of a session, and what comes out of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.sessions.model import Session
from protocol.audio import AudioFormat
from protocol.control import SessionConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """What somebody wants."""

    namespace_id: str | None = None
    user_id: str | None = None
    device_type: str | None = None
    client_version: str | None = None
    legacy: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)
    audio: AudioFormat = field(default_factory=AudioFormat)
    config: SessionConfig = field(default_factory=SessionConfig)


@dataclass(frozen=True, slots=True)
class Created:
    """A new session, and the way in."""

    session: Session
    ticket: str = field(repr=False)
    """Good for one attach of an owner; told once, and kept as a hash only."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A place in a session."""

    session: Session
    resume_token: str | None = field(repr=False)
    """The credential of the next attach; None for an observer."""
    replaced: bool
    """An earlier owner was attached, as far as is known."""
    before: str | None = None
    """The node that the owner before was attached to; None where there was none, or nodes share nothing."""
