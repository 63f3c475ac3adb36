"""Where a sidecar is: `http://host:port`, `https://…`, or `unix:///path/of.sock`."""

from dataclasses import dataclass
from typing import Final

_UNIX: Final = "unix://"


@dataclass(frozen=True, slots=True)
class Address:
    """An address whose text the settings have checked."""

    base: str
    """What paths are added to."""
    socket: str | None = None
    """Path of the Unix socket that stands for the host."""

    @property
    def secure(self) -> bool:
        """Whether it is spoken to over TLS."""
        return self.base.startswith("https:")

    @classmethod
    def of(cls, url: str) -> "Address":
        """The address written as `url`."""
        if url.startswith(_UNIX):
            return cls("http://localhost", url.removeprefix(_UNIX))
        return cls(url.rstrip("/"))
