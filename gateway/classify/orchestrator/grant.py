"""What an orchestrator gives: a sidecar for a time, and what lets us in there."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One that was allocated."""

    url: str
    token: str | None = field(default=None, repr=False)
    """For this sidecar alone; None where the orchestrator gave none. Never logged."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A sidecar, for a time."""

    id: str
    sidecar: Sidecar
