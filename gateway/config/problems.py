"""What is wrong with the settings, told so that people can put it right."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

_CREDENTIALS = re.compile(r"(:/*|//).*@")
"""Up to the last `@`, as a password may hold anything that should have been escaped"""
_PASSWORD = re.compile(r"(?P<name>password[^=&?@/]*=).*", re.IGNORECASE)
"""As the value of a parameter, with all that follows for the same reason"""
_MAX_SHOWN = 80
_CLOSE = 0.75
"""Share of letters in common (`difflib`) from which on one word may be a slip for another"""

HIDDEN = "(hidden)"


class Refused(ValueError):
    """A value is not one this setting takes."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the settings, told so that it can be put right."""

    name: str
    """The environment variable, or the key and the file it stands in."""
    value: str | None
    """What was given, shortened; `(hidden)` where it may be a secret, None where it does not matter."""
    message: str
    """What is wrong."""
    hint: str = ""
    """What to do about it."""


class SettingsError(Exception):
    """The settings can't be used. Says all that is wrong with them, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{one.name}: {one.message}" for one in problems))
        self.problems = problems


def whole(value: object) -> str:
    """`value` as one line without credentials or control characters."""
    line = "".join(char if char.isprintable() else "·" for char in str(value))
    found = _PASSWORD.search(line)
    if found is None:
        return _CREDENTIALS.sub(r"\1…@", line)
    end = found.end("name")
    if "@" in line[end:]:  # that is one within the other, and it isn't known which within which
        return re.sub(r"(:/*|//).*|password.*", r"\1…", line, count=1, flags=re.IGNORECASE)
    return _CREDENTIALS.sub(r"\1…@", line[:end]) + HIDDEN


def shown(value: object) -> str:
    """The same, of bounded length: for what may be anything."""
    line = whole(value)
    return line if len(line) <= _MAX_SHOWN else line[: _MAX_SHOWN - 1] + "…"


def one_of(words: list[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *head, last = words
    return f"{', '.join(head)} or {last}" if head else last


def did_you_mean(word: str, known: Iterable[str], *, prefix: str = "") -> str:
    """A hint at the closest of `known`, or nothing; a `prefix` that all share makes none of them closer."""
    original = {name.removeprefix(prefix).lower(): name for name in known}
    close = get_close_matches(word.removeprefix(prefix).lower(), original, n=1, cutoff=_CLOSE)
    return f"did you mean {original[close[0]]}?" if close else ""


def explain(problems: list[Problem]) -> str:
    """The problems as text for a terminal, two or three lines each."""
    lines: list[str] = []
    for one in problems:
        value = "" if one.value is None else f" = {one.value}"
        lines.append(f"{one.name}{value}")
        lines.append(f"    {one.message}")
        if one.hint:
            lines.append(f"    → {one.hint}")
    return "\n".join(lines)
