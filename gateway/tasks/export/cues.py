"""Captions: what was said in stretches that can be read, and what was heard instead of words.

The rules of thumb are those of subtitling: two lines of 42 characters, at most six seconds, and no cue
across a pause. A cue goes before the next one comes, and none is too short to be seen where there is room.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from gateway.tasks.export.lanes import START, Lane, in_lanes
from gateway.tasks.export.text import clean, humanised, lines, tokens
from gateway.tasks.export.times import milliseconds
from gateway.tasks.story import Story
from protocol.events import AudioEvent, Gap, Queue, Tone, Transcript

LINE_CHARS = 42
"""Characters in a line."""
CUE_LINES = 2
"""Lines in a cue."""
LONGEST_MS = 6_000
"""Milliseconds that a cue of more than one word may last."""
SHORTEST_MS = 700
"""Milliseconds that a cue is shown at least, where no other one follows sooner."""
PAUSE_MS = 1_500
"""Milliseconds of silence between words that end a cue."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Something to show for a while."""

    start_ms: int
    end_ms: int
    """Later than `start_ms`."""
    lane: Lane
    text: str
    """One line, clean; a format breaks and escapes it."""
    speaker: str = ""
    """Who says it; empty where nobody does, or nobody knows."""
    tone: str = ""
    """How it is said, where that was not told yet."""

    @property
    def lines(self) -> Sequence[str]:
        """The text as it is shown, without its speaker."""
        return tuple(lines([*_heading(self.tone), *self.text.split(" ")], LINE_CHARS))


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start_ms: int
    end_ms: int


def captions(story: Story, lanes: frozenset[Lane]) -> Iterator[Cue]:
    """The cues of `lanes` in order of their start. Those of one lane never overlap.

    Tones stand in the cues of what was said that way; in a session without words they are cues of their own.
    """
    rows: list[Iterator[Cue]] = []
    if Lane.TRANSCRIPT in lanes and story.transcripts:
        rows.append(_spoken(story, lanes))
    elif Lane.TONE in lanes:
        rows.append(_runs(story, lanes))
    rows += [_heard(story, lane) for lane in (Lane.QUEUE, Lane.GAP) if lane in lanes]
    return heapq.merge(*map(_placed, rows), key=lambda cue: (cue.start_ms, cue.lane))


def _placed(row: Iterator[Cue]) -> Iterator[Cue]:
    """The cues of one lane, each begun before the next one begins, and over by then."""
    last: Cue | None = None
    for cue in row:
        start = cue.start_ms if last is None else max(cue.start_ms, last.start_ms + 1)
        end = max(cue.end_ms, start + SHORTEST_MS)
        if last is not None:
            yield replace(last, end_ms=min(last.end_ms, start))
        last = replace(cue, start_ms=start, end_ms=end)
    if last is not None:
        yield last


def _spoken(story: Story, lanes: frozenset[Lane]) -> Iterator[Cue]:
    manner = _Manner(story) if Lane.TONE in lanes else None
    for event in sorted(story.transcripts, key=START):
        yield from _said(story, event, lanes, manner)


def _runs(story: Story, lanes: frozenset[Lane]) -> Iterator[Cue]:
    """Tones of a speaker that stay the same are one cue."""
    run: Cue | None = None
    for event in sorted(story.tones, key=START):
        following = _felt(story, event, lanes)
        if run is not None and _goes_on(run, following):
            run = replace(run, end_ms=max(run.end_ms, following.end_ms))
            continue
        if run is not None:
            yield run
        run = following
    if run is not None:
        yield run


def _heard(story: Story, lane: Lane) -> Iterator[Cue]:
    for _, event in in_lanes(story, frozenset((lane,))):
        start, end = _span(story, event)
        yield Cue(start, end, lane, f"[{described(event)}]")


def _said(story: Story, event: Transcript, lanes: frozenset[Lane], manner: "_Manner | None") -> Iterator[Cue]:
    """The cues of one utterance; the first says how it was said, where that is news."""
    speaker = clean(event.speaker_id) if Lane.SPEAKER in lanes else ""
    tone = manner.of(event) if manner is not None else ""
    for group in _groups(_words(story, event), _heading(tone)):
        text = " ".join(word.text for word in group)
        yield Cue(group[0].start_ms, group[-1].end_ms, Lane.TRANSCRIPT, text, speaker, tone)
        tone = ""


def _felt(story: Story, event: Tone, lanes: frozenset[Lane]) -> Cue:
    speaker = clean(event.speaker_id) if Lane.SPEAKER in lanes else ""
    start, end = _span(story, event)
    return Cue(start, end, Lane.TONE, f"[{humanised(event.label)}]", speaker)


def _goes_on(run: Cue, following: Cue) -> bool:
    same = (run.text, run.speaker) == (following.text, following.speaker)
    return same and following.start_ms <= run.end_ms


def described(event: AudioEvent) -> str:
    """What was heard, or not, instead of words."""
    match event:
        case Queue():
            digits = clean(event.digits)
            return f"{humanised(event.label)} {digits}" if digits else humanised(event.label)
        case Gap():
            return f"not analysed: {humanised(event.reason)}"
        case _:
            return event.type


def _span(story: Story, event: AudioEvent) -> tuple[int, int]:
    rate = story.audio.sample_rate
    start = milliseconds(event.start_sample, rate)
    return start, milliseconds(event.end_sample, rate)


def _words(story: Story, event: Transcript) -> Sequence[_Word]:
    """The words with their times: the engine's where it gave them, else shared out by length."""
    told = tokens(event.text, LINE_CHARS)
    rate = story.audio.sample_rate
    if event.words is not None and len(event.words) == len(told):
        places = [
            (milliseconds(word.start_sample, rate), milliseconds(word.end_sample, rate))
            for word in event.words
        ]
        return [_Word(text, start, end) for text, (start, end) in zip(told, places, strict=True)]
    length = max(event.end_sample - event.start_sample, 0)
    total = sum(map(len, told))
    marks, done = [event.start_sample], 0
    for text in told:
        done += len(text)
        marks.append(event.start_sample + length * done // total)
    edges = [milliseconds(mark, rate) for mark in marks]
    return [_Word(text, *place) for text, place in zip(told, pairwise(edges), strict=True)]


def _heading(tone: str) -> Sequence[str]:
    """How it is said, as the cue's first words."""
    return f"[{tone}]".split(" ") if tone else ()


def _groups(words: Sequence[_Word], heading: Sequence[str]) -> Iterator[Sequence[_Word]]:
    """Words that are shown together, the first of them behind `heading`."""
    group: list[_Word] = []
    shown = list(heading)
    for word in words:
        if group and (
            len(tuple(lines([*shown, word.text], LINE_CHARS))) > CUE_LINES
            or word.end_ms - group[0].start_ms > LONGEST_MS
            or word.start_ms - group[-1].end_ms > PAUSE_MS
        ):
            yield group
            group, shown = [], []
        group.append(word)
        shown.append(word.text)
    if group:
        yield group


class _Manner:
    """How utterances were said: the tone that takes up most of each, told once until it changes."""

    def __init__(self, story: Story) -> None:
        self._tones = sorted(story.tones, key=START)
        self._next = 0
        self._told: dict[str | None, str] = {}

    def of(self, event: Transcript) -> str:
        """The tone of `event`, or nothing where it is the speaker's last one. Called in order."""
        tones = self._tones
        while self._next < len(tones) and tones[self._next].end_sample <= event.start_sample:
            self._next += 1
        share: dict[str, int] = {}
        for index in range(self._next, len(tones)):
            tone = tones[index]
            if tone.start_sample >= event.end_sample:
                break
            overlap = min(tone.end_sample, event.end_sample) - max(tone.start_sample, event.start_sample)
            share[tone.label] = share.get(tone.label, 0) + max(overlap, 0)
        label = max(share, key=lambda one: share[one], default="")
        if not label or self._told.get(event.speaker_id) == label:
            return ""
        self._told[event.speaker_id] = label
        return humanised(label)
