"""Connections that change processes: those that have asked for nothing yet, or for nothing more.

Between two requests a connection is only a descriptor and, where the next head has begun to come, some bytes.
Whoever has both can answer as well as whoever accepted it.
"""

import socket
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.server.http import HttpProtocol


class Guest(HttpProtocol):
    """A connection that another process accepted.

    Args:
        early: what the peer has sent so far of its next request.
    """

    def __init__(self, config: Config, state: ServerState, app_state: dict[str, Any], early: bytes) -> None:
        super().__init__(config, state, app_state)
        self._early = early

    def connection_made(self, transport: Any) -> None:
        """It comes with its first bytes; those that follow are the transport's."""
        super().connection_made(transport)
        early, self._early = self._early, b""
        if early:
            self.data_received(early)


def early_bytes(connection: HttpProtocol) -> bytes | None:
    """What has come of a connection's next request; None where it can't be moved.

    It can't while a request is being answered, nor once it is ending.
    """
    transport, parser = connection.transport, connection.conn
    between = parser.our_state is h11.IDLE and parser.their_state is h11.IDLE
    if not between or transport.is_closing() or transport.get_write_buffer_size():
        return None
    early, ended = parser.trailing_data
    return None if ended else early


def descriptor(connection: HttpProtocol) -> int:
    """Its socket's number."""
    found: socket.socket = connection.transport.get_extra_info("socket")
    return found.fileno()
