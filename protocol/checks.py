"""Checks of single field values, shared by messages; each raises `invalid_field` naming the field.

`bool` is never a number here, although Python thinks so.
"""

import math
import re
from enum import Enum
from typing import Any, TypeVar

from protocol.errors import invalid_field

E = TypeVar("E", bound=Enum)

MAX_SAMPLE = 2**53 - 1
"""Largest sample index: JavaScript's largest safe integer (5,900 years at 48 kHz)."""
MAX_TOKEN_CHARS = 128
"""Characters of text that a reply repeats."""

_FRACTION = re.compile(r"\d{1,16}(\.\d{1,16})?\Z", re.ASCII)


def whole(name: str, value: object, low: int, high: int) -> None:
    """`value` is an int within [low, high]."""
    if type(value) is not int or not low <= value <= high:
        raise invalid_field(name, f"must be a whole number from {low} to {high}")


def number(name: str, value: object, low: float, high: float) -> None:
    """`value` is a finite int or float within [low, high]."""
    if type(value) not in (int, float) or not low <= value <= high:  # type: ignore[operator]
        raise invalid_field(name, f"must be a number from {low:g} to {high:g}")


def boolean(name: str, value: object) -> None:
    """`value` is true or false."""
    if type(value) is not bool:
        raise invalid_field(name, "must be true or false")


def text(name: str, value: object, max_chars: int) -> None:
    """`value` is a string of at most `max_chars` characters that UTF-8 can write."""
    if not isinstance(value, str) or len(value) > max_chars or not _encodable(value):
        raise invalid_field(name, f"must be text of at most {max_chars} characters")


def token(name: str, value: object, *, also_float: bool = False) -> None:
    """`value` is what a reply repeats: text of at most 128 characters or a number JavaScript can hold."""
    if isinstance(value, str):
        text(name, value, MAX_TOKEN_CHARS)
    elif type(value) is int:
        whole(name, value, -MAX_SAMPLE, MAX_SAMPLE)
    elif not (also_float and type(value) is float and math.isfinite(value)):
        raise invalid_field(
            name, "must be a number or text" if also_float else "must be a whole number or text"
        )


def member(name: str, value: object, enum: type[E]) -> E:
    """The member of `enum` that `value` is or names."""
    try:
        return enum(value)
    except ValueError:
        known = ", ".join(str(one.value) for one in enum)
        raise invalid_field(name, f"must be one of {known}") from None


def decimal(name: str, value: str) -> int:
    """A whole number out of a URL's query."""
    if not (value.isascii() and value.isdigit() and len(value) <= 16):
        raise invalid_field(name, "must be a whole number")
    return int(value)


def decimal_fraction(name: str, value: str) -> float:
    """A number out of a URL's query."""
    if not _FRACTION.match(value):
        raise invalid_field(name, "must be a number")
    return float(value)


def flag(name: str, value: str) -> bool:
    """`true`, `false`, `1` or `0` out of a URL's query."""
    found: dict[str, Any] = {"true": True, "1": True, "false": False, "0": False}
    if value.lower() not in found:
        raise invalid_field(name, "must be true or false")
    return bool(found[value.lower()])


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
