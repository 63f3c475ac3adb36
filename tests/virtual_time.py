"""An event loop whose time is arithmetic: where real ones wait, it steps ahead to what comes next.

Minutes of timers, timeouts and sleeps run in seconds, and the same way each time. Only for tasks that wait
for each other and for time: nothing may come from threads, sockets or other processes.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Stepping(selectors.SelectSelector):
    """Instead of waiting for a timeout, tells how long that would have been."""

    def __init__(self, step: Callable[[float], None]) -> None:
        super().__init__()
        self._step = step

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        if not ready and timeout is not None:
            self._step(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time is what has been waited for. It begins at 1,000 s, and is a `gateway.clock.Clock`, too."""

    def __init__(self) -> None:
        self._now = 1_000.0
        super().__init__(_Stepping(self._step))

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def _step(self, seconds: float) -> None:
        self._now += seconds


def run(steps: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run `steps` in virtual time; it is handed the loop, which is the clock."""
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(steps(loop))
