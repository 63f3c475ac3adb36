"""A worker in a process of its own, driven from the event loop, which it never blocks.

The process is started afresh, not forked off a running event loop. It is asked one thing at a time; the
windows of a batch are copied once, into the slab that both see.
"""

import asyncio
import os
import socket
import sys
from asyncio import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

from gateway.classify.acoustic import wire
from gateway.classify.acoustic.hand import Owner, WorkerDied
from gateway.classify.acoustic.slab import Slab
from gateway.classify.acoustic.wire import Kind, WireError
from gateway.classify.port import Window
from gateway.spawn import environment

COMMAND: Final = (sys.executable, "-P", "-m", "gateway.classify.acoustic.worker")
"""`-P`: no file of the working directory may stand in for a module."""
LOAD_S: Final = 30.0
"""A worker that isn't ready by then is given up; it takes half a second."""
STUCK_S: Final = 30.0
"""So is one that has not answered by then; a batch takes 40 ms."""

_EXIT_S: Final = 1.0
"""How long a process that has closed its side may take to end."""


Read: TypeAlias = Callable[[Any], Any]


class WorkerProcess:
    """One process; see `Hand` for the promises."""

    def __init__(self, command: Sequence[str] = COMMAND, *, stuck_s: float = STUCK_S) -> None:
        self._command = command
        self._stuck_s = stuck_s
        self._task: asyncio.Task[None] | None = None
        self._process: subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._slab: Slab | None = None
        self._asked: tuple[asyncio.Future[Any], Kind, Read] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._reason = ""
        self._ended = False
        """It has closed its side."""
        self._gone = False

    @property
    def pid(self) -> int | None:
        """The process's number once it runs."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether nothing is known yet of its end."""
        closing = self._writer is None or self._writer.is_closing()
        return not (closing or self._gone or self._ended or self._reason)

    def launch(self, owner: Owner) -> None:
        """Start the process on the running event loop."""
        self._watch_over(LOAD_S, "did not get ready")
        self._task = asyncio.create_task(self._run(owner), name="classify-worker")

    def classify(self, windows: Sequence[Window]) -> "asyncio.Future[list[wire.Reply]]":
        """Copy the samples into the slab, and say where what begins."""
        assert self._slab is not None
        if not self._gone:
            self._slab.put([window.samples for window in windows])
        expected = len(windows)
        return self._ask(wire.ask(windows), Kind.ANSWERS, lambda told: wire.replies(told, expected))

    def measure(self, sizes: Sequence[int]) -> "asyncio.Future[wire.Costs]":
        """Ask for it."""
        return self._ask(wire.message(Kind.TRY, list(sizes)), Kind.COSTS, wire.costs)

    def kill(self, reason: str = "killed") -> None:
        """SIGKILL: the process has nothing to save."""
        self._reason = self._reason or reason
        self._kill()

    async def aclose(self) -> None:
        """End it without a word to its owner. May be called twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def _ask(self, message: bytes, answer: Kind, read: Read) -> "asyncio.Future[Any]":
        assert self._asked is None, "a worker is asked one thing at a time"
        future = asyncio.get_running_loop().create_future()
        if not self.alive or self._writer is None:
            future.set_exception(WorkerDied(self._reason or "it ended"))
            return future
        self._asked = future, answer, read
        self._watch_over(self._stuck_s, "gave no answer")
        self._writer.write(message)
        return future

    def _watch_over(self, seconds: float, reason: str) -> None:
        self._watch = asyncio.get_running_loop().call_later(seconds, self.kill, reason)

    def _in_time(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    # The process's life ------------------------------------------------------------------------------------

    async def _run(self, owner: Owner) -> None:
        try:
            self._slab = Slab()
            reader = await self._start(self._slab)
            await self._listen(reader, owner)
        except ConnectionError:
            self._ended = True  # it was killed while it had something to read
        except (OSError, WireError, asyncio.IncompleteReadError) as error:
            self._reason = self._reason or str(error)
        finally:
            self._in_time()
            await self._reap()
            self._give_up()
        owner.on_end(self, self._reason or f"exit status {self._status()}")

    async def _start(self, slab: Slab) -> asyncio.StreamReader:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = await subprocess.create_subprocess_exec(
                    *self._command,
                    str(slab.fd),
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment(os.environ),
                    pass_fds=(slab.fd,),
                    start_new_session=True,
                )
                reader, self._writer = await asyncio.open_unix_connection(sock=ours)
            except BaseException:
                ours.close()
                raise
        if self._reason:
            self._kill()
        return reader

    async def _listen(self, reader: asyncio.StreamReader, owner: Owner) -> None:
        """Pass on what it says until it stops."""
        while True:
            try:
                head = await reader.readexactly(wire.HEAD)
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    raise
                self._ended = True
                return
            kind, content = wire.parsed(await reader.readexactly(wire.length_of(head)))
            self._in_time()
            if kind is Kind.READY:
                owner.on_idle(self)
                continue
            if self._asked is None or kind is not self._asked[1]:
                raise WireError(f"a worker said {kind.name} unasked")
            future, _, read = self._asked
            found = read(content)
            self._asked = None
            if not future.done():
                future.set_result(found)
            owner.on_idle(self)

    async def _reap(self) -> None:
        """Leave neither a process nor a transport behind.

        One that ended its side is ending by itself and isn't killed: a signal to a process that has just
        ended would collect its exit status before the event loop can.
        """
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()
        if self._process is None:
            return
        if self._ended:
            with suppress(TimeoutError):
                async with asyncio.timeout(_EXIT_S):
                    await self._process.wait()
        self._kill()
        await self._process.wait()

    def _give_up(self) -> None:
        self._gone = True
        if self._slab is not None:
            self._slab.close()
        if self._asked is not None:
            (future, _, _), self._asked = self._asked, None
            if not future.done():
                future.set_exception(WorkerDied(self._reason or "it ended"))

    def _status(self) -> int | None:
        return self._process.returncode if self._process else None
