"""Tables that a screen reader can walk: a caption, scoped headers, and a frame that scrolls by keyboard."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.tasks.report.markup import Markup, Node, element
from gateway.tasks.report.words import clock, duration_of, length

MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    head: str
    number: bool = False
    """Figures stand below each other."""


def table(
    name: str, caption: Node, columns: Sequence[Column], rows: Iterable[Sequence[Node]], *, lead: int = 0
) -> Markup:
    """A table; the cells of column `lead` head their rows.

    Args:
        name: for its caption's id, unique on the page.
        caption: what it shows, whole sentences where something is left out.
        columns: their heads.
        rows: as many cells each as there are columns.
        lead: which column says what a row is about.
    """
    heads = [element("th", column.head, scope="col", class_=_class(column)) for column in columns]
    body = [
        element(
            "tr",
            *[
                element("th", cell, scope="row", class_=_class(column))
                if at == lead
                else element("td", cell, class_=_class(column))
                for at, (column, cell) in enumerate(zip(columns, row, strict=True))
            ],
        )
        for row in rows
    ]
    whole = element(
        "table",
        element("caption", caption, id=f"{name}-caption"),
        element("thead", element("tr", *heads)),
        element("tbody", *body),
    )
    return element("div", whole, class_="scroll", role="group", tabindex=0, aria_labelledby=f"{name}-caption")


def at(seconds: float) -> Markup:
    """A place on the session's clock."""
    return element("time", clock(seconds, tenths=True), datetime=duration_of(seconds))


def lasting(seconds: float) -> Markup:
    """How long something was."""
    return element("time", length(seconds), datetime=duration_of(seconds))


def name(text: str | None) -> Markup:
    """Somebody's or something's name, which keeps its own direction; a dash where there is none."""
    return element("bdi", text) if text else element("span", "not told", class_="none")


def _class(column: Column) -> str | None:
    return "number" if column.number else None
