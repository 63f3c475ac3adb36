"""Line plots as SVG: values over time or over a count, and over percentiles on HdrHistogram's axis.

Lines differ by their dashes as well as their colour (WCAG 2.2, 1.4.1), and each plot is drawn twice, for wide
pages and for a phone held upright, so that letters stay as large as the text around them.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from gateway.tasks.report.markup import Markup, element

LINES_CSS = """\
.plot text { fill: var(--ink); font-size: 13px; }
.plot .grid { stroke: var(--line); stroke-width: 1; }
.plot .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.plot .first { stroke: var(--link); }
.plot .second { stroke: var(--ink); stroke-dasharray: 7 3; }
.plot .third { stroke: var(--faint); stroke-dasharray: 2 3; }
"""
CSS = f"""\
.plot {{ display: block; width: 100%; height: auto; }}
{LINES_CSS}\
details {{ margin: 0.5rem 0 1.5rem; }}
summary {{ cursor: pointer; color: var(--link); }}
pre {{ overflow-x: auto; font-size: 0.85rem; }}
"""
_LINES = ("first", "second", "third")
_HEIGHT, _TOP, _BOTTOM, _LEFT, _RIGHT = 290.0, 52.0, 40.0, 64.0, 36.0
_STEPS = (1, 2, 2.5, 5, 10)
_CLOCK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600)
"""Seconds"""
_TO_PERCENTILE = 100
"""Points of a line of percentiles"""


@dataclass(frozen=True, slots=True)
class Form:
    """A shape to draw in."""

    name: str
    width: float
    ticks: int
    """Most on the axis below"""


WIDE, NARROW = Form("wide", 800, 10), Form("narrow", 340, 4)


class Axis(Enum):
    """What lies below a plot; the value names it."""

    CLOCK = "time, minutes:seconds"
    PERCENTILES = "percentile"
    """Shares of all values, in per cent"""
    SESSIONS = "live sessions (logarithmic)"


@dataclass(frozen=True, slots=True)
class Line:
    """One line."""

    label: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Plot:
    """What is drawn."""

    key: str
    """For ids, unique on the page"""
    title: str
    told: str
    """The same in a sentence, for those who don't see it"""
    unit: str
    """Of the values, and what they are where the title doesn't say"""
    lines: Sequence[Line]
    axis: Axis = Axis.CLOCK


def drawn(plot: Plot) -> list[Markup]:
    """The plot in both shapes; a page shows one of them."""
    return [element("div", draw(plot, form), class_=form.name) for form in (WIDE, NARROW)]


def percentile_shares(count: int) -> list[float]:
    """Per cent, for a line over `count` values: even steps of 1/(1−p), until one value is left above."""
    most = math.log10(max(2, count))
    places = (step / _TO_PERCENTILE * most for step in range(_TO_PERCENTILE + 1))
    return [100 * (1 - 10**-place) for place in places]


def nice_ticks(top: float, most: int = 5) -> list[float]:
    """Round values from 0 on, the last of which is not below `top`."""
    top = top if top > 0 else 1.0
    rough = top / most
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * one for one in _STEPS if unit * one >= rough * (1 - 1e-9))
    return [index * step for index in range(math.ceil(top / step - 1e-9) + 1)]


def draw(plot: Plot, form: Form, *before: Markup, **more: str) -> Markup:
    """One drawing, with `before` behind it and more attributes of the element."""
    prefix = f"{plot.key}-{form.name}"
    points = [point for line in plot.lines for point in line.points]
    ticks = nice_ticks(max((value for _, value in points), default=1.0))
    below = _ticks(plot.axis, points, form.ticks)
    places = [place for place, _ in below] + [_place(plot.axis, one) for one, _ in points]
    begin, end = min(places, default=0.0), max(places, default=1.0)

    def x(place: float) -> float:
        return _LEFT + (place - begin) / ((end - begin) or 1) * (form.width - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - value / ticks[-1] * (_HEIGHT - _TOP - _BOTTOM)

    return element(
        "svg",
        element("title", plot.title, id=f"{prefix}-title"),
        element("desc", plot.told, id=f"{prefix}-told"),
        *before,
        *(mark for tick in ticks for mark in _row(form, y(tick), f"{tick:,g}")),
        *(
            element("text", label, x=x(place), y=_HEIGHT - _BOTTOM + 20, text_anchor="middle")
            for place, label in below
        ),
        element("text", plot.unit, x=2, y=_TOP - 14),
        element("text", plot.axis.value, x=form.width - _RIGHT, y=_HEIGHT - 4, text_anchor="end"),
        *_legend(plot.lines),
        *(
            element(
                "path",
                class_=f"line {look}",
                d=_path((x(_place(plot.axis, at)), y(v)) for at, v in one.points),
            )
            for look, one in zip(_LINES, plot.lines, strict=False)
            if one.points
        ),
        viewBox=f"0 0 {form.width:g} {_HEIGHT:g}",
        class_="plot",
        role="img",
        aria_labelledby=f"{prefix}-title",
        aria_describedby=f"{prefix}-told",
        **more,
    )


def _place(axis: Axis, at: float) -> float:
    """On the axis below."""
    match axis:
        case Axis.PERCENTILES:
            return -math.log10(max(1e-12, 1 - at / 100))
        case Axis.SESSIONS:
            return math.log10(max(1.0, at))
        case _:
            return at


def _ticks(axis: Axis, points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, str]]:
    """Places on the axis below, and what stands there: of time, `most` at most."""
    match axis:
        case Axis.PERCENTILES:
            return _percentile_ticks(points)
        case Axis.SESSIONS:
            return [(_place(axis, at), f"{at:,.0f}") for at in sorted({at for at, _ in points})]
        case _:
            return _clock_ticks(points, most)


def _percentile_ticks(points: Iterable[tuple[float, float]]) -> list[tuple[float, str]]:
    most = max((share for share, _ in points), default=0.0)
    nines = math.ceil(-math.log10(max(1e-12, 1 - most / 100)) - 1e-9)
    labels = ["0 %", "90 %", *(f"{100 * (1 - 10.0**-nine):.{nine - 2}f} %" for nine in range(2, nines + 1))]
    return [(float(place), label) for place, label in enumerate(labels[: nines + 1])]


def _clock_ticks(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, str]]:
    end = max((at for at, _ in points), default=0.0)
    step = next((one for one in _CLOCK_STEPS if end / one <= most), 43_200)
    return [(float(at), clock(at)) for at in range(0, math.floor(end) + 1, step)]


def clock(seconds: float) -> str:
    """`1:30`, or with hours `2:01:30`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _row(form: Form, at: float, label: str) -> Iterator[Markup]:
    yield element("line", class_="grid", x1=_LEFT, x2=form.width - _RIGHT, y1=at, y2=at)
    yield element("text", label, x=_LEFT - 8, y=at + 4, text_anchor="end")


def _legend(lines: Sequence[Line]) -> Iterator[Markup]:
    left = _LEFT
    for look, line in zip(_LINES, lines, strict=False):
        yield element("path", class_=f"line {look}", d=f"M{left:g} 12h28")
        yield element("text", line.label, x=left + 34, y=16)
        left += 34 + 8 * len(line.label) + 16


def _path(points: Iterable[tuple[float, float]]) -> str:
    found = list(points)
    if len(found) == 1:
        found += [(found[0][0] + 1, found[0][1])]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in found)


def thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """`most` points at most: of each group of neighbours the highest, which is what matters of a load."""
    size = math.ceil(len(points) / most) if points else 1
    groups = (points[start : start + size] for start in range(0, len(points), size))
    return [max(group, key=lambda one: one[1]) for group in groups]


def rates(points: Sequence[tuple[float, float]], least_s: float = 0.5) -> list[tuple[float, float]]:
    """What a count grew by a second, at the end of each interval that is not too short to tell."""
    kept = list(points[:1])
    for point in points[1:]:
        if point[0] - kept[-1][0] >= least_s:
            kept.append(point)
    return [(end, (after - before) / (end - begin)) for (begin, before), (end, after) in pairwise(kept)]
