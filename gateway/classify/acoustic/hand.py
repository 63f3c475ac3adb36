"""What a worker is to those who hand batches to it: one thing at a time, answers by future.

All calls go either way on the event loop's thread, and none of them blocks.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from gateway.classify.acoustic.wire import Costs, Reply
from gateway.classify.port import Window


class WorkerDied(Exception):
    """The worker ended, or was ended, before it answered."""


class Owner(Protocol):
    """Whoever hands batches to workers."""

    def on_idle(self, worker: "Hand") -> None:
        """It is ready for the first time, or has answered; it may be asked."""
        ...

    def on_end(self, worker: "Hand", reason: str) -> None:
        """It is gone."""
        ...


class Hand(Protocol):
    """A worker; it is launched once and never again. No two are equal."""

    @property
    def alive(self) -> bool:
        """Whether it can be asked; one that can't will tell its owner of its end, if it hasn't."""
        ...

    def launch(self, owner: Owner) -> None:
        """Start it on the running event loop."""
        ...

    def classify(self, windows: Sequence[Window]) -> "asyncio.Future[list[Reply]]":
        """Hand windows to it while it is idle; they must fit the slab.

        The future ends with `WorkerDied` where the worker does. One that is cancelled leaves it busy until
        it has answered.
        """
        ...

    def measure(self, sizes: Sequence[int]) -> "asyncio.Future[Costs]":
        """Let it find out, while it is idle, what a window costs in batches of these sizes."""
        ...

    async def aclose(self) -> None:
        """End it without a word to its owner. May be called twice."""
        ...
