"""The gateway under uvicorn: sockets bound before anything starts, safe defaults, a clean end."""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette

from gateway.server.entrance import Entrance
from gateway.server.facts import ServerConfig
from gateway.server.guests import Guest
from gateway.server.handover import HandoverError
from gateway.server.http import HttpProtocol
from gateway.server.lifespan import CannotStart
from gateway.server.signals import ending_signals
from gateway.server.succession import Succession
from gateway.server.websocket import WebSocketProtocol
from gateway.settings import Settings

log = logging.getLogger(__name__)

_HARD_LIMIT_FACTOR = 4
"""A message over the limit but under this many times it gets a typed error; beyond, only the close code."""
_PONG_S = 10.0
"""Seconds for the pong: with the default heartbeat a peer that stopped reading is gone within 25."""
STRAGGLERS_S = 5.0
"""Seconds, once everybody was told, for requests under way and for closing handshakes."""
HURRIED_STRAGGLERS_S = 1.0
"""The same after a second signal."""
SWITCH_INTERVAL_S = 0.001
"""Python's own default is five times as long."""
COLLECT_AFTER = (2_000, 10, 1_000)
"""Of Python's garbage collector, for each generation: objects, and collections of the one before. A full one
looks at some hundred objects of each session while nobody is served; what needs it is rare here."""


class Deadline(Protocol):
    """How the time of a drain runs."""

    @property
    def end(self) -> float:
        """Monotonic seconds by which the process is to be gone."""
        ...


class Drain(Protocol):
    """How an application goes away."""

    @property
    def draining(self) -> bool:
        """Whether it does."""
        ...

    def begin(self) -> Deadline:
        """From now on it lets nobody in, and the time runs. May be called again."""
        ...

    async def run(self, hurry: asyncio.Event) -> None:
        """Until all is finished, or its time is over; soon after a `hurry`."""
        ...


class Server(uvicorn.Server):
    """Serves one application on a socket that is bound already, says when it does, and leaves in order."""

    def __init__(
        self,
        app: Starlette,
        settings: Settings,
        entrance: Entrance,
        log_config: dict[str, Any] | None,
        on_ready: Callable[[], None] | None = None,
        **differently: Any,
    ) -> None:
        """Serve `app`; what is asked for `differently` goes to uvicorn's configuration."""
        ours: dict[str, Any] = {
            "http": HttpProtocol,
            "ws": WebSocketProtocol,
            "ws_max_size": _HARD_LIMIT_FACTOR * settings.max_message_bytes,
            "ws_per_message_deflate": False,
            "ws_ping_interval": settings.heartbeat_s,
            "ws_ping_timeout": _PONG_S,
            "proxy_headers": False,  # the application decides whom to believe
            "server_header": False,
            "access_log": False,
            "log_config": log_config,
            "lifespan": "on",
            "timeout_graceful_shutdown": max(1, round(settings.drain_grace_s)),
        }
        super().__init__(ServerConfig(app, observer=app.state.cutoff, **(ours | differently)))
        self._drain: Drain = app.state.drain
        self._succession = (
            Succession(entrance.place, entrance.listener, self) if entrance.place is not None else None
        )
        self._on_ready = on_ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hurry = asyncio.Event()
        self.superseded = False
        """Whether the process that was to make room has gone on itself."""

    @property
    def left_s(self) -> float:
        """Seconds until the process, which drains, is to be gone."""
        return max(0.0, self._drain.begin().end - time.monotonic())

    # What uvicorn calls --------------------------------------------------------------------------------

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: the first begins the drain, the second hurries it, the third waits for nobody."""
        self._captured_signals.append(sig)
        if not self.should_exit:
            self.should_exit = True
        elif self._loop is not None and not self._hurry.is_set():
            self._loop.call_soon_threadsafe(self._hurry.set)
        else:
            self.force_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn knows nothing of SIGHUP."""
        with super().capture_signals():
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            before = {one: signal.signal(one, self.handle_exit) for one in ending_signals()}
            try:
                yield
            finally:
                for one, handler in before.items():
                    signal.signal(one, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        if self._succession is not None:
            self._succession.start()
        await super().startup(sockets)
        if not self.started:
            return
        # What lives as long as the process needs no looking at in each collection; and what a session is made
        # of goes by reference counting, so that all objects need to be looked at seldom.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        if self._succession is not None and not self.should_exit:
            try:
                await self._succession.started()
            except HandoverError as refused:
                log.critical("the process before this one has not waited: %s", refused)
                self.superseded = True
                asyncio.get_running_loop().call_soon(self.leave)
                return
        if self._on_ready is not None:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain while still listening, or somebody would be refused without a word; then end."""
        if self._succession is not None:
            self._succession.stop()
        self._begin_drain()
        await self._drain.run(self._hurry)
        await self._wait_for_stragglers()
        left_s = min(self.left_s / 2, HURRIED_STRAGGLERS_S if self._hurry.is_set() else STRAGGLERS_S)
        self.config.timeout_graceful_shutdown = left_s  # type: ignore[assignment]  # seconds
        await super().shutdown(sockets)
        if self._succession is not None:
            await self._succession.aclose()

    async def _wait_for_stragglers(self) -> None:
        """Requests under way and closing handshakes are waited for while new peers still get an answer; those
        that have not ended by then are aborted."""
        stragglers = {one for one in self.server_state.connections if _is_busy(one)}
        for connection in stragglers:
            connection.shutdown()
        loop = asyncio.get_running_loop()
        began, patience_s = loop.time(), min(STRAGGLERS_S, self.left_s / 2)
        while stragglers & self.server_state.connections and not self.force_exit:
            if self._hurry.is_set():
                patience_s = min(patience_s, HURRIED_STRAGGLERS_S)
            if loop.time() - began >= patience_s:
                break
            await asyncio.sleep(0.05)
        for connection in stragglers & self.server_state.connections:
            assert isinstance(connection, HttpProtocol | WebSocketProtocol)
            connection.abort()

    # What the handover wants ---------------------------------------------------------------------------

    def guests(self) -> Iterable[object]:
        """Its connections."""
        return self.server_state.connections

    async def welcome(self, guest: socket.socket, early: bytes) -> None:
        """Serve a connection that the process before this one accepted."""

        def protocol() -> Guest:
            return Guest(self.config, self.server_state, self.lifespan.state, early)

        with contextlib.suppress(OSError):  # it has gone meanwhile
            await asyncio.get_running_loop().connect_accepted_socket(protocol, guest)

    def stop_listening(self) -> None:
        """Accept no more. What waits in the queue is for whoever shares the socket."""
        for server in self.servers:
            server.close()

    def leave(self) -> None:
        """The socket is another's: drain, and end."""
        self._begin_drain()
        self.should_exit = True

    def _begin_drain(self) -> None:
        if not self._drain.draining:
            self._drain.begin()
            # Whoever keeps a connection for the next request makes that elsewhere (RFC 9112 section 9.6).
            self.config.encoded_headers.append((b"connection", b"close"))
            self.server_state.default_headers = [
                *self.server_state.default_headers,
                (b"connection", b"close"),
            ]


def run(
    app: Starlette,
    settings: Settings,
    entrance: Entrance,
    log_config: dict[str, Any] | None,
    on_ready: Callable[[], None],
    **differently: Any,
) -> int:
    """Serve until told to stop by a signal; returns the exit status. See `Server`.

    Raises:
        CannotStart: the application says why it can't be.
    """
    server = Server(app, settings, entrance, log_config, on_ready, **differently)
    # A core dump would put audio and words on a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A classifier's thread hands the interpreter back after this long, and sockets don't wait for it.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # uvicorn raises the signals again once all is closed; by then they have been obeyed.
    for one in ending_signals():
        signal.signal(one, lambda *_: None)
    try:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            try:
                runner.run(server.serve(entrance.listeners))
            except SystemExit:
                reason: Exception | None = getattr(app.state, "cannot_start", None)
                if reason is None:
                    raise
                raise CannotStart(reason) from None
            if server.force_exit:  # nobody is waited for, and what is cut off now is not worth a traceback
                logging.getLogger("uvicorn.error").disabled = True
    finally:
        # Sessions that were still live hold native resamplers, whose library complains of those left at exit.
        gc.unfreeze()
        gc.collect()
        if entrance.place is not None and not server.started:
            entrance.place.give_up()
        patience_s = server.left_s if server.started else settings.drain_grace_s
        _leave_no_thread_behind(0.0 if server.force_exit else patience_s)
    return 0 if server.started and not server.superseded else 1


def _is_busy(connection: object) -> bool:
    """Whether something is under way: an idle one would lose nothing, but may ask for something just now."""
    return isinstance(connection, WebSocketProtocol) or (
        isinstance(connection, HttpProtocol) and connection.is_answering
    )


def _leave_no_thread_behind(grace_s: float) -> None:
    """Wait for worker threads; one that never comes back must not keep the process from ending, and a signal
    ends the waiting."""
    for one in ending_signals():
        signal.signal(one, lambda *_: os._exit(1))
    deadline = time.monotonic() + grace_s
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                log.critical("the thread %s is stuck; leaving without it", thread.name)
                logging.shutdown()
                os._exit(1)
