"""Which build of the gateway runs: its version, and whether its hot modules are compiled.

pyproject.toml lists those modules, and docs/decisions.md says why they are what they are.
"""

import importlib.util
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

_TELLING = "gateway.live.pipeline"
"""One of the modules that are compiled together, or not at all."""


def version() -> str:
    """The installed version; `unreleased` where the project was not installed."""
    try:
        return installed("undertone")
    except PackageNotFoundError:
        return "unreleased"


def compiled() -> bool:
    """Whether the hot modules are compiled ones."""
    found = importlib.util.find_spec(_TELLING)
    return found is not None and (found.origin or "").endswith(tuple(EXTENSION_SUFFIXES))


def kind() -> str:
    """The same in a word: `compiled` or `interpreted`."""
    return "compiled" if compiled() else "interpreted"


def told() -> str:
    """Version and kind, for people: `0.1.0`, or `0.1.0, compiled`."""
    return f"{version()}, compiled" if compiled() else version()
