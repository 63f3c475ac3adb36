"""Handing the listening socket to the next process: what is said, and where the one that has it stands.

The two talk over a Unix socket whose messages keep their bounds (SOCK_SEQPACKET) and can carry descriptors:

    next                                    present
     │ ── take ───────────────────────────────► │
     │ ◄─────────── lend (listener, control) ── │   both have the socket; only the present one accepts
     │   … starts, until it serves …            │
     │ ── ready ──────────────────────────────► │
     │ ◄───────────────── guest (connection) ── │   each that has asked for nothing yet, or nothing more
     │ ◄──────────────────────────────── yield ─│   it has stopped accepting, and drains

What is lent is the same socket, its queue included, so no connection attempt ever finds nobody listening. The
control socket goes along: whoever has it answers at its path, which is never free in between. Where the next
process ends before it says `ready`, the present one goes on as if nothing had happened; where the present one
ends meanwhile, the next one has what it needs. Where the next one takes too long, the present one takes the
loan back (`refuse`): who comes to `ready` after that must not serve, or there would be two.
"""

from dataclasses import dataclass
from enum import StrEnum

VERSION = 1
MAX_BYTES = 128 * 1024
"""Of one message: a guest's comes with what it has said so far, which is less than a request's head."""
_MAGIC = "undertone-handover"


class HandoverError(Exception):
    """The other side is no gateway, or one that we don't understand. Says so."""


class Word(StrEnum):
    """What a message is."""

    TAKE = "take"
    """The next process wants the listening socket."""
    LEND = "lend"
    """It gets it: two descriptors, the listening socket and the control socket."""
    REFUSE = "refuse"
    """It doesn't, or not any more; the payload says why, in UTF-8."""
    READY = "ready"
    """It serves."""
    GUEST = "guest"
    """One connection's descriptor; the payload is what the peer has sent so far."""
    YIELD = "yield"
    """The listening socket is the next process's alone."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, without its descriptors."""

    word: Word
    payload: bytes = b""

    def encode(self) -> bytes:
        """As it is sent."""
        return f"{_MAGIC}/{VERSION} {self.word}\n".encode() + self.payload


def decode(data: bytes) -> Message:
    """The message in `data`.

    Raises:
        HandoverError: it is none, or of another version.
    """
    head, _, payload = data.partition(b"\n")
    name, _, word = head.decode("ascii", "replace").partition(" ")
    magic, _, version = name.partition("/")
    if magic != _MAGIC:
        raise HandoverError("it does not speak as an Undertone gateway does")
    if version != str(VERSION):
        raise HandoverError(f"it speaks version {version[:8]} of the handover, we speak version {VERSION}")
    try:
        return Message(Word(word), payload)
    except ValueError:
        raise HandoverError(f"it says {word[:16]!r}, which means nothing") from None


class Stage(StrEnum):
    """Where the process that has the socket stands."""

    STARTING = "starting"
    SERVING = "serving"
    LENT = "lent"
    """A next process is starting with it."""
    STOPPING = "stopping"
    """It was told to stop, and drains; it still accepts, to say so."""
    LEAVING = "leaving"
    """Both of these."""
    YIELDED = "yielded"
    """It has stopped accepting: the socket is another's."""


class Turn(StrEnum):
    """What moves it."""

    STARTED = "started"
    TAKE = "take"
    READY = "ready"
    LOST = "lost"
    """The next process is gone, or said nothing in time."""
    STOP = "stop"


_S, _T = Stage, Turn

TRANSITIONS: dict[tuple[Stage, Turn], Stage] = {
    (_S.STARTING, _T.STARTED): _S.SERVING,
    (_S.STARTING, _T.STOP): _S.STOPPING,
    (_S.SERVING, _T.TAKE): _S.LENT,
    (_S.SERVING, _T.STOP): _S.STOPPING,
    (_S.LENT, _T.READY): _S.YIELDED,
    (_S.LENT, _T.LOST): _S.SERVING,
    (_S.LENT, _T.STOP): _S.LEAVING,
    (_S.STOPPING, _T.TAKE): _S.LEAVING,
    (_S.STOPPING, _T.STOP): _S.STOPPING,
    (_S.LEAVING, _T.READY): _S.YIELDED,
    (_S.LEAVING, _T.LOST): _S.STOPPING,
    (_S.LEAVING, _T.STOP): _S.LEAVING,
    (_S.YIELDED, _T.LOST): _S.YIELDED,
    (_S.YIELDED, _T.STOP): _S.YIELDED,
}
"""A pair that is missing is refused (`TAKE`), or can't happen."""

REFUSALS: dict[Stage, str] = {
    _S.STARTING: "it is only starting itself",
    _S.LENT: "another process is taking over from it already",
    _S.LEAVING: "another process is taking over from it already",
    _S.YIELDED: "another process has taken over from it",
}
"""Why `TAKE` is refused."""


def step(stage: Stage, turn: Turn) -> Stage | None:
    """The next stage, or None where `turn` is not for this one."""
    return TRANSITIONS.get((stage, turn))
