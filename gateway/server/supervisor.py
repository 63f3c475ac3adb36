"""Several processes on one port: started, watched, replaced where they end by themselves, and ended together.

The supervisor serves nobody and runs no event loop. What it keeps is the address: a socket that is bound and
does not listen. Each process has one of its own beside it (SO_REUSEPORT), which listens once that process
serves, so that connections go to those only that are ready, and where one ends to the others at once. That of
the first listens from the beginning: who comes before anybody is ready waits for it, and isn't refused.
"""

import contextlib
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.server.listening import BACKLOG, bound
from gateway.server.member import Member
from gateway.server.restarts import Restarts
from gateway.server.signals import ending_signals
from gateway.spawn import findable

log = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-P", "-m", "gateway", "serve")
"""`-P`: no file of the working directory may stand in for a module."""
LATE_S: Final = 10.0
"""Seconds past its grace that a process may take to be gone."""
IMPATIENT_S: Final = 2.0
"""The same after the third signal."""


@dataclass(frozen=True, slots=True)
class Port:
    """The address that all of them share."""

    sock: socket.socket
    """Keeps it. Where it is `passed` on by systemd it listens itself, and all of them accept from it."""
    passed: bool = False

    def open(self) -> socket.socket:
        """The socket of one more process; to be closed once that has it."""
        if self.passed:
            return self.sock.dup()
        host, port = self.sock.getsockname()[:2]
        return bound(host, port)


@dataclass(slots=True)
class _Place:
    number: int
    own: socket.socket | None
    restarts: Restarts = field(default_factory=Restarts)
    process: subprocess.Popen[bytes] | None = None
    pipe: int | None = None
    """Until the process has said that it serves."""
    started: float = 0.0
    serves: bool = False
    due: float | None = None
    """When the next process is started."""


class Supervisor:
    """Runs as many processes as there are places, until told to stop.

    Args:
        own: for each process a socket of its own, or none for all.
        environ: what processes see; each gets a `UNDERTONE_NODE_NAME` that begins with `name`.
        on_ready: called once, when all of them serve.
        command: what is run; it gets `--member`.
    """

    def __init__(
        self,
        count: int,
        port: Port,
        own: Sequence[socket.socket],
        environ: Mapping[str, str],
        name: str,
        on_ready: Callable[[], None],
        *,
        grace_s: float,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._port = port
        self._places = [_Place(n + 1, own[n] if own else None) for n in range(count)]
        self._environ = findable(environ)
        self._name = name
        self._on_ready = on_ready
        self._grace_s = grace_s
        self._command = command
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._waker = socket.socketpair()
        self._nobody_yet = True
        """None was started so far."""
        self._complete = False
        """All of them have served."""
        self._ending = ending_signals()
        self._signals = 0
        self._status = 0
        self._patience: float | None = None
        """When those that are left are killed."""

    def run(self) -> int:
        """Until all processes have ended; returns the exit status."""
        with self._woken():
            # What is wrong with the settings or the store is wrong for all: it is told by one.
            self._start(self._places[0])
            while self._running or self._waiting:
                for key, _ in self._selector.select(self._timeout()):
                    if isinstance(key.data, _Place):
                        self._hear(key.data)
                    else:
                        self._obey()
                self._reap()
                self._start_due()
                self._lose_patience()
        return self._status

    @property
    def _running(self) -> list[_Place]:
        return [place for place in self._places if place.process is not None]

    @property
    def _waiting(self) -> list[_Place]:
        return [place for place in self._places if place.due is not None]

    # Starting ------------------------------------------------------------------------------------------

    def _start(self, place: _Place) -> None:
        place.due = None
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        with contextlib.closing(self._port.open()) as listener:
            if self._nobody_yet:
                listener.listen(BACKLOG)
                self._nobody_yet = False
            own = None if place.own is None else place.own.fileno()
            member = Member(listener.fileno(), writing, own)
            try:
                place.process = subprocess.Popen(
                    [*self._command, "--member", member.word()],
                    env=self._seen(place),
                    pass_fds=member.descriptors,
                    stdin=subprocess.DEVNULL,
                    process_group=0,  # what is typed at the terminal comes to us, and is passed on once
                )
            finally:
                os.close(writing)
        place.started, place.serves, place.pipe = time.monotonic(), False, reading
        self._selector.register(reading, selectors.EVENT_READ, place)

    def _seen(self, place: _Place) -> dict[str, str]:
        seen = {**self._environ, "UNDERTONE_NODE_NAME": f"{self._name}-{place.number}"}
        if self._complete:  # one that comes later waits for its store like those that are there
            seen["UNDERTONE_STORE_REQUIRED"] = "false"
        return seen

    def _hear(self, place: _Place) -> None:
        """A process serves, or has closed its side."""
        self._hang_up(place)
        if place.serves and self._patience is not None and place.process is not None:
            place.process.terminate()  # it may have been told before it listened to that
        elif place.serves and not self._complete:
            for other in self._places:
                if other.process is None:
                    self._start(other)
            if all(one.serves for one in self._places):
                self._complete = True
                self._on_ready()

    def _hang_up(self, place: _Place) -> None:
        if place.pipe is not None:
            with contextlib.suppress(BlockingIOError):
                place.serves = os.read(place.pipe, 1) != b""
            self._selector.unregister(place.pipe)
            os.close(place.pipe)
            place.pipe = None

    # Staying -------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        for place in self._running:
            assert place.process is not None
            status = place.process.poll()
            if status is None:
                continue
            self._hang_up(place)
            place.process = None
            self._ended(place, status)

    def _ended(self, place: _Place, status: int) -> None:
        code = status if status > 0 else int(status < 0)
        if self._patience is not None:
            if place.serves or status == -signal.SIGKILL:  # one that was still starting had nothing to finish
                self._status = self._status or code
        elif not self._complete:
            # It has said why.
            self._status = code or 1
            self._stop(signal.SIGTERM)
        elif status == 0 and place.serves:  # somebody wanted it so: a restart, one after the other
            place.due = time.monotonic()
        else:
            self._replace(place, status)

    def _replace(self, place: _Place, status: int) -> None:
        now = time.monotonic()
        wait_s = place.restarts.after(now - place.started)
        told = {"number": place.number, "status": _told(status)}
        if wait_s is None:
            log.critical("a process ends again and again; ending all", extra=told)
            self._status = 1
            self._stop(signal.SIGTERM)
        else:
            log.error("a process has ended; starting another", extra=told | {"in_s": wait_s})
            place.due = now + wait_s

    def _start_due(self) -> None:
        for place in self._waiting:
            if place.due is not None and place.due <= time.monotonic():
                self._start(place)

    # Going ---------------------------------------------------------------------------------------------

    def _obey(self) -> None:
        """Signals have come."""
        for number in self._wakeup.recv(4_096):
            if number in self._ending:
                self._signals += 1
                self._stop(signal.Signals(number))

    def _stop(self, number: signal.Signals) -> None:
        """Tell all of them; a second signal hurries them, a third ends them."""
        for place in self._places:
            place.due = None
            if place.process is not None:
                # Python writes a traceback of a SIGINT until the program sees to it. And a terminal that
                # closes is not theirs.
                told = number if place.serves and number is signal.SIGINT else signal.SIGTERM
                place.process.send_signal(told)
        late = IMPATIENT_S if self._signals > 2 else self._grace_s + LATE_S
        deadline = time.monotonic() + late
        self._patience = deadline if self._patience is None else min(self._patience, deadline)

    def _lose_patience(self) -> None:
        if self._patience is not None and time.monotonic() >= self._patience:
            for place in self._running:
                assert place.process is not None
                log.critical("a process does not end; killing it", extra={"number": place.number})
                place.process.kill()
            self._patience = time.monotonic() + IMPATIENT_S

    def _timeout(self) -> float | None:
        moments = [place.due for place in self._waiting if place.due is not None]
        if self._patience is not None:
            moments.append(self._patience)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    @contextlib.contextmanager
    def _woken(self) -> Iterator[None]:
        """Signals, and the end of a process, wake the selector."""
        self._wakeup.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._wakeup, selectors.EVENT_READ, None)
        before = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        handlers = {one: signal.signal(one, lambda *_: None) for one in (*self._ending, signal.SIGCHLD)}
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            for one, handler in handlers.items():
                signal.signal(one, handler)
            for place in self._running:  # something of ours has failed: nobody is left behind
                assert place.process is not None
                place.process.kill()
                place.process.wait()
            self._selector.close()
            self._wakeup.close()
            self._waker.close()


def _told(status: int) -> str:
    return str(status) if status >= 0 else signal.Signals(-status).name
