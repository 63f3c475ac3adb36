"""The gateway under uvicorn: sockets bound before anything starts, safe defaults, a clean end."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette

from gateway.server.websocket import VoiceWebSocketProtocol
from gateway.settings import Settings

log = logging.getLogger(__name__)

_HARD_LIMIT_FACTOR = 4
"""A message over the limit but under this many times it gets a typed error; beyond, only the close code."""
_BACKLOG = 2048
SWITCH_INTERVAL_S = 0.001
"""Python's own default is five times as long."""


class CannotListen(Exception):
    """The address can't be bound: it is taken, not ours, or not allowed."""


def listen(host: str, port: int) -> socket.socket:
    """A bound, listening socket; port 0 takes any free one.

    Raises:
        CannotListen: says why.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        # The error's own text names the address once more; a failed look-up has only its own text.
        number = getattr(error, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else str(error)
        raise CannotListen(f"can't listen on {host} port {port}: {reason}") from error


class Server(uvicorn.Server):
    """Serves one application on sockets that are bound already, and says when it does."""

    def __init__(
        self,
        app: Starlette,
        settings: Settings,
        log_config: dict[str, Any] | None,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",  # the one of uvicorn's parsers that caps the size of headers
                ws=VoiceWebSocketProtocol,
                ws_max_size=_HARD_LIMIT_FACTOR * settings.max_message_bytes,
                ws_per_message_deflate=False,
                ws_ping_interval=settings.heartbeat_s,
                ws_ping_timeout=settings.heartbeat_s,
                proxy_headers=False,  # the application decides whom to believe
                server_header=False,
                access_log=False,
                log_config=log_config,
                lifespan="on",
                timeout_graceful_shutdown=max(1, round(settings.drain_grace_s)),
            )
        )
        self._app = app
        self._on_ready = on_ready

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A stream of events never ends by itself, and uvicorn waits for whoever is connected.
        await self._app.state.dismiss()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # What lives as long as the process needs no looking at in each collection.
            gc.collect()
            gc.freeze()
            if self._on_ready is not None:
                self._on_ready()


def run(
    app: Starlette,
    settings: Settings,
    sock: socket.socket,
    log_config: dict[str, Any] | None,
    on_ready: Callable[[], None],
) -> int:
    """Serve until told to stop by a signal; returns the exit status."""
    server = Server(app, settings, log_config, on_ready)
    # A classifier's thread hands the interpreter back after this long, and sockets don't wait for it.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # uvicorn raises the signal again once all is closed; by then it has been obeyed.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(server.serve([sock]))
    finally:
        # Sessions that were still live hold native resamplers, whose library complains of those left at exit.
        gc.unfreeze()
        gc.collect()
        _leave_no_thread_behind(settings.drain_grace_s)
    return 0 if server.started else 1


def _leave_no_thread_behind(grace_s: float) -> None:
    """Wait for worker threads; one that never comes back must not keep the process from ending."""
    deadline = time.monotonic() + grace_s
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                log.critical("the thread %s is stuck; leaving without it", thread.name)
                logging.shutdown()
                os._exit(1)
