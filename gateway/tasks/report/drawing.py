"""The timeline as SVG: strips of time one below the other, like lines of text, with lanes in each.

Drawn twice, for wide pages and paper and for a phone held upright, so that letters stay as large as the text
around them. Lengths are in units of the drawing, which are pixels at its natural size.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from unicodedata import east_asian_width

from gateway.tasks.report.facts import Facts
from gateway.tasks.report.lanes import NOT_ON_RECORD, Kind, Lane, lane_by_lane
from gateway.tasks.report.looks import MISSING, Look, definitions, filled, looks_of
from gateway.tasks.report.markup import Markup, Paced, at_once, element
from gateway.tasks.report.sentences import drawing_words
from gateway.tasks.report.spans import Run, Span, step_above
from gateway.tasks.report.words import SHORT_QUEUE_WORDS, clock, short
from protocol.events import ShiftDirection

_ROW = 17.0
"""A line of text."""
_BAR = 58.0
_HEIGHTS = {Kind.BARS: _ROW + _BAR, Kind.BLOCKS: 18.0, Kind.HATCHED: 18.0, Kind.MARKS: 12.0}
_BETWEEN = 6.0
_ABOVE = 4.0
_LEAST = 2.5
"""Nothing is drawn smaller."""
_SWATCH = 26.0
_BOLD = 1.16
"""Bold letters by plain ones."""


@dataclass(frozen=True, slots=True)
class Form:
    """A shape to draw in."""

    width: float
    gutter: float
    """At the left, for the lanes' names; where it is 0, they stand above their lanes."""
    margin: float
    """At the right, for the scale of confidence."""
    strip_s: float
    """Seconds of a strip that would be good to read."""
    most_strips: int
    ticks: int
    """Most ticks of a strip."""
    columns: int
    """Of a strip, where there is too much to show each tone."""

    @property
    def most(self) -> int:
        """Runs of a lane."""
        return self.most_strips * self.columns


WIDE = Form(800, 112, 34, 120, 4, 10, 220)
NARROW = Form(288, 0, 30, 20, 6, 3, 80)


@dataclass(frozen=True, slots=True)
class _Strip:
    """A line of the timeline."""

    form: Form
    span: Span
    ends_s: float
    """Where the session ends, in this strip or later."""
    prefix: str
    looks: dict[str, Look]
    """By the label shown."""

    def x(self, seconds: float) -> float:
        share = (seconds - self.span.start_s) / self.span.length_s
        return self.form.gutter + share * (self.form.width - self.form.gutter - self.form.margin)

    def cut(self, runs: Sequence[Run]) -> Iterator[tuple[Run, float, float]]:
        """Those that reach into the strip, from where to where."""
        for run in runs:
            start, end = max(run.span.start_s, self.span.start_s), min(run.span.end_s, self.span.end_s)
            if start < end:
                yield run, self.x(start), self.x(end)


def draw(
    facts: Facts, form: Form, prefix: str, *, alone: Markup | None = None
) -> tuple[Markup, float | None]:
    """The timeline, and the seconds of its longest bin where there was too much to draw it all.

    `alone` is the style that a document of its own needs.
    """
    return at_once(draw_paced(facts, form, prefix, alone=alone))


def draw_paced(
    facts: Facts, form: Form, prefix: str, *, alone: Markup | None = None
) -> Paced[tuple[Markup, float | None]]:
    """The same, with a pause after each lane of each strip."""
    looks = looks_of([label for label, _, _ in facts.shares])
    shown = {look.label: look for look in looks.values()}
    lanes = yield from lane_by_lane(facts, looks, form.most)
    legend, top = _legend(shown, lanes, form, prefix)
    strips, bottom = yield from _strips(facts, lanes, shown, form, prefix, top)
    title, told = f"{prefix}-title", f"{prefix}-told"
    drawn = element(
        "svg",
        element("title", "Timeline", id=title),
        element("desc", drawing_words(facts), id=told),
        alone,
        definitions([*(look.pattern for look in shown.values()), MISSING], prefix),
        element("rect", class_="paper", width=form.width, height=bottom),
        *legend,
        *strips,
        xmlns="http://www.w3.org/2000/svg",
        class_="timeline",
        role="img",
        aria_labelledby=title,
        aria_describedby=told,
        lang="en",
        viewBox=f"0 0 {form.width:g} {math.ceil(bottom)}",
        width=form.width if alone else None,
        height=math.ceil(bottom) if alone else None,
        font_family="system-ui, sans-serif",
        font_size=13,
    )
    return drawn, max((lane.bin_s for lane in lanes if lane.bin_s), default=None)


def _strips(
    facts: Facts, lanes: Sequence[Lane], looks: dict[str, Look], form: Form, prefix: str, top: float
) -> Paced[tuple[list[Markup], float]]:
    """All strips, and where the drawing ends."""
    until_s = max(facts.extent_s, 1.0)
    top += _ABOVE
    number = min(form.most_strips, max(1, math.ceil(until_s / form.strip_s)))
    tick_s = step_above(until_s / number / form.ticks)
    length_s = max(1, math.ceil(until_s / number / tick_s - 1e-9)) * tick_s
    drawn: list[Markup] = []
    for index in range(math.ceil(until_s / length_s - 1e-9)):
        span = Span(index * length_s, (index + 1) * length_s)
        strip = _Strip(form, span, until_s, prefix, looks)
        for lane in lanes if form.gutter else [lane for lane in lanes if any(strip.cut(lane.runs))]:
            drawn.append(_lane(strip, lane, top))
            yield
            top += _height(lane, form) + _BETWEEN
        drawn.append(_axis(strip, tick_s, top))
        top += _ROW * 2
    return drawn, top - _ROW / 2


def _height(lane: Lane, form: Form) -> float:
    return _HEIGHTS[lane.kind] + (0 if form.gutter else _ROW)


def _lane(strip: _Strip, lane: Lane, top: float) -> Markup:
    base = top + _height(lane, strip.form)
    left, right = strip.x(strip.span.start_s), strip.x(min(strip.ends_s, strip.span.end_s))
    painted = {Kind.BARS: _bars, Kind.BLOCKS: _blocks, Kind.HATCHED: _hatched, Kind.MARKS: _marks}
    return element(
        "g",
        _name(strip.form, lane.name, top, base),
        element("line", class_="base", x1=left, x2=right, y1=base, y2=base),
        *painted[lane.kind](strip, lane, base),
    )


def _name(form: Form, name: str, top: float, base: float) -> Markup:
    if not form.gutter:
        return element("text", _fit(name, form.width), class_="name", x=0, y=top + _ROW - 5)
    x = form.gutter - 8
    return element("text", _fit(name, x), class_="name", x=x, y=base - 4, text_anchor="end")


def _bars(strip: _Strip, lane: Lane, base: float) -> Iterator[Markup]:
    for share, word in ((1.0, "1.0"), (0.5, "0.5")):
        y = base - _BAR * share
        right = strip.x(min(strip.ends_s, strip.span.end_s))
        yield element("line", class_="grid", x1=strip.x(strip.span.start_s), x2=right, y1=y, y2=y)
        yield element("text", word, class_="tick", x=strip.form.width, y=y + 4, text_anchor="end")
    for run, left, right in strip.cut(lane.runs):
        height = max(2.0, _BAR * run.level)
        fill = filled(strip.looks[run.key].pattern, strip.prefix)
        width = right - left
        yield element("rect", class_="bar", x=left, y=base - height, width=width, height=height, fill=fill)
    for key, left, right in _groups(strip.cut(lane.runs)):
        look = strip.looks[key]
        written = next((word for word in (key, look.letter) if _wide(word) <= right - left), None)
        if written is not None:
            yield element("text", written, class_="word", x=left, y=base - _BAR - 4)


def _groups(cut: Iterator[tuple[Run, float, float]]) -> Iterator[tuple[str, float, float]]:
    """Runs of one kind, whatever their level, from where to where; a pause begins a new one."""
    numbered: list[tuple[int, str, float, float]] = []
    for run, left, right in cut:
        number, key, _, before = numbered[-1] if numbered else (0, run.key, left, left)
        numbered.append((number + (key != run.key or left - before > 1), run.key, left, right))
    for _, group in groupby(numbered, key=lambda one: one[0]):
        members = list(group)
        yield members[0][1], members[0][2], members[-1][3]


def _blocks(strip: _Strip, lane: Lane, base: float) -> Iterator[Markup]:
    for run, left, right in strip.cut(lane.runs):
        height = max(_LEAST, (_HEIGHTS[Kind.BLOCKS] - 2) * run.level)
        yield element("rect", class_="block", x=left, y=base - height, width=right - left, height=height)
        words = (run.key, SHORT_QUEUE_WORDS.get(run.key, ""))
        written = next((word for word in words if word and _wide(word) + 6 <= right - left), None)
        if written is not None:
            yield element("text", written, class_="word", x=left + 4, y=base - 5)


def _hatched(strip: _Strip, lane: Lane, base: float) -> Iterator[Markup]:
    fill = filled(MISSING, strip.prefix)
    for run, left, right in strip.cut(lane.runs):
        height = max(_LEAST, (_HEIGHTS[Kind.HATCHED] - 2) * run.level)
        width = max(_LEAST, right - left)
        yield element("rect", class_="bar", x=left, y=base - height, width=width, height=height, fill=fill)


def _marks(strip: _Strip, lane: Lane, base: float) -> Iterator[Markup]:
    for run, left, right in strip.cut(lane.runs):
        yield _triangle((left + right) / 2, base - 1, run.key)


def _triangle(x: float, base: float, direction: str) -> Markup:
    tip, foot = (base - 9, base) if direction == ShiftDirection.ESCALATING else (base, base - 9)
    return element(
        "polygon", class_="mark", points=f"{x:.1f},{tip:.1f} {x - 5:.1f},{foot:.1f} {x + 5:.1f},{foot:.1f}"
    )


def _axis(strip: _Strip, tick_s: float, top: float) -> Markup:
    first = round(strip.span.start_s / tick_s)
    last = round(strip.span.end_s / tick_s)
    ticks = []
    for number in range(first, last + 1):
        x = strip.x(number * tick_s)
        anchor = "start" if number == first and not strip.form.gutter else "middle"
        ticks.append(element("line", class_="base", x1=x, x2=x, y1=top - 3, y2=top + 2))
        word = clock(number * tick_s, tenths=tick_s < 1)
        ticks.append(element("text", word, class_="tick", x=x, y=top + _ROW - 2, text_anchor=anchor))
    line = element(
        "line", class_="base", x1=strip.x(strip.span.start_s), x2=strip.x(strip.span.end_s), y1=top, y2=top
    )
    return element("g", line, *ticks)


def _legend(
    looks: dict[str, Look], lanes: Sequence[Lane], form: Form, prefix: str
) -> tuple[list[Markup], float]:
    """What the patterns mean, in as many rows as it takes, and where they end."""
    kinds = {lane.kind for lane in lanes}
    entries: list[tuple[str, str | None, str]] = [
        (f"{look.letter} {look.label}", look.pattern, "") for look in looks.values()
    ]
    if Kind.HATCHED in kinds:
        entries.append((_lacking(lanes), MISSING, ""))
    if Kind.MARKS in kinds:
        entries.append(("Rising", None, ShiftDirection.ESCALATING))
        entries.append(("Easing", None, ShiftDirection.DE_ESCALATING))
    if Kind.BARS in kinds:
        entries.append(("Taller bar: higher confidence", "", ""))
    drawn: list[Markup] = []
    x, y = 0.0, 1.0
    for entry, pattern, direction in entries:
        swatch = 0.0 if pattern == "" else _SWATCH
        words = _fit(entry, form.width - swatch)
        width = swatch + _wide(words) + 18
        if x and x + width - 18 > form.width:
            x, y = 0.0, y + _ROW + 4
        if pattern:
            fill = filled(pattern, prefix)
            drawn.append(element("rect", class_="bar", x=x + 1, y=y, width=20, height=14, fill=fill))
        elif direction:
            drawn.append(_triangle(x + 10, y + 12, direction))
        drawn.append(element("text", words, class_="word", x=x + swatch, y=y + 12))
        x += width
    return drawn, (y + _ROW * 1.5 if entries else 0.0)


def _lacking(lanes: Sequence[Lane]) -> str:
    cut = any(run.key == NOT_ON_RECORD for lane in lanes if lane.kind is Kind.HATCHED for run in lane.runs)
    return "Not analysed or not on record" if cut else "Not analysed"


def _fit(text: str, room: float) -> str:
    """`text`, cut to what `room` units can hold, be it bold."""
    wide = 0.0
    for at, sign in enumerate(text):
        wide += _wide(sign) * _BOLD
        if wide > room:
            return short(text, max(1, at - 1))
    return text


def _wide(text: str) -> float:
    """About how many units `text` takes."""
    return sum(13.5 if east_asian_width(one) in "WF" else 7.3 for one in text)
