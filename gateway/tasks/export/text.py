"""Text that strangers chose, made fit for line-based files."""

import re
from collections.abc import Iterator, Sequence

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufeff\s]+")
"""Whitespace of every kind, controls, halves of surrogate pairs, and what passes for a byte-order mark."""


def clean(text: str | None) -> str:
    """`text` in one line: no controls, no line or page breaks, single spaces, none at the ends."""
    return _CONTROL.sub(" ", text or "").strip()


def blank(text: str) -> bool:
    """Whether nothing is left of `text` when it is clean."""
    return not text or _CONTROL.fullmatch(text) is not None


def humanised(label: str) -> str:
    """A label as people write it: `hold_music` is `hold music`."""
    return clean(label).replace("_", " ")


def tokens(text: str, at_most: int) -> Sequence[str]:
    """The words of `text`; one of more than `at_most` characters is cut, as lines have an end."""
    return [
        word[start : start + at_most]
        for word in clean(text).split(" ")
        for start in range(0, len(word), at_most)
    ]


def lines(words: Sequence[str], at_most: int) -> Iterator[str]:
    """`words` in lines of at most `at_most` characters; a longer word has a line of its own."""
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > at_most:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        yield line
