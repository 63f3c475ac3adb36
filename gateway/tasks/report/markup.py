"""HTML and SVG written so that text stays text.

What sidecars, callers and clients said is hostile: only `Markup` is ever taken as markup, and nothing but
`element` makes it. Names of elements and attributes are the program's own; every text and every value is
escaped, in the common ground of HTML and XML, so what is written here can be read by either parser.
"""

import re
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TypeAlias, TypeVar

_BLANKS = re.compile("[\t\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
_STEERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Embeddings, overrides and isolates (UAX 9), which could turn round the text that follows."""
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""No characters of XML 1.0, or only discouraged ones; lone surrogates could not even be encoded."""
_CHILDLESS = frozenset(["br", "meta", "rect", "line", "path", "circle", "polygon"])


@dataclass(frozen=True, slots=True)
class Markup:
    """What is markup already."""

    text: str


Node: TypeAlias = "Markup | str | None"
"""What an element may hold: markup, text, or nothing."""
Value: TypeAlias = "str | int | float | None"
"""What an attribute may hold; None leaves it out."""

T = TypeVar("T")
Paced: TypeAlias = Generator[None, None, T]
"""Work that yields nothing but places to pause at, and returns what it made."""


def at_once(work: Paced[T]) -> T:
    """What `work` makes, without a pause."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            made: T = done.value
            return made


def clean(text: str) -> str:
    """`text` on one line, without what no document may hold or what steers the direction of others."""
    return _UNFIT.sub("\ufffd", _STEERING.sub("", _BLANKS.sub(" ", text)))


def element(name: str, /, *children: Node, **attributes: Value) -> Markup:
    """One element. In attributes' names `_` stands for `-`; one at the end is left out (`class_`)."""
    if name in _CHILDLESS:
        return Markup(f"<{name}{_written(attributes)}/>")
    before, after = around(name, **attributes)
    return Markup(f"{before}{joined(children).text}{after}")


def around(name: str, /, **attributes: Value) -> tuple[str, str]:
    """What stands before and behind the children of an element that is written piece by piece."""
    return f"<{name}{_written(attributes)}>", f"</{name}>"


def joined(nodes: Iterable[Node]) -> Markup:
    """Nodes one after the other."""
    return Markup("".join(_text(node) for node in nodes if node is not None))


def _written(attributes: Mapping[str, Value]) -> str:
    return "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )


def _text(node: Markup | str) -> str:
    return node.text if isinstance(node, Markup) else escape(clean(node))


def _value(value: str | int | float) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return escape(clean(str(value)))
