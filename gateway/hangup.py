"""How an application drops a connection in the midst of an answer, where the server lets it.

To end an answer in order takes a reader that reads; who has stopped would keep what was sent for as long as
the connection lasts.
"""

from collections.abc import Callable
from typing import Any

EXTENSION = "undertone.hang_up"
"""Its name among the `extensions` of an ASGI scope."""


def hang_up(scope: Any) -> None:
    """Drop the connection of this request. Other servers than ours end it as they end incomplete answers."""
    drop: Callable[[], None] | None = (scope.get("extensions") or {}).get(EXTENSION)
    if drop is not None:
        drop()
