"""One of several processes: what its supervisor passes on to it, and how each knows of the other's end.

    supervisor                                 process
     │ ── sockets, pipe (inherited) ──────────► │   bound; it listens once it serves
     │ ◄────────────────────── one byte ─────── │   it serves
     │   … SIGTERM, SIGINT as they come …       │
     │ ◄──────────────── its exit status ────── │

The pipe stays open in the process. Where the supervisor is gone without a word, the process is told by a
SIGTERM of the kernel's (PR_SET_PDEATHSIG), or finds the pipe broken.
"""

import ctypes
import os
import signal
import socket
from dataclasses import dataclass
from typing import Final

from gateway.server.entrance import Entrance
from gateway.server.listening import prepared

_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class Member:
    """A process's part, as it stands on its command line."""

    listener: int
    """Descriptor of its socket on the port that all of them share."""
    ready: int
    """Descriptor of the pipe by which it says that it serves."""
    own: int | None = None
    """Descriptor of the socket that is its alone."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that are to be inherited."""
        return (self.listener, self.ready) if self.own is None else (self.listener, self.ready, self.own)

    def word(self) -> str:
        """As `parse_member` takes it."""
        return ",".join(map(str, self.descriptors))

    def entrance(self) -> Entrance:
        """What it listens on. To be called in the process, once, first thing."""
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        for one in self.descriptors:
            os.set_inheritable(one, False)
        own = None if self.own is None else prepared(socket.socket(fileno=self.own))
        return Entrance(prepared(socket.socket(fileno=self.listener)), own=own)

    def announce(self) -> None:
        """It serves."""
        try:
            os.write(self.ready, b"\n")
        except BrokenPipeError:  # nobody is there any more
            os.kill(os.getpid(), signal.SIGTERM)


def parse_member(word: str) -> Member:
    """Raises ValueError where it is none."""
    listener, ready, *own = map(int, word.split(","))
    return Member(listener, ready, *own)
