"""What there is to see of a session, folded out of its events: no terminal, no clock, no colours.

The live view draws a `Picture` a few times a second; it never sees an event. Everything here is bounded,
however long a session runs.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from protocol import events as ev
from protocol.audio import AudioFormat

STRIP_SECONDS = 600
"""Seconds of timeline kept; more than any terminal is wide"""
_LINES = 200
_NOTICES = 50
_REASONS = 8
_QUEUE_STALE_S = 12.0
"""Seconds; a lasting queue state is repeated every 10 s, so beyond this it has ended"""
_DIGITS_STALE_S = 3.0
"""Seconds; dialling is a moment, not a state"""


@dataclass(frozen=True, slots=True)
class Line:
    """One utterance, or the part of one that is known so far."""

    at_s: float
    """Seconds of audio; where it starts"""
    speaker: str | None
    text: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know about."""

    at_s: float
    """Seconds of audio"""
    text: str
    bad: bool
    """An error, rather than a remark"""


@dataclass(slots=True)
class Picture:
    """The state of the display; `apply` is its only door for events."""

    name: str
    """Where the audio comes from, for people"""
    audio: AudioFormat | None = None
    total_samples: int | None = None
    """Sample indices in all; None where unknown"""
    sent: int = 0
    """Sample index sent up to (an observer: heard of up to)"""
    heard: int = 0
    """Sample index up to which the classifier has had its say"""
    phase: str = "connecting"
    """One word: connecting, streaming, watching, finishing, done, stopped"""
    watching: bool = False
    """An observer's: `sent` stands still between two events"""
    any_event: bool = False
    session_id: str = ""
    tone: ev.Tone | None = None
    speaker: ev.Speaker | None = None
    queue: ev.Queue | None = None
    digits: str = ""
    """All digits dialled, in order"""
    flow: ev.Flow | None = None
    gap_samples: int = 0
    gap_count: int = 0
    strip: dict[int, str] = field(default_factory=dict)
    """Second of audio → what it was: `tone:Calm`, `queue:hold_music` or `gap`"""
    voices: dict[int, str] = field(default_factory=dict)
    """Second of audio → `Speaker A`, …"""
    tone_labels: list[str] = field(default_factory=list)
    """In order of appearance; their colours and letters follow from it"""
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=_LINES))
    interim: Line | None = None
    notices: deque[Notice] = field(default_factory=lambda: deque(maxlen=_NOTICES))
    missing: list[str] = field(default_factory=list)
    """Why words are missing in places, each reason once"""
    summary: ev.Summary | None = None
    _rate: int = 16_000

    @property
    def position_s(self) -> float:
        """Seconds of audio sent so far."""
        return self.sent / self._rate

    @property
    def total_s(self) -> float | None:
        """Seconds of audio in all, where known; never less than what was sent."""
        return None if self.total_samples is None else max(self.total_samples, self.sent) / self._rate

    def seconds(self, samples: int) -> float:
        """Sample indices as seconds."""
        return samples / self._rate

    def begin(self, welcome: ev.Welcome, *, watching: bool) -> None:
        """The session is open: its format and position are known."""
        self.audio = welcome.audio
        self._rate = welcome.audio.sample_rate
        self.session_id = welcome.session_id
        self.sent = max(self.sent, welcome.next_sample)
        self.heard = max(self.heard, welcome.next_sample)
        self.watching = watching
        self.phase = "watching" if watching else "streaming"

    def tone_age_s(self) -> float | None:
        """Seconds of audio since the last told tone; None before the first."""
        return None if self.tone is None else max(0.0, self.position_s - self.seconds(self.tone.end_sample))

    def queue_now(self) -> ev.Queue | None:
        """The queue state that holds now: none once somebody spoke, or when it was not repeated."""
        state = self.queue
        if state is None or (self.tone is not None and self.tone.end_sample > state.end_sample):
            return None
        stale_s = _DIGITS_STALE_S if state.label is ev.QueueLabel.DTMF_TONE else _QUEUE_STALE_S
        return state if self.position_s - self.seconds(state.end_sample) < stale_s else None

    def note(self, text: str, *, at_s: float | None = None, bad: bool = False) -> None:
        """Add a notice; a repetition of the last one says nothing new."""
        if not self.notices or self.notices[-1].text != text:
            self.notices.append(Notice(self.position_s if at_s is None else at_s, text, bad))

    def apply(self, event: ev.Event | ev.UnknownEvent) -> None:
        """Take in one event; those without anything to show are passed over."""
        apply = _APPLY.get(type(event))
        if isinstance(event, ev.DurableEvent):
            self.any_event = True
            self.sent = max(self.sent, round(event.timestamp * self._rate))
        if isinstance(event, ev.AudioEvent):
            self.sent = max(self.sent, event.end_sample)
            if not isinstance(event, ev.Transcript):
                self.heard = max(self.heard, event.end_sample)
        if apply is not None:
            apply(self, event)

    def _cells(self, event: ev.AudioEvent) -> range:
        first = event.start_sample // self._rate
        return range(first, max(first, (event.end_sample - 1) // self._rate) + 1)

    def _mark(self, event: ev.AudioEvent, mark: str, *, over: bool) -> None:
        """Mark the seconds of an event: its last one always (`over`), earlier ones only where still blank."""
        cells = self._cells(event)
        for second in cells:
            if second not in self.strip or (over and second == cells[-1]):
                self.strip[second] = mark
        _trim(self.strip)


def _tone(picture: Picture, event: ev.Tone) -> None:
    picture.tone = event
    if event.label not in picture.tone_labels:
        picture.tone_labels.append(event.label)
    picture._mark(event, f"tone:{event.label}", over=True)
    who = event.speaker_id or (picture.speaker.speaker_id if picture.speaker else None)
    if who is not None:
        picture.voices[picture._cells(event)[-1]] = who
        _trim(picture.voices)


def _speaker(picture: Picture, event: ev.Speaker) -> None:
    picture.speaker = event
    if event.speaker_id is not None:
        picture.voices[picture._cells(event)[-1]] = event.speaker_id
        _trim(picture.voices)


def _queue(picture: Picture, event: ev.Queue) -> None:
    picture.queue = event
    picture.digits = (picture.digits + (event.digits or ""))[-64:]
    picture._mark(event, f"queue:{event.label}", over=False)


def _transcript(picture: Picture, event: ev.Transcript) -> None:
    text = " ".join(event.text.split())
    line = Line(picture.seconds(event.start_sample), event.speaker_id, text, event.is_final)
    if not event.is_final:
        picture.interim = line
        return
    picture.interim = None
    if text:
        picture.lines.append(line)


def _gap(picture: Picture, event: ev.Gap) -> None:
    samples = event.end_sample - event.start_sample
    picture.gap_samples += samples
    picture.gap_count += 1
    picture._mark(event, "gap", over=True)
    seconds = picture.seconds(samples)
    picture.note(f"{seconds:.1f} s not analysed ({event.reason})", at_s=picture.seconds(event.start_sample))


def _service(picture: Picture, event: ev.Service) -> None:
    if event.status is not ev.ServiceStatus.READY:
        bad = event.status is ev.ServiceStatus.ERROR
        picture.note(f"{event.status}: {event.detail}", at_s=event.timestamp, bad=bad)
    # The only warnings there are tell of words.
    if event.status is ev.ServiceStatus.WARNING and event.detail not in picture.missing:
        picture.missing = [*picture.missing, event.detail][:_REASONS]


def _error(picture: Picture, event: ev.Error) -> None:
    where = f" ({event.param})" if event.param else ""
    picture.note(f"{event.code}{where}: {event.message}", bad=True)


def _flow(picture: Picture, event: ev.Flow) -> None:
    picture.flow = event
    picture.any_event = True
    picture.sent = max(picture.sent, event.received)
    picture.heard = max(picture.heard, event.classified)


def _summary(picture: Picture, event: ev.Summary) -> None:
    picture.summary = event
    picture.sent = max(picture.sent, event.next_sample)
    picture.heard = picture.sent
    picture.phase = "done"
    picture.interim = None


def _drain(picture: Picture, event: ev.Drain) -> None:
    picture.note("the gateway is going away", bad=True)


_APPLY: dict[type[Any], Any] = {
    ev.Tone: _tone,
    ev.Speaker: _speaker,
    ev.Queue: _queue,
    ev.Transcript: _transcript,
    ev.Gap: _gap,
    ev.Service: _service,
    ev.Error: _error,
    ev.Flow: _flow,
    ev.Summary: _summary,
    ev.Drain: _drain,
}


def _trim(cells: dict[int, str]) -> None:
    if len(cells) > 2 * STRIP_SECONDS:
        for second in sorted(cells)[:-STRIP_SECONDS]:
            del cells[second]
