"""Captions: what was said in stretches that can be read, and what was heard instead of words.

The rules of thumb are those of subtitling: two lines of 42 characters, at most six seconds, and no cue
across a pause. Of one speaker, a cue goes when the next one comes, and none is too short to be seen where
there is room. Who talks at the same time has cues at the same time.
"""

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TypeAlias

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


@dataclass(slots=True)
class _Place:
    """A cue that waits for the next one of its row."""

    cue: Cue
    """Ends with its words."""
    until_ms: int | None = None
    """When the next one of its row begins."""

    @property
    def shown_until_ms(self) -> int:
        """When it ends. What it says is cut short by what is said after it, not by what is said meanwhile."""
        shortest = self.cue.start_ms + SHORTEST_MS
        end = max(self.cue.end_ms, shortest)
        if self.until_ms is None:
            return end
        meanwhile = self.until_ms < self.cue.end_ms or self.until_ms <= self.cue.start_ms
        return max(min(end, self.until_ms), shortest if meanwhile else 0)


_Rowed: TypeAlias = tuple[str, Cue]
"""A cue, and who says it."""


def captions(story: Story, lanes: frozenset[Lane]) -> Iterator[Cue]:
    """The cues of `lanes` in order of their start.

    Each speaker has a row, and so has each lane in which nobody speaks. Those of a row follow each other:
    where what they tell of overlaps, each is shown for `SHORTEST_MS` beside the next.

    Tones stand in the cues of what was said that way; in a session without words they are cues of their own.
    """
    lots: list[Iterator[_Rowed]] = []
    if Lane.TRANSCRIPT in lanes and story.transcripts:
        lots.append(_spoken(story, lanes))
    elif Lane.TONE in lanes:
        lots.append(_felt(story, lanes))
    lots += [_heard(story, lane) for lane in (Lane.QUEUE, Lane.GAP) if lane in lanes]
    return heapq.merge(*map(_placed, lots), key=lambda cue: (cue.start_ms, cue.lane))


def _placed(cues: Iterator[_Rowed]) -> Iterator[Cue]:
    """The cues, which come in order, with their ends; tones of a row that go on are one."""
    waiting: deque[_Place] = deque()
    last: dict[str, _Place] = {}
    for row, cue in cues:
        before = last.get(row)
        if before is not None and _goes_on(before.cue, cue):
            before.cue = replace(before.cue, end_ms=max(before.cue.end_ms, cue.end_ms))
            continue
        if before is not None:
            before.until_ms = cue.start_ms
        last[row] = _Place(cue)
        waiting.append(last[row])
        # One that is over by now can neither be cut nor go on.
        while waiting[0].until_ms is not None or waiting[0].shown_until_ms < cue.start_ms:
            yield _done(waiting.popleft())
    yield from map(_done, waiting)


def _done(place: _Place) -> Cue:
    return replace(place.cue, end_ms=place.shown_until_ms)


def _spoken(story: Story, lanes: frozenset[Lane]) -> Iterator[_Rowed]:
    """What was said, in the order of the cues: people talk at the same time, and windows overlap."""
    manner = _Manner(story) if Lane.TONE in lanes else None
    spoken = sorted(story.transcripts, key=START)
    begins = list(accumulate(map(_begin, reversed(spoken)), min))
    ready: list[tuple[int, int, _Rowed]] = []
    number = 0
    for event in spoken:
        begin_ms = milliseconds(begins.pop(), story.audio.sample_rate)
        while ready and ready[0][0] <= begin_ms:
            yield heapq.heappop(ready)[2]
        for cue in _said(story, event, lanes, manner):
            heapq.heappush(ready, (cue.start_ms, number, (clean(event.speaker_id), cue)))
            number += 1
    while ready:
        yield heapq.heappop(ready)[2]


def _begin(event: Transcript) -> int:
    """The sample before which no cue of it begins."""
    return min(event.start_sample, event.words[0].start_sample) if event.words else event.start_sample


def _felt(story: Story, lanes: frozenset[Lane]) -> Iterator[_Rowed]:
    for event in sorted(story.tones, key=START):
        who = clean(event.speaker_id)
        start, end = _span(story, event)
        speaker = who if Lane.SPEAKER in lanes else ""
        yield who, Cue(start, end, Lane.TONE, f"[{humanised(event.label)}]", speaker)


def _heard(story: Story, lane: Lane) -> Iterator[_Rowed]:
    for _, event in in_lanes(story, frozenset((lane,))):
        start, end = _span(story, event)
        yield lane, Cue(start, end, lane, f"[{described(event)}]")


def _said(story: Story, event: Transcript, lanes: frozenset[Lane], manner: "_Manner | None") -> Iterator[Cue]:
    """The cues of one utterance; the first says how it was said, where that is news."""
    speaker = clean(event.speaker_id) if Lane.SPEAKER in lanes else ""
    tone = manner.of(event) if manner is not None else ""
    for group in _groups(_words(story, event), _heading(tone)):
        text = " ".join(word.text for word in group)
        yield Cue(group[0].start_ms, group[-1].end_ms, Lane.TRANSCRIPT, text, speaker, tone)
        tone = ""


def _goes_on(run: Cue, following: Cue) -> bool:
    """Whether both are one tone that lasts."""
    same = following.lane is Lane.TONE and following.text == run.text
    return same and following.start_ms <= run.end_ms


def described(event: AudioEvent) -> str:
    """What was heard, or not, instead of words.

    Of the keys that were dialled it tells how many: which ones may be a secret.
    """
    match event:
        case Queue():
            keys = len(event.digits or "")
            number = f", {keys} {'key' if keys == 1 else 'keys'}" if keys else ""
            return f"{humanised(event.label)}{number}"
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
        starts = accumulate((milliseconds(word.start_sample, rate) for word in event.words), max)
        ends = (milliseconds(word.end_sample, rate) for word in event.words)
        return [_Word(*word) for word in zip(told, starts, ends, strict=True)]
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
        """The first that begins after the last utterance did."""
        self._under_way: Sequence[Tone] = ()
        """Those before it that were not over by then."""
        self._told: dict[str | None, str] = {}

    def of(self, event: Transcript) -> str:
        """The tone of `event`, or nothing where it is the speaker's last one. Called in order of start."""
        share: dict[str, int] = {}
        for tone in self._during(event):
            overlap = min(tone.end_sample, event.end_sample) - max(tone.start_sample, event.start_sample)
            share[tone.label] = share.get(tone.label, 0) + max(overlap, 0)
        label = max(share, key=lambda one: share[one], default="")
        if not label or self._told.get(event.speaker_id) == label:
            return ""
        self._told[event.speaker_id] = label
        return humanised(label)

    def _during(self, event: Transcript) -> Iterator[Tone]:
        """The tones that `event` shares a stretch with. None is looked at again once it is over."""
        first = self._next
        while self._next < len(self._tones) and self._tones[self._next].start_sample <= event.start_sample:
            self._next += 1
        begun = (*self._under_way, *self._tones[first : self._next])
        self._under_way = [tone for tone in begun if tone.end_sample > event.start_sample]
        yield from self._under_way
        for index in range(self._next, len(self._tones)):
            if self._tones[index].start_sample >= event.end_sample:
                break
            yield self._tones[index]
