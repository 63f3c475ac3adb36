"""What a load run is asked to do, and the address its sessions are opened at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from gateway.commands.link import voice_url
from gateway.commands.load_profiles import Profile, Shape
from protocol.audio import AudioFormat


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What to do."""

    url: str
    sessions: int
    duration_s: float
    """Seconds of audio of each session; in a ramp and a soak, of the whole run"""
    ramp_s: float
    """Seconds over which sessions start"""
    audio: AudioFormat
    frame_ms: int
    config: Mapping[str, Any] = field(default_factory=dict)
    file: str | None = None
    pid: int | None = None
    """The server's process, to measure"""
    bearer: str | None = field(default=None, repr=False)
    """The key, where the gateway needs one"""
    profile: Profile = Profile.HOLD
    steps: int = 5
    """Of a ramp"""
    lifetime_s: float = 60.0
    """Mean seconds of a session, in a soak"""
    cut_every_s: tuple[float, float] = (2.0, 6.0)
    """Least and most seconds between two cuts, in a storm"""
    observers: int = 0
    """On each session that is observed"""
    observed: int = 1
    """How many sessions are, the first ones to start"""

    @property
    def shape(self) -> Shape:
        """When sessions start."""
        return Shape(self.profile, self.sessions, self.duration_s, self.ramp_s, self.steps, self.lifetime_s)


def session_url(options: LoadOptions, audio: AudioFormat) -> str:
    """Where each session is opened, with its format and settings in the query."""
    url = voice_url(options.url)
    query = urlencode(
        {name: _as_text(value) for name, value in {**audio.to_dict(), **options.config}.items()}
    )
    return f"{url}{'&' if urlsplit(url).query else '?'}{query}"


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
