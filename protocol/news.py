"""Waiting for a condition that other tasks of the same event loop bring about."""

import asyncio
from collections.abc import Callable


class News:
    """Wakes all who wait, each time something may have changed. Telling is synchronous, and costs nothing
    where nobody waits; unlike `asyncio.Condition` it needs no lock, as nothing runs between test and wait."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def tell(self) -> None:
        """Something may have changed."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def next(self) -> None:
        """Wait until something may have changed after this call."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; at once where it does already."""
        while not condition():
            await self.next()
