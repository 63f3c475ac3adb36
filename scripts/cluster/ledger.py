"""What one session's client sent and heard, and whether it adds up."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from protocol.events import (
    ClassifiedEvent,
    DurableEvent,
    Event,
    Gap,
    Summary,
    Transcript,
    UnknownEvent,
    Welcome,
)

Tell = Callable[[str], None]


@dataclass(slots=True)
class Ledger:
    """Takes every event of one client, in order. `tell` hears what is worth a line."""

    number: int
    tell: Tell
    sent: int = 0
    """Samples."""
    resumes: int = 0
    last: int = 0
    missing: int = 0
    twice: int = 0
    epochs: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    """Samples by reason."""
    spans: set[tuple[int, int]] = field(default_factory=set)
    """Windows of which something was said."""
    declared: list[tuple[int, int]] = field(default_factory=list)
    summary: Summary | None = None

    def take(self, event: Event | UnknownEvent) -> None:
        """The next event."""
        if isinstance(event, Welcome):
            self.resumes += 1
            self.epochs.add(event.epoch)
            self.tell(f"session {self.number} is back, at event {self.last}, sample {event.next_sample}")
        elif isinstance(event, DurableEvent):
            self._number(event)
            self._account(event)

    def begin(self, welcome: Welcome) -> None:
        """The first welcome, which is none of the events."""
        self.epochs.add(welcome.epoch)

    def _number(self, event: DurableEvent) -> None:
        if event.seq <= self.last:
            self.twice += 1
        else:
            self.missing += event.seq - self.last - 1
            self.last = event.seq
        self.counts[event.type] += 1

    def _account(self, event: DurableEvent) -> None:
        if isinstance(event, Summary):
            self.summary = event
        elif isinstance(event, Gap):
            samples = event.end_sample - event.start_sample
            self.gaps[event.reason.value] += samples
            self.declared.append((event.start_sample, event.end_sample))
            self.tell(f"session {self.number} has a gap of {samples} samples: {event.reason.value}")
        elif isinstance(event, ClassifiedEvent) and not isinstance(event, Transcript):
            self.spans.add((event.start_sample, event.end_sample))

    def wrong(self) -> Iterator[str]:
        """What doesn't add up, sentence by sentence; nothing where all is well."""
        if self.missing or self.twice:
            yield f"{self.missing} events are missing, {self.twice} came twice"
        if len(self.epochs) > 1:
            yield "its history was lost"
        yield from self._overlaps()
        told = self.summary
        if told is None:
            yield "it has no summary"
            return
        if told.next_sample != self.sent:
            yield f"{self.sent} samples were sent, {told.next_sample} are accounted for"
        if told.next_sample != told.classified_samples + told.gap_samples or told.pending_samples:
            yield (
                f"{told.next_sample} samples are not {told.classified_samples} classified, "
                f"{told.gap_samples} in gaps and {told.pending_samples} pending"
            )
        if told.received_samples != told.next_sample - told.client_gap_samples:
            yield f"{told.received_samples} samples received, {told.client_gap_samples} not sent"
        if told.gap_samples != sum(self.gaps.values()):
            yield f"{told.gap_samples} samples are in gaps, {sum(self.gaps.values())} were declared"
        if dict(told.events) != dict(self.counts):
            yield f"it counts {dict(told.events)} events, {dict(self.counts)} came"

    def _overlaps(self) -> Iterator[str]:
        """No sample is in two gaps, nor both in a gap and in a window that was heard."""
        end, before = 0, ""
        both = [*((*span, "heard") for span in self.spans), *((*span, "a gap") for span in self.declared)]
        for start, following, what in sorted(both):
            if start < end and "a gap" in (what, before):
                yield f"sample {start} is {before} and {what}"
            if following > end:
                end, before = following, what

    def row(self) -> str:
        """One line of the account."""
        gaps = ", ".join(f"{reason} {samples}" for reason, samples in sorted(self.gaps.items())) or "none"
        classified = self.summary.classified_samples if self.summary is not None else 0
        return (
            f"session {self.number}: {self.sent} samples, {classified} classified, gaps: {gaps}; "
            f"{self.last} events, {self.missing} missing, {self.twice} twice; {self.resumes} resumes"
        )
