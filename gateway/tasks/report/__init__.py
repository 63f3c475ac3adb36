"""A session as something to take to a debrief: one page, or its timeline alone."""

from gateway.tasks.report.drawing import WIDE, draw
from gateway.tasks.report.facts import Facts
from gateway.tasks.report.page import page, style
from gateway.tasks.story import Story

__all__ = ["render_html", "render_svg"]


def render_html(story: Story) -> str:
    """A page that stands by itself, readable in black and white, on paper, and by a screen reader.

    It is bounded however long the session was. It holds what was said, so it is as personal as the session
    itself; of the session's id it shows only the first characters.
    """
    return page(story)


def render_svg(story: Story) -> str:
    """The page's timeline alone, as an SVG document."""
    drawn, _ = draw(Facts.of(story), WIDE, "timeline", alone=style("timeline.css"))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + drawn.text + "\n"
