"""Workers that a test moves by hand."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgpack  # type: ignore[import-untyped]

from gateway.classify.acoustic.hand import Owner, WorkerDied
from gateway.classify.acoustic.wire import Costs, Reply
from gateway.classify.port import QueueObservation, Window

COSTS = {1: 2.0e-3, 4: 1.5e-3, 8: 1.2e-3, 16: 1.0e-3, 32: 1.2e-3}


class FakeHand:
    """Gets ready, answers and ends when told to; how many windows it was asked about is its answer."""

    def __init__(self) -> None:
        self.owner: Owner | None = None
        self.windows: Sequence[Window] = ()
        self.sizes: list[Sequence[int]] = []
        self.future: asyncio.Future[Any] | None = None
        self.closed = False
        self.alive = True
        self.crowded = 1.0
        """How many times a window costs that when there is one size to try, as beside another worker."""

    def launch(self, owner: Owner) -> None:
        assert self.owner is None, "launched twice"
        self.owner = owner

    def classify(self, windows: Sequence[Window]) -> "asyncio.Future[list[Reply]]":
        self.windows = windows
        return self._asked()

    def measure(self, sizes: Sequence[int]) -> "asyncio.Future[Costs]":
        self.sizes.append(sizes)
        future = self._asked()
        times = self.crowded if len(sizes) == 1 else 1.0
        asyncio.get_running_loop().call_soon(self.answer, {size: times * COSTS[size] for size in sizes})
        return future

    async def aclose(self) -> None:
        self.closed = True

    # The test's

    def ready(self) -> None:
        assert self.owner is not None
        self.owner.on_idle(self)

    def answer(self, answer: Any = None) -> None:
        """Whatever it was asked."""
        future, self.future = self.future, None
        assert future is not None
        if not future.done():
            future.set_result([_reply(window) for window in self.windows] if answer is None else answer)
        self.ready()

    def end(self) -> None:
        assert self.owner is not None
        self.closed = True
        self.owner.on_end(self, "test")
        if self.future is not None and not self.future.done():
            self.future.set_exception(WorkerDied("test"))

    def _asked(self) -> "asyncio.Future[Any]":
        assert self.future is None, "asked while it was busy"
        assert not self.closed
        self.future = asyncio.get_running_loop().create_future()
        return self.future


def _reply(window: Window) -> Reply:
    return [QueueObservation(label="silence", confidence=0.5)], msgpack.packb({"heard": len(window.samples)})


class Hands:
    """Makes them, and keeps them."""

    def __init__(self, *, ready: bool = True, crowded: float = 1.0) -> None:
        self.all: list[FakeHand] = []
        self._ready = ready
        self._crowded = crowded

    def __call__(self) -> FakeHand:
        hand = FakeHand()
        hand.crowded = self._crowded
        self.all.append(hand)
        if self._ready:
            asyncio.get_running_loop().call_soon(hand.ready)
        return hand


async def turns(count: int = 30) -> None:
    """Let everything happen that can."""
    for _ in range(count):
        await asyncio.sleep(0)
