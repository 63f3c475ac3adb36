"""A session as something to take to a debrief: one page, or its timeline alone."""

from collections.abc import Iterator

from gateway.tasks.report.drawing import WIDE, draw_paced
from gateway.tasks.report.facts import Facts
from gateway.tasks.report.page import page, style
from gateway.tasks.report.talk import MOST_LINES
from gateway.tasks.story import Story

_OF_ANY = 200
"""Pieces that are not of single tones and lines: lanes and tables."""

__all__ = ["render_html", "render_svg", "report_pieces", "write_html", "write_svg"]


def render_html(story: Story) -> str:
    """A page that stands by itself, readable in black and white, on paper, and by a screen reader.

    It is bounded however long the session was. It holds what was said, so it is as personal as the session
    itself; of the session's id it shows only the first characters.
    """
    return "".join(piece for piece in page(story) if piece is not None)


def render_svg(story: Story) -> str:
    """The page's timeline alone, as an SVG document."""
    return "".join(piece for piece in _timeline(story) if piece is not None)


def write_html(story: Story) -> Iterator[bytes]:
    """The page in pieces, many of them empty."""
    return _encoded(page(story))


def write_svg(story: Story) -> Iterator[bytes]:
    """The timeline in pieces: many empty ones, and then all of it."""
    return _encoded(_timeline(story))


def report_pieces(story: Story) -> int:
    """About how many pieces either has."""
    return len(story.tones) + min(len(story.transcripts), MOST_LINES) + _OF_ANY


def _timeline(story: Story) -> Iterator[str | None]:
    facts = yield from Facts.gather(story)
    drawn, _ = yield from draw_paced(facts, WIDE, "timeline", alone=style("timeline.css"))
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n{drawn.text}\n'


def _encoded(pieces: Iterator[str | None]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"" if piece is None else piece.encode()
