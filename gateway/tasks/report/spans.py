"""Stretches of a session's clock, and how many of them are brought down to few.

A session may last a day and have tens of thousands of events. What is shown of it is bounded: where there are
too many stretches to show each, a bin of time takes the kind that fills most of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from gateway.tasks.story import Story
from protocol.events import AudioEvent

E = TypeVar("E", bound=AudioEvent)

TOUCH_S = 0.05
"""Seconds; stretches no further apart than this follow each other without a pause."""
_LEVEL = 0.005
_STEPS = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    20,
    30,
    60,
    120,
    180,
    300,
    600,
    900,
    1_200,
    1_800,
    3_600,
    7_200,
    10_800,
)


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of one kind."""

    span: Span
    key: str
    """What kind."""
    level: float = 1.0
    """0 to 1: how sure; or, of a bin, how much of it."""


def own(story: Story, events: Iterable[E]) -> Iterator[tuple[E, Span]]:
    """Each event with the stretch that no earlier one spoke of; those without any are passed over.

    Windows may overlap, and a window's news is its end.
    """
    reached = 0
    for event in sorted(events, key=lambda one: (one.end_sample, one.start_sample)):
        start = max(reached, event.start_sample)
        if start < event.end_sample:
            reached = event.end_sample
            yield event, Span(story.seconds(start), story.seconds(event.end_sample))


def step_above(seconds: float) -> float:
    """The smallest round length, in seconds, that is no shorter."""
    for step in _STEPS:
        if step >= seconds:
            return step
    step = 21_600.0
    while step < seconds:
        step *= 2
    return step


def few(
    runs: Sequence[Run], most: int, until_s: float, *, sure: bool = True
) -> tuple[Sequence[Run], float | None]:
    """At most `most` of `runs`, which are in order and don't overlap, and the bin's seconds.

    Runs of the same kind and level that touch become one. Where that is not enough, each bin takes the kind
    that fills most of it; the bin is None where every run is there.

    Args:
        runs: in order; all of one level unless `sure`.
        most: the bound.
        until_s: no run ends later.
        sure: levels say how sure a run is, and a bin has their mean; otherwise its level is its share.
    """
    exact = _merged(runs, most + 1)
    if len(exact) <= most:
        return exact, None
    bin_s = step_above(until_s / most)
    return _merged(_binned(runs, bin_s, until_s, sure=sure), most + 1), bin_s


def _merged(runs: Iterable[Run], most: int) -> list[Run]:
    merged: list[Run] = []
    for run in runs:
        last = merged[-1] if merged else None
        if last is not None and last.key == run.key and follows(last.span, run.span) and _level(last, run):
            merged[-1] = replace(last, span=Span(last.span.start_s, run.span.end_s))
        elif len(merged) == most:
            break
        else:
            merged.append(run)
    return merged


def follows(before: Span, after: Span) -> bool:
    """Whether `after` begins where `before` ends."""
    return after.start_s - before.end_s <= TOUCH_S


def _level(one: Run, other: Run) -> bool:
    return abs(one.level - other.level) <= _LEVEL


def _binned(runs: Iterable[Run], bin_s: float, until_s: float, *, sure: bool) -> Iterator[Run]:
    bins: dict[int, dict[str, tuple[float, float]]] = {}
    for run in runs:
        at = run.span.start_s
        number = int(at // bin_s)
        while at < run.span.end_s:
            until = min(run.span.end_s, (number + 1) * bin_s)
            kinds = bins.setdefault(number, {})
            seconds, weighed = kinds.get(run.key, (0.0, 0.0))
            kinds[run.key] = (seconds + until - at, weighed + (until - at) * run.level)
            at, number = max(at, until), number + 1
    for number, kinds in sorted(bins.items()):
        key, (seconds, weighed) = max(kinds.items(), key=lambda kind: kind[1][0])
        span = Span(number * bin_s, min(until_s, (number + 1) * bin_s))
        whole = seconds if sure else span.length_s
        yield Run(span, key, weighed / whole if whole > 0 else 0.0)
