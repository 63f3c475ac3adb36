"""The way past ASGI: messages go from the parser to the session, and from the session's log to the socket,
without a queue or a task switch each.

Our own WebSocket protocol class (`gateway.server`) offers it in the connection's scope, and the voice
endpoint (`gateway.api`) takes it where it is. Under any other ASGI server the endpoint reads as usual.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

EXTENSION = "undertone.lane"
"""Its name among the `extensions` of an ASGI scope."""


class FastLane(Protocol):
    """What one connection offers its endpoint. Everything here is synchronous."""

    def listen(
        self,
        sink: Callable[[bytes | str], None],
        flooded: Callable[[str], None],
        room: Callable[[], None] | None = None,
    ) -> None:
        """Hand every whole message to `sink` from now on, in order; those that came before at once.

        ASGI's `receive` then tells of the disconnect only. Must not be called twice.

        Args:
            sink: called from the event loop as the bytes come in; must not block.
            flooded: called at most once, with a sentence for people, when the peer has overdrawn a budget of
                frames, bytes or control frames. Nothing more is handed over then, and the connection is
                aborted soon, whether or not the endpoint has closed it.
            room: called whenever the connection is `clogged` no more.
        """
        ...

    @property
    def clogged(self) -> bool:
        """Whether the peer doesn't read as fast as is written, and more had better wait for `room`."""
        ...

    def send(self, messages: Sequence[bytes | str]) -> None:
        """Send them at once, in order, without waiting; where the connection is ending, nobody gets them.

        ASGI's `send` is for everything else: to accept, to close, and to know that the peer has left.
        """
        ...

    def deafen(self) -> None:
        """Hand over nothing more: the endpoint is about to close. Pings and a close are still seen."""
        ...

    def abort(self) -> None:
        """Drop the connection now, without a close frame."""
        ...


def fast_lane(scope: Mapping[str, Any]) -> FastLane | None:
    """The fast lane of this connection, if its server has one."""
    lane: FastLane | None = (scope.get("extensions") or {}).get(EXTENSION)
    return lane
