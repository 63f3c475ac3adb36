"""The functions that the server runs, under names that tell versions apart, so that two of them coexist."""

from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Final

_PLACEHOLDER: Final = "@version@"
_PARTS: Final = ("base", "sessions", "tickets", "streams", "nodes", "tasks")
"""Files of one library, in the order in which they build on each other."""


@cache
def _text() -> str:
    folder = files(__package__).joinpath("functions")
    return "\n".join(folder.joinpath(f"{part}.lua").read_text(encoding="utf-8") for part in _PARTS)


@cache
def version() -> str:
    """Of the functions: a digest of what they say."""
    return blake2b(_text().encode(), digest_size=6).hexdigest()


@cache
def source() -> bytes:
    """What `FUNCTION LOAD` takes."""
    return _text().replace(_PLACEHOLDER, version()).encode()


@cache
def function(name: str) -> bytes:
    """What the server calls a function."""
    return f"undertone_{version()}_{name}".encode()
