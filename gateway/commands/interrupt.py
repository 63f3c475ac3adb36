"""Ctrl-C and SIGTERM, for commands that have something to end first."""

import asyncio
import contextlib
import functools
import signal
import time
from collections.abc import Iterator

from gateway.commands.exits import ExitCode

_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Interrupt:
    """The signals as an event: where `gentle`, the first only asks; the second ends at once.

    At once is by cancelling the task that made this.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.gentle = False
        self.code = ExitCode.INTERRUPTED
        """How to exit, as shells expect it after the first signal that came (128 and its number)"""
        self.at_s = 0.0
        """When that was (monotonic seconds)"""
        self._task = asyncio.current_task()

    def __call__(self, number: signal.Signals = signal.SIGINT) -> None:
        if (self.event.is_set() or not self.gentle) and self._task is not None:
            self._task.cancel()
        if not self.event.is_set():
            self.code, self.at_s = _CODES[number], time.monotonic()
        self.event.set()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Listen for the signals while inside; where loops can't (Windows), they do what they always do."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):
            for one in _CODES:
                loop.add_signal_handler(one, functools.partial(self, one))
        try:
            yield
        finally:
            with contextlib.suppress(NotImplementedError):
                for one in _CODES:
                    loop.remove_signal_handler(one)
