"""What the report tells, computed once from a session's story: no markup, no wording of sentences."""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gateway.annotate.subtext import SLIGHT
from gateway.tasks.report.markup import Paced, at_once
from gateway.tasks.report.spans import Run, Span, follows, own
from gateway.tasks.report.words import QUEUE_WORDS, short, tone_name
from gateway.tasks.story import Story
from protocol.events import Accent, AudioEvent, Environ, QueueLabel, Scene, ShiftDirection, Tone

QUEUE_REPEAT_S = 12.0
"""Seconds; a lasting state of the call is told again every ten, so beyond this it was interrupted."""
MOMENT_APART_S = 5.0
"""Seconds between two moments of change; of those closer together the clearer one is told."""
MOST_MOMENTS = 12
MOST_SPEAKERS = 8
"""Speakers told one by one: more than a session can be told to expect."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One tone, in the stretch that no earlier one spoke of."""

    span: Span
    label: str
    """For people."""
    confidence: float
    speaker: str | None
    shift: ShiftDirection | None
    magnitude: float
    """0 to 1; 0 where unknown."""
    subtext: str | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tones of one label and one speaker that follow each other without a pause."""

    span: Span
    label: str
    speaker: str | None
    confidences: tuple[float, ...]

    @property
    def confidence(self) -> float:
        """The mean."""
        return sum(self.confidences) / len(self.confidences)


@dataclass(frozen=True, slots=True)
class CallState:
    """A state of the call, for as long as it was told."""

    span: Span
    name: str
    confidence: float | None
    """0 to 1, the greatest; None where nobody gave one."""


@dataclass(frozen=True, slots=True)
class Voice:
    """What was heard of one speaker."""

    name: str
    spans: Sequence[Span]
    """In order, joined where they follow each other."""
    utterances: int

    @property
    def seconds(self) -> float:
        return sum(span.length_s for span in self.spans)


@dataclass(frozen=True, slots=True)
class Facts:
    """A session, ready to be shown."""

    story: Story
    extent_s: float
    """Seconds from the session's begin to the end of all that is known of."""
    told_s: float
    """Seconds up to which the record tells anything; before `extent_s` where it was truncated."""
    tones: Sequence[Heard]
    stretches: Sequence[Stretch]
    shares: Sequence[tuple[str, float, float]]
    """Label, seconds and mean confidence; the longest first."""
    voices: Sequence[Voice]
    """In order of appearance, `MOST_SPEAKERS` at most."""
    nameless: int
    """Speakers beyond those."""
    calls: Sequence[CallState]
    """States of the call; `key` is the label for people."""
    gaps: Sequence[Run]
    """What was not classified; `key` is the reason."""
    moments: Sequence[Heard]
    """The clearest changes of tone, in order."""

    @classmethod
    def of(cls, story: Story) -> "Facts":
        """All of it."""
        return at_once(cls.gather(story))

    @classmethod
    def gather(cls, story: Story) -> "Paced[Facts]":
        """The same, with pauses."""
        heard: list[Heard] = []
        for tone, span in own(story, story.tones):
            heard.append(_heard(tone, span))
            yield
        tones = tuple(heard)
        voices = _voices(story, tones)
        yield
        told = max((e.end_sample for e in story.events if isinstance(e, AudioEvent)), default=0)
        told_s = story.seconds(max(0, told))
        yield
        stretches = _stretches(tones)
        yield
        shares = _shares(tones)
        yield
        calls = _calls(story)
        yield
        moments = _moments(tones)
        yield
        return cls(
            story=story,
            extent_s=max(0.0, story.duration_s, told_s),
            told_s=told_s,
            tones=tones,
            stretches=stretches,
            shares=shares,
            voices=voices[:MOST_SPEAKERS],
            nameless=max(0, len(voices) - MOST_SPEAKERS),
            calls=calls,
            gaps=[Run(span, str(gap.reason)) for gap, span in own(story, story.gaps)],
            moments=moments,
        )

    @property
    def around(self) -> Sequence[Environ | Scene | Accent]:
        """What was told of the place and the accent."""
        return [event for event in self.story.events if isinstance(event, Environ | Scene | Accent)]

    @property
    def missed_s(self) -> float:
        """Seconds not analysed: as counted, or, where the account was lost, as far as is on record."""
        counted = self.story.seconds(self.story.counts.get("gap_samples", 0))
        return max(counted, sum(gap.span.length_s for gap in self.gaps))

    @property
    def account_lost(self) -> bool:
        """Whether nobody counted what is on record, as where a node was lost with the session."""
        return self.extent_s > 0 and not self.story.counts.get("next_sample")

    @property
    def missing(self) -> Span | None:
        """The stretch that a truncated record says nothing of."""
        if not self.story.truncated or self.told_s >= self.extent_s:
            return None
        return Span(self.told_s, self.extent_s)

    def during(self, span: Span) -> Heard | None:
        """The tone that fills most of `span`, told by the clearest of its tones."""
        first = bisect_left(self.tones, span.start_s, key=lambda tone: tone.span.end_s)
        best: dict[str, float] = {}
        clearest: dict[str, Heard] = {}
        for tone in self.tones[first : first + _LOOKED_AT]:
            overlap = min(tone.span.end_s, span.end_s) - max(tone.span.start_s, span.start_s)
            if tone.span.start_s >= span.end_s:
                break
            best[tone.label] = best.get(tone.label, 0.0) + max(0.0, overlap)
            if tone.label not in clearest or clearest[tone.label].confidence < tone.confidence:
                clearest[tone.label] = tone
        label = max(best, key=lambda one: best[one], default=None)
        return clearest[label] if label is not None and best[label] > 0 else None


_LOOKED_AT = 64
"""Tones of one utterance."""


def given(value: float | None) -> float | None:
    """The same within 0..1; None where nobody gave one."""
    return None if value is None else unit(value)


def unit(value: float | None) -> float:
    """The same within 0..1; 0 for what is unknown or no number."""
    return min(1.0, max(0.0, value)) if value is not None and math.isfinite(value) else 0.0


def name_of(speaker: str | None) -> str | None:
    """A speaker's name for people; None where there is none."""
    return (short(speaker) or None) if speaker else None


def _heard(tone: Tone, span: Span) -> Heard:
    return Heard(
        span=span,
        label=tone_name(tone.label),
        confidence=unit(tone.confidence),
        speaker=name_of(tone.speaker_id),
        shift=tone.shift_direction,
        magnitude=unit(tone.shift_magnitude),
        subtext=short(tone.subtext, 200) if tone.subtext else None,
    )


def _stretches(tones: Sequence[Heard]) -> Sequence[Stretch]:
    grouped: list[list[Heard]] = []
    for tone in tones:
        last = grouped[-1][-1] if grouped else None
        same = last is not None and (last.label, last.speaker) == (tone.label, tone.speaker)
        if last is not None and same and follows(last.span, tone.span):
            grouped[-1].append(tone)
        else:
            grouped.append([tone])
    return [
        Stretch(
            Span(group[0].span.start_s, group[-1].span.end_s),
            group[0].label,
            group[0].speaker,
            tuple(tone.confidence for tone in group),
        )
        for group in grouped
    ]


def _shares(tones: Iterable[Heard]) -> Sequence[tuple[str, float, float]]:
    seconds: defaultdict[str, float] = defaultdict(float)
    weighed: defaultdict[str, float] = defaultdict(float)
    for tone in tones:
        seconds[tone.label] += tone.span.length_s
        weighed[tone.label] += tone.span.length_s * tone.confidence
    longest = sorted(seconds.items(), key=lambda share: -share[1])
    return [(label, held, weighed[label] / held) for label, held in longest]


def _voices(story: Story, tones: Sequence[Heard]) -> Sequence[Voice]:
    """Everybody named, with the stretches in which they had a tone.

    Where no tone names a speaker, a turn lasts until somebody else is heard.
    """
    spans: dict[str, list[Span]] = {}
    said = Counter(name_of(line.speaker_id) for line in story.transcripts)
    turns: list[tuple[str | None, Span]] = [(tone.speaker, tone.span) for tone in tones if tone.speaker]
    if not turns:
        turns = _turns(story)
    for name, span in turns:
        if name is None:
            continue
        known = spans.setdefault(name, [])
        if known and follows(known[-1], span):
            known[-1] = Span(known[-1].start_s, span.end_s)
        else:
            known.append(span)
    for silent in said:
        if silent is not None:
            spans.setdefault(silent, [])
    return [Voice(name, tuple(held), said[name]) for name, held in spans.items()]


def _turns(story: Story) -> list[tuple[str | None, Span]]:
    changes = [(name_of(one.speaker_id), story.seconds(one.start_sample)) for one in story.speakers]
    last = [(None, max((story.seconds(one.end_sample) for one in story.speakers), default=0.0))]
    return [
        (name, Span(start, end)) for (name, start), (_, end) in pairwise([*changes, *last]) if start < end
    ]


def _calls(story: Story) -> Sequence[CallState]:
    """States of the call. One that is told again in time, with no voice in between, went on meanwhile."""
    states: list[CallState] = []
    voiced = sorted(story.seconds(tone.end_sample) for tone in story.tones)
    for event in story.queues:
        last = states[-1] if states else None
        word, sure = QUEUE_WORDS[event.label], given(event.confidence)
        start, end = story.seconds(event.start_sample), story.seconds(event.end_sample)
        if last is not None and last.name == word and event.label is not QueueLabel.DTMF_TONE:
            between = bisect_left(voiced, start) - bisect_left(voiced, last.span.end_s)
            if start - last.span.end_s <= QUEUE_REPEAT_S and between <= 0:
                greatest = max((one for one in (last.confidence, sure) if one is not None), default=None)
                states[-1] = CallState(Span(last.span.start_s, max(last.span.end_s, end)), word, greatest)
                continue
        if start < end:
            states.append(CallState(Span(start, end), word, sure))
    return states


def _moments(tones: Iterable[Heard]) -> Sequence[Heard]:
    """The clearest changes, no two of them close together."""
    steady = (None, ShiftDirection.STABLE)
    moved = [tone for tone in tones if tone.shift not in steady and tone.magnitude >= SLIGHT]
    chosen: list[Heard] = []
    for tone in sorted(moved, key=lambda one: -one.magnitude):
        if len(chosen) == MOST_MOMENTS:
            break
        if all(abs(tone.span.end_s - other.span.end_s) >= MOMENT_APART_S for other in chosen):
            chosen.append(tone)
    return sorted(chosen, key=lambda one: one.span.end_s)
