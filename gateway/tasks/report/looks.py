"""How kinds are told apart in the drawing: each tone has a pattern, a tint and a letter of its own.

Patterns carry the difference, so it survives a black and white printer and every kind of colour vision
(WCAG 2.2, 1.4.1); tints only help. Colours are set in `timeline.css`, by class.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.tasks.report.markup import Markup, element

_CELL = 8
"""Units of a pattern's square."""
_PATHS: dict[str, tuple[str, float]] = {
    "plain": ("", 0),
    "dots": ("M2 2h.01M6 6h.01", 2.4),
    "level": ("M0 2h8M0 6h8", 1.2),
    "rising": ("M-2 2l4 -4M0 8l8 -8M6 10l4 -4", 1.2),
    "falling": ("M-2 6l4 4M0 0l8 8M6 -2l4 4", 2.6),
    "rings": ("M4 2a2 2 0 1 0 .01 0", 1.2),
    "zigzag": ("M0 6l4 -4l4 4", 1.2),
    "upright": ("M2 0v8M6 0v8", 1.2),
    "squares": ("M0 4h8M4 0v8", 1.2),
    "plus": ("M4 2v4M2 4h4", 1.2),
    "missing": ("M0 0l8 8M0 8l8 -8", 1.2),
}
"""Name → path and units of its stroke."""
MISSING = "missing"
_SHARED = "plus"
_USUAL = {
    "Neutral": "plain",
    "Calm": "dots",
    "Subdued": "level",
    "Animated": "rising",
    "Tense": "falling",
    "Warm": "rings",
    "Frustrated": "zigzag",
}
"""The embedded classifier's labels, which always look the same."""
_SPARE = ("upright", "squares")


@dataclass(frozen=True, slots=True)
class Look:
    """How one tone is drawn."""

    label: str
    letter: str
    """Short for the label; no two have the same."""
    pattern: str


_OTHER = Look("Other tones", "*", _SHARED)
"""Of the tones that have no pattern left."""


def looks_of(labels: Sequence[str]) -> dict[str, Look]:
    """A look for each of `labels`, which come the most frequent first."""
    free = [*_SPARE, *(name for label, name in _USUAL.items() if label not in labels)]
    looks: dict[str, Look] = {}
    letters = {""}
    for label in labels:
        name = _USUAL.get(label) or (free.pop(0) if free else None)
        if name is None:
            looks[label] = _OTHER
            continue
        signs = [*(sign for sign in label.upper() if sign.isalnum()), *"0123456789"]
        letter = next(sign for sign in signs if sign not in letters)
        letters.add(letter)
        looks[label] = Look(label, letter, name)
    return looks


def definitions(names: Iterable[str], prefix: str) -> Markup:
    """The patterns named, for `fill`; `prefix` keeps two drawings of one page apart."""
    return element("defs", *[_pattern(name, prefix) for name in sorted(set(names))])


def filled(name: str, prefix: str) -> str:
    """What to put in `fill`."""
    return f"url(#{prefix}-{name})"


def _pattern(name: str, prefix: str) -> Markup:
    path, stroke = _PATHS[name]
    tint = element("rect", width=_CELL, height=_CELL, class_=f"tint {name}")
    cap = "round" if name == "dots" else None
    ink = element("path", d=path, class_="ink", stroke_width=stroke, stroke_linecap=cap) if path else None
    return element(
        "pattern",
        tint,
        ink,
        id=f"{prefix}-{name}",
        width=_CELL,
        height=_CELL,
        patternUnits="userSpaceOnUse",
    )
