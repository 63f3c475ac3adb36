"""What happened in a session, read once from its record: what exports, reports and summaries are made of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from gateway.sessions.model import Session
from gateway.sessions.ports import Recorded
from gateway.tasks.export.text import blank
from protocol.audio import AudioFormat
from protocol.control import SessionConfig
from protocol.errors import ProtocolError
from protocol.events import DurableEvent, Gap, Queue, Speaker, Tone, Transcript

E = TypeVar("E", bound=DurableEvent)


@dataclass(frozen=True, kw_only=True)
class Story:
    """The final events of one session, in the order of their numbers."""

    session_id: str
    created_at: float
    """Seconds since the Unix epoch."""
    audio: AudioFormat
    config: SessionConfig
    status: str
    """As over REST."""
    counts: Mapping[str, int]
    """The statistics by name, the five sample counts among them."""
    events: Sequence[DurableEvent] = field(repr=False)
    """All that could be read, in order; interim transcripts are not among them."""
    truncated: bool = False
    """The record reached its bound: later events are missing."""
    unreadable: int = 0
    """Entries of the record that could not be read back."""

    @classmethod
    def of(
        cls, session: Session, record: Iterable[Recorded], counts: Mapping[str, int], *, truncated: bool
    ) -> "Story":
        """The story that `record` tells of `session`."""
        events: list[DurableEvent] = []
        unreadable = 0
        for entry in record:
            try:
                event = entry.event()
            except ProtocolError:
                unreadable += 1
                continue
            if isinstance(event, DurableEvent):
                events.append(event)
            else:
                unreadable += 1
        return cls(
            session_id=session.id,
            created_at=session.created_at,
            audio=session.audio,
            config=session.config,
            status=str(session.status),
            counts=counts,
            events=tuple(events),
            truncated=truncated,
            unreadable=unreadable,
        )

    @cached_property
    def tones(self) -> Sequence[Tone]:
        return self._of_kind(Tone)

    @cached_property
    def speakers(self) -> Sequence[Speaker]:
        return self._of_kind(Speaker)

    @cached_property
    def queues(self) -> Sequence[Queue]:
        return self._of_kind(Queue)

    @cached_property
    def gaps(self) -> Sequence[Gap]:
        return self._of_kind(Gap)

    @cached_property
    def transcripts(self) -> Sequence[Transcript]:
        """Those that say something."""
        return tuple(said for said in self._of_kind(Transcript) if not blank(said.text))

    @property
    def name(self) -> str:
        """What a file for others may show of the id, which without keys is the permission to use it."""
        return self.session_id[:8]

    @property
    def duration_s(self) -> float:
        """Seconds of audio, gaps included."""
        return self.seconds(self.counts.get("next_sample", 0))

    def seconds(self, sample: int) -> float:
        """Where on the session's clock `sample` lies."""
        return self.audio.seconds(sample)

    def _of_kind(self, kind: type[E]) -> Sequence[E]:
        return tuple(event for event in self.events if isinstance(event, kind))
