"""A flame graph as SVG that stands by itself: no script, legible on light and on dark paper.

A box is a function, as wide as its share of all samples, above the one that called it; its colour is the part
of the way that samples of its own belong to (`benchmarks.stacks`), and so the colours show what the table
says. Each box has a `<title>`, which browsers show under the pointer. The same samples draw the same file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from benchmarks.drawings import DARK, LIGHT
from benchmarks.stacks import Frame, Part, Stack, part_of, shares
from gateway.tasks.report.markup import Markup, element

LEAST: Final = 0.003
"""Of the whole width: narrower neighbours become one box, which ends there."""
WIDTH: Final = 1_200.0
ROW: Final = 18.0

FILLS: Final[Mapping[Part, tuple[str, str]]] = {
    Part.LOOP: ("#d9d9e0", "#3d3e48"),
    Part.LANE: ("#f7c6c0", "#6b2b26"),
    Part.RING: ("#fbd9a5", "#664214"),
    Part.WINDOW: ("#f1eb9c", "#55500f"),
    Part.REQUEST: ("#c9e7a6", "#35531a"),
    Part.ANSWER: ("#a9e3cc", "#144f3b"),
    Part.EVENTS: ("#b0dcf5", "#144a68"),
    Part.OUT: ("#cfcdf8", "#3c3886"),
    Part.ELSE: ("#f0c8ec", "#63295e"),
}
"""Of boxes, on light and on dark paper."""

_GAP: Final = 0.7
"""Paper between boxes"""
_LETTER: Final = 6.7
"""Width of one, at the size of letters in boxes"""
_FEWEST: Final = 4
"""Letters that are worth showing"""
_LEGEND_COLUMNS: Final = 3
_LEGEND_ROW: Final = 22.0
_TOP: Final = 10.0
_LEGEND_ROWS: Final = -(-len(Part) // _LEGEND_COLUMNS)


@dataclass(slots=True)
class _Node:
    """A function, called from one stack of others."""

    count: int = 0
    children: dict[Frame, "_Node"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Box:
    """What is drawn of a function."""

    name: str
    left: float
    """Share of all samples that stand to the left of it"""
    width: float
    """Share of all samples"""
    depth: int
    """Functions below it"""
    part: Part


def boxes(stacks: Mapping[Stack, int]) -> list[Box]:
    """From left to right and upwards, neighbours by their width; the first is the event loop itself.

    What calls nothing more leaves the paper above it free: so wide are the samples of the function itself.
    """
    root = _Node()
    for stack, count in sorted(stacks.items()):
        node = root
        node.count += count
        for frame in stack:
            node = node.children.setdefault(frame, _Node())
            node.count += count
    if not root.count:
        return []
    first = Box("all samples", 0.0, 1.0, 0, Part.LOOP)
    return [first, *_above(root, (), 0.0, root.count)]


def svg(stacks: Mapping[Stack, int], cpu_us: float, title: str) -> str:
    """The document.

    Args:
        cpu_us: microseconds that all samples stand for.
    """
    found = boxes(stacks)
    top = _TOP + _LEGEND_ROW * _LEGEND_ROWS + ROW
    height = top + ROW * (1 + max((box.depth for box in found), default=0)) + _TOP
    parts = shares(stacks)
    told = "; ".join(f"{part.value}: {cpu_us * share:,.0f} µs" for part, share in parts.items())
    drawing = element(
        "svg",
        element("title", title, id="flame-title"),
        element("desc", f"{told}.", id="flame-told"),
        Markup(f"<style>\n{_css(0)}@media (prefers-color-scheme: dark) {{\n{_css(1)}}}\n</style>"),
        element("rect", class_="paper", width="100%", height="100%"),
        *chain.from_iterable(
            _legend(place, part, parts[part], cpu_us * parts[part]) for place, part in enumerate(Part)
        ),
        *(_drawn(box, height - _TOP, cpu_us) for box in found),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        class_="flame",
        role="img",
        aria_labelledby="flame-title",
        aria_describedby="flame-told",
    )
    return drawing.text.replace("<g", "\n<g") + "\n"


def _above(node: _Node, below: Stack, left: float, total: int) -> Iterator[Box]:
    narrow: list[tuple[_Node, Part]] = []
    depth = len(below) + 1
    for frame, child in sorted(node.children.items(), key=lambda one: (-one[1].count, one[0])):
        stack, share = (*below, frame), child.count / total
        if share < LEAST:
            narrow.append((child, part_of(stack)))
            continue
        yield Box(str(frame), left, share, depth, part_of(stack))
        yield from _above(child, stack, left, total)
        left += share
    if narrow:
        share = sum(one.count for one, _ in narrow) / total
        first, *others = {part for _, part in narrow}
        yield Box(f"{len(narrow)} narrower", left, share, depth, Part.ELSE if others else first)


def _drawn(box: Box, bottom: float, cpu_us: float) -> Markup:
    whole = WIDTH - 2 * _TOP
    x, width = _TOP + box.left * whole, box.width * whole
    y = bottom - ROW * (box.depth + 1)
    shown = _label(box.name, width)
    told = f"{box.name}: {box.width:.1%} of samples, {cpu_us * box.width:,.1f} µs with all it calls; "
    told += f"its own are {box.part.value}"
    return element(
        "g",
        element("title", told),
        element("rect", class_=_class(box.part), x=x, y=y, width=max(0.4, width - _GAP), height=ROW - _GAP),
        element("text", shown, x=x + 3, y=y + ROW - 5.5) if shown else None,
    )


def _label(name: str, width: float) -> str:
    """What there is room for of a box's name: without its path, without its class, or else cut off."""
    room = int((width - 6) / _LETTER)
    full = name.partition(" (")[0]
    short = full.rpartition(".")[2]
    fits = next((one for one in (full, short) if len(one) <= room), None)
    if fits is not None:
        return fits
    return f"{short[: room - 1]}…" if room >= _FEWEST else ""


def _legend(place: int, part: Part, share: float, us: float) -> Iterator[Markup]:
    row, column = divmod(place, _LEGEND_COLUMNS)
    x, y = _TOP + column * WIDTH / _LEGEND_COLUMNS, _TOP + row * _LEGEND_ROW
    yield element("rect", class_=_class(part), x=x, y=y, width=16, height=14)
    yield element("text", f"{part.value}: {us:,.0f} µs, {share:.0%}", class_="part", x=x + 22, y=y + 11.5)


def _class(part: Part) -> str:
    return part.name.lower()


def _css(scheme: int) -> str:
    """Colours for light paper (0) or dark (1)."""
    colours = (LIGHT, DARK)[scheme]
    fills = "".join(f".flame .{_class(part)} {{ fill: {fill[scheme]}; }}\n" for part, fill in FILLS.items())
    return (
        f".flame {{ font-family: system-ui, sans-serif; }}\n.flame .paper {{ fill: {colours['paper']}; }}\n"
        f".flame text {{ fill: {colours['ink']}; font-size: 11.5px; }}\n"
        f".flame .part {{ font-size: 13.5px; }}\n{fills}"
    )
