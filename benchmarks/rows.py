"""One measured figure, and its ratio to another of the same run: absolute figures move between machines."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.commands.load_plots import Plot


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a benchmark's table."""

    name: str
    """What was measured."""
    value: float
    """In `unit`."""
    unit: str
    """Such as `µs/frame` or `KiB/session`."""
    ratio_to: str | None = None
    """Name of the row it is compared with, measured in the same run."""
    ratio: float | None = None
    """This value over that one's."""


@dataclass(frozen=True, slots=True)
class Results:
    """All of a benchmark that draws some of it, too."""

    rows: list[Row]
    plots: list[Plot] = field(default_factory=list)


def table(rows: Iterable[Row]) -> str:
    """`rows` as aligned text."""
    lines = [("what", "value", "unit", "ratio", "to")]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append((row.name, f"{row.value:.2f}", row.unit, ratio, row.ratio_to or ""))
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    aligned = (
        f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}  {e}".rstrip()
        for a, b, c, d, e in lines
    )
    return "\n".join(aligned)
