"""Plots beside the results: SVG that stands by itself, and can be read on light and on dark paper.

All colours are opaque, the paper's too: whatever shows the file, letters have the ground they were made for.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gateway.commands.load_plots import LINES_CSS, WIDE, Plot, draw
from gateway.tasks.report.markup import Markup, element

FOLDER: Final = "plots"
LIGHT: Final = {
    "paper": "#ffffff",
    "ink": "#1d1d22",
    "faint": "#55555f",
    "line": "#c9c9d2",
    "link": "#0b4fa8",
}
DARK: Final = {
    "paper": "#17181d",
    "ink": "#ececf1",
    "faint": "#b4b4c0",
    "line": "#4a4b57",
    "link": "#9cc4ff",
}
"""As on the pages of reports"""


def write(beside: Path, plots: Iterable[Plot]) -> None:
    """One file each, in the folder beside a page."""
    for plot in plots:
        path = beside / _path(plot)
        path.parent.mkdir(exist_ok=True)
        path.write_text(svg(plot), encoding="utf-8")


def reference(plot: Plot) -> str:
    """To such a file, in Markdown: its title, and its words for those who don't see it."""
    return f"{plot.title}:\n\n![{plot.told}]({_path(plot)})"


def svg(plot: Plot) -> str:
    """The document."""
    dark = f"@media (prefers-color-scheme: dark) {{\n{_style(DARK)}}}\n"
    style = Markup(f"<style>\n{_style(LIGHT)}{dark}</style>")
    paper = element("rect", class_="paper", width="100%", height="100%")
    return draw(plot, WIDE, style, paper, xmlns="http://www.w3.org/2000/svg").text + "\n"


def _path(plot: Plot) -> str:
    return f"{FOLDER}/{plot.key}.svg"


def _style(colours: dict[str, str]) -> str:
    css = ".plot { font-family: system-ui, sans-serif; }\n.plot .paper { fill: var(--paper); }\n"
    return re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], css + LINES_CSS)
