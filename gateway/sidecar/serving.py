"""The sidecar under the gateway's own server: bounds for bodies with audio, no WebSockets."""

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette

from gateway.server.entrance import Entrance
from gateway.server.http import BodyBounds, HttpProtocol
from gateway.server.run import run
from gateway.settings import Settings
from gateway.sidecar.entrance import inode_of, remove_unix
from gateway.sidecar.routes import MAX_BATCH_BYTES

BYTES_A_PIECE = 512
"""A segment of the smallest network there is carries more; chunks of less are nobody's audio."""
KEEP_ALIVE_S = 60
"""Seconds that a connection may be idle: callers keep theirs, and a session is silent now and then."""


class AudioHttpProtocol(HttpProtocol):
    """For bodies with audio in them. The application refuses less than the bound here, and says why."""

    bounds = BodyBounds(max_bytes=2 * MAX_BATCH_BYTES, bytes_a_piece=BYTES_A_PIECE)


def serve(
    app: Starlette,
    settings: Settings,
    entrance: Entrance,
    log_config: dict[str, Any] | None,
    on_ready: Callable[[], None],
) -> int:
    """Serve until told to stop by a signal; returns the exit status."""
    path = settings.sidecar_uds
    inode = inode_of(path) if path is not None else None
    try:
        return run(
            app,
            settings,
            entrance,
            log_config,
            on_ready,
            http=AudioHttpProtocol,
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_S,
        )
    finally:
        if path is not None:
            remove_unix(entrance.listener, path, inode)
