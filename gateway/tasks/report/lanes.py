"""The lanes of the timeline: what runs beside what, whatever it is drawn on."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gateway.tasks.report.facts import Facts
from gateway.tasks.report.looks import Look
from gateway.tasks.report.markup import Paced, at_once
from gateway.tasks.report.spans import Run, few

NOT_ON_RECORD = "not on record"


class Kind(Enum):
    """How a lane is drawn."""

    BARS = "bars"
    """As high as they are sure, in the pattern of their kind."""
    BLOCKS = "blocks"
    """Plain, with their kind written in them where it fits; bins as high as the part that they fill."""
    HATCHED = "hatched"
    """Crossed out, and never too small to be seen; bins as blocks are."""
    MARKS = "marks"
    """Triangles that point up or down."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane, from the session's begin to its end."""

    name: str
    kind: Kind
    runs: Sequence[Run]
    bin_s: float | None = None
    """Seconds of a bin, where there was too much to show each run."""


def lanes_of(facts: Facts, looks: dict[str, Look], most: int) -> Sequence[Lane]:
    """The lanes that have anything in them, `most` runs in each at most."""
    return at_once(lane_by_lane(facts, looks, most))


def lane_by_lane(facts: Facts, looks: dict[str, Look], most: int) -> Paced[Sequence[Lane]]:
    """The same, with a pause before each."""
    tones = [Run(tone.span, looks[tone.label].label, tone.confidence) for tone in facts.tones]
    moments = [Run(tone.span, str(tone.shift)) for tone in facts.moments]
    lacking = facts.missing
    lost = [*facts.gaps, *([Run(lacking, NOT_ON_RECORD)] if lacking else [])]
    wanted = [
        ("Tone", Kind.BARS, tones),
        ("Change", Kind.MARKS, moments),
        *((voice.name, Kind.BLOCKS, [Run(span, "") for span in voice.spans]) for voice in facts.voices),
        ("Call", Kind.BLOCKS, [Run(call.span, call.name) for call in facts.calls]),
        ("Not analysed", Kind.HATCHED, lost),
    ]
    lanes: list[Lane] = []
    for name, kind, runs in wanted:
        yield
        lanes.append(_lane(name, kind, runs, most, facts))
    return [lane for lane in lanes if lane.runs]


def _lane(name: str, kind: Kind, runs: Sequence[Run], most: int, facts: Facts) -> Lane:
    shown, bin_s = few(runs, most, facts.extent_s, sure=kind is Kind.BARS)
    return Lane(name, kind, shown, bin_s)
