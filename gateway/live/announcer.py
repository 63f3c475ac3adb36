"""The durable events of one session: built with the next number, appended, counted."""

from collections.abc import Sequence
from typing import TypedDict

from gateway.annotate import Context, annotate
from gateway.classify.lanes import Timing
from gateway.classify.port import Observation, SpeakerObservation
from gateway.live.flow import Ledger
from gateway.live.line import Line
from gateway.live.log import EventLog
from gateway.live.snapshot import Snapshot
from gateway.telemetry.metrics import Telemetry
from gateway.transcribe.port import TranscriptUpdate
from protocol.audio import AudioFormat
from protocol.control import SessionConfig
from protocol.events import (
    DurableEvent,
    Gap,
    GapReason,
    Service,
    ServiceStatus,
    Summary,
    Task,
    Transcript,
    Word,
)


class _Header(TypedDict):
    seq: int
    session_id: str
    timestamp: float


_TURNS = 64
"""Turns remembered: more than a recording can be ahead of its words."""


class Announcer:
    """Says what happened in a session, once for all of its readers."""

    def __init__(self, log: EventLog, audio: AudioFormat, telemetry: Telemetry) -> None:
        self.log = log
        self.speakers: list[str] = []
        """Ids of the speakers heard so far, in order of appearance."""
        self._turns: list[tuple[int, str]] = []
        self.line = Line()
        """Where music and signals were heard instead of voices."""
        self.counts: dict[str, int] = {}
        """Durable events said so far, by type."""
        self._audio = audio
        self._telemetry = telemetry

    @property
    def session_id(self) -> str:
        return self.log.session_id

    def observe(
        self,
        observations: Sequence[Observation],
        start: int,
        end: int,
        config: SessionConfig,
        timing: Timing | None = None,
    ) -> None:
        """Turn what was heard in samples [start, end) into events, as far as the session wants them."""
        self.line.hear(observations, start, end)
        context = Context(
            session_id=self.log.session_id,
            seq=0,
            timestamp=self._audio.seconds(end),
            start_sample=start,
            end_sample=end,
            config=config,
            queued_ms=round(timing.queued_s * 1e3, 1) if timing else None,
            classify_ms=round(timing.classify_s * 1e3, 1) if timing else None,
        )
        for observation in observations:
            if isinstance(observation, SpeakerObservation) and observation.speaker_id:
                self._note_speaker(observation.speaker_id, start)
            context.seq = self.log.next_seq
            context.speaker_id = self.speaker_at(end)
            event = annotate(observation, context=context)
            if event is not None:
                self._say(event)

    def transcript(self, update: TranscriptUpdate, start: int, end: int, words: tuple[Word, ...]) -> None:
        """What the transcriber understood in samples [start, end)."""
        self._say(
            Transcript(
                **self._header(end),
                start_sample=start,
                end_sample=end,
                text=update.text,
                speaker_id=self.speaker_at((start + end) // 2),
                is_final=update.is_final,
                revision=update.revision,
                language=update.language,
                confidence=update.confidence,
                words=words or None,
            )
        )

    def gap(self, start: int, end: int, reason: GapReason) -> None:
        """Samples [start, end) were not classified."""
        self._telemetry.gap(reason, end - start)
        self._say(Gap(**self._header(end), start_sample=start, end_sample=end, reason=reason))

    def service(self, status: ServiceStatus, detail: str, at: int) -> None:
        """The state of something the session depends on, at sample `at`."""
        self._say(Service(**self._header(at), status=status, detail=detail))

    def task(self, task_id: str, task_type: str, state: str, at: int) -> None:
        """Background work on the session changed its state when the audio stood at sample `at`."""
        self._say(Task(**self._header(at), task_id=task_id, task_type=task_type, state=state))

    def summarise(self, ledger: Ledger, *, record_truncated: bool) -> Summary:
        """Say the closing account. Everything must be settled (ValueError otherwise)."""
        if ledger.pending_samples:
            raise ValueError(f"{ledger.pending_samples} samples are still pending")
        summary = Summary(
            **self._header(ledger.next_sample),
            **ledger.counts(),
            events={**self.counts, Summary.type: 1},
            duration_s=self._audio.seconds(ledger.next_sample),
            speakers=tuple(self.speakers),
            record_truncated=record_truncated,
        )
        self._say(summary)
        return summary

    @property
    def turns(self) -> tuple[tuple[int, str], ...]:
        """Who began to speak where, the latest."""
        return tuple(self._turns)

    def restore(self, snapshot: Snapshot) -> None:
        """Know what was said before the session came here."""
        self.counts = dict(snapshot.counts)
        self.speakers = list(snapshot.speakers)
        self._turns = list(snapshot.turns)
        self.line.restore(snapshot.line)

    def speaker_at(self, sample: int) -> str | None:
        """Who spoke at `sample`, as far as anybody can tell."""
        return next((who for since, who in reversed(self._turns) if since <= sample), None)

    def _note_speaker(self, speaker_id: str, since: int) -> None:
        if not self._turns or self._turns[-1][1] != speaker_id:
            self._turns.append((since, speaker_id))
            del self._turns[:-_TURNS]
        if speaker_id not in self.speakers:
            self.speakers.append(speaker_id)

    def _say(self, event: DurableEvent) -> None:
        self.log.append(event)
        self.counts[event.type] = self.counts.get(event.type, 0) + 1
        self._telemetry.event(event.type)

    def _header(self, at: int) -> _Header:
        return {
            "seq": self.log.next_seq,
            "session_id": self.session_id,
            "timestamp": self._audio.seconds(at),
        }
