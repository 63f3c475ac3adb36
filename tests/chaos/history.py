"""What one client said and heard over all its sockets: the material that `tests.chaos.ledger` audits.

A `History` is written by hand, or by a client that resumes by itself: inside `tapped()` every client writes
down what goes onto the wire and comes off it into the history of its own task (`begin`).
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from protocol import codec
from protocol.connection import ClientConnection
from protocol.control import ControlMessage, Position
from protocol.events import DurableEvent, Event, UnknownEvent, Welcome
from protocol.version import Encoding

Said = Event | UnknownEvent
Spoken = Callable[[int, int], bytes]
"""The PCM that samples [start, end) are."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Audio that went onto the wire. Whether it arrived is another matter."""

    start: int
    """The index of its first sample, as the server must count."""
    end: int
    """One past the last."""
    true: bool = True
    """Whether these were the samples of those indices."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """`position` went onto the wire: the samples between will not be sent."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Heard:
    """An event came."""

    event: Said


@dataclass(frozen=True, slots=True)
class Closed:
    """The socket ended; 1006 is a loss without a close frame."""

    code: int


Record = Sent | Skipped | Heard | Closed


@dataclass(slots=True)
class Visit:
    """One socket's time with the session.

    Args:
        after: the last event that the client said it had; None where it joined without a past.
        epoch: whose numbers those are.
    """

    after: int | None = None
    epoch: str | None = None
    spoken: Spoken | None = None
    story: list[Record] = field(default_factory=list)
    _at: int = 0

    @property
    def events(self) -> list[Said]:
        """Everything heard."""
        return [one.event for one in self.story if isinstance(one, Heard)]

    @property
    def durable(self) -> list[DurableEvent]:
        """Every numbered event heard."""
        return [event for event in self.events if isinstance(event, DurableEvent)]

    @property
    def welcome(self) -> Welcome | None:
        """The first event, where the session was joined."""
        first = next(iter(self.events), None)
        return first if isinstance(first, Welcome) else None

    @property
    def code(self) -> int | None:
        """The close code; None while it is open."""
        return next((one.code for one in self.story if isinstance(one, Closed)), None)

    @property
    def said_to(self) -> int:
        """The sample that comes after all that was sent or skipped; where nothing was, that of `welcome`."""
        ends = [one.end for one in self.story if isinstance(one, Sent | Skipped)]
        return max(ends, default=self.welcome.next_sample if self.welcome is not None else 0)

    def audio(self, pcm: bytes) -> None:
        """PCM goes onto the wire, in whole samples."""
        assert self.welcome is not None, "audio before welcome"
        width = self.welcome.audio.bytes_per_sample
        assert len(pcm) % width == 0, "a history is kept in whole samples"
        start, self._at = self._at, self._at + len(pcm) // width
        true = self.spoken is None or self.spoken(start, self._at) == pcm
        self.story.append(Sent(start, self._at, true))

    def position(self, sample: int) -> None:
        """`position` goes onto the wire."""
        if sample > self._at:
            self.story.append(Skipped(self._at, sample))
        self._at = sample

    def heard(self, event: Said) -> None:
        """An event comes."""
        if isinstance(event, Welcome):
            self._at = event.next_sample
        self.story.append(Heard(event))

    def closed(self, code: int) -> None:
        """The socket ends; the first code stays."""
        if self.code is None:
            self.story.append(Closed(code))


@dataclass(slots=True)
class History:
    """One client's session: its sockets in the order in which they were opened.

    Args:
        spoken: what the client's samples are, to see that each is sent under its own index.
    """

    spoken: Spoken | None = None
    visits: list[Visit] = field(default_factory=list)
    counts: list[Mapping[str, int]] = field(default_factory=list)
    """Looks at the session's statistics."""
    gone: int | None = None
    """The code with which the client told its user that the session is out of reach."""
    moves: bool = False
    """Whether it may go on at other nodes, each of which takes up what is settled."""

    def visit(self, after: int | None = None, epoch: str | None = None) -> Visit:
        """A new socket."""
        self.visits.append(Visit(after, epoch, self.spoken))
        return self.visits[-1]

    @property
    def events(self) -> list[Said]:
        """Everything heard over all sockets."""
        return [event for visit in self.visits for event in visit.events]


_of_this_task: ContextVar[History | None] = ContextVar("history", default=None)


def begin(spoken: Spoken | None = None) -> History:
    """A history of what the clients of this task, and of those that it starts, do from now on."""
    history = History(spoken)
    _of_this_task.set(history)
    return history


@contextlib.contextmanager
def tapped() -> Iterator[None]:
    """Have the client library's connections write down what they do."""
    with (
        patch("protocol.client.ClientConnection", _Tapped),
        patch("protocol.carrier.ClientConnection", _Tapped),
    ):
        yield


class _Tapped(ClientConnection):
    __slots__ = ("_visit",)

    def __init__(
        self,
        encoding: Encoding,
        *,
        epoch: str | None = None,
        last_seq: int = 0,
        resumes: Welcome | None = None,
    ) -> None:
        super().__init__(encoding, epoch=epoch, last_seq=last_seq, resumes=resumes)
        history = _of_this_task.get()
        came_back = epoch is not None
        self._visit = (history or History()).visit(last_seq if came_back else None, epoch)

    def audio(self, pcm: bytes) -> bytes:
        data = super().audio(pcm)
        self._visit.audio(pcm)
        return data

    def send(self, message: ControlMessage) -> str:
        data = super().send(message)
        if isinstance(message, Position):
            self._visit.position(message.sample)
        return data

    def receive(self, data: bytes | str) -> Event | UnknownEvent | None:
        event = super().receive(data)
        # What the client drops as a repetition is the ledger's business all the same.
        self._visit.heard(codec.decode_event(data, self.encoding) if event is None else event)
        return event

    def closed(self, code: int, reason: str = "") -> Any:
        super().closed(code, reason)
        self._visit.closed(code)
