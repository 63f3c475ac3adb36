"""What is kept between the calls of a session: its state, bounded in number, bytes and time; and its turn."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

from gateway.clock import Clock

ENTRY_BYTES = 256
"""What an entry costs beside its name and its bytes, about."""


class Dropped(StrEnum):
    """Why a session is not remembered any more."""

    TTL = "ttl"
    """It has not been heard for too long."""
    COUNT = "count"
    """There were too many."""
    BYTES = "bytes"
    """They took too many bytes."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept, and for how long."""

    count: int
    bytes: int
    ttl_s: float


@dataclass(frozen=True, slots=True)
class _Entry:
    value: bytes
    cost: int
    at: float


class Keeper:
    """Bytes by name; what was put longest ago is dropped first.

    Args:
        dropped: told of each name that is dropped, and why.
    """

    def __init__(
        self, bounds: Bounds, clock: Clock, dropped: Callable[[str, Dropped], None] = lambda *_: None
    ) -> None:
        self._bounds = bounds
        self._clock = clock
        self._dropped = dropped
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """What is held, names and bookkeeping included."""
        return self._bytes

    def get(self, name: str) -> bytes | None:
        """What was put under `name` last, if it is still there."""
        self.sweep()
        entry = self._entries.get(name)
        return None if entry is None else entry.value

    def put(self, name: str, value: bytes) -> None:
        """Keep `value`; one that can't be kept at all leaves nothing under `name`."""
        self._take(name)
        entry = _Entry(value, len(name.encode()) + len(value) + ENTRY_BYTES, self._clock.monotonic())
        self._entries[name] = entry
        self._bytes += entry.cost
        self.sweep()
        while len(self._entries) > self._bounds.count:
            self._drop(Dropped.COUNT)
        while self._bytes > self._bounds.bytes:
            self._drop(Dropped.BYTES)

    def forget(self, name: str) -> None:
        """Keep nothing under `name`; nobody is told."""
        self._take(name)

    def sweep(self) -> None:
        """Drop what is too old."""
        oldest = self._clock.monotonic() - self._bounds.ttl_s
        while self._entries and next(iter(self._entries.values())).at < oldest:
            self._drop(Dropped.TTL)

    def _drop(self, why: Dropped) -> None:
        name = next(iter(self._entries))
        self._take(name)
        self._dropped(name, why)

    def _take(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is not None:
            self._bytes -= entry.cost


class Turns:
    """One caller at a time for each name, first come first served. Nothing is kept of names nobody wants."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    def __len__(self) -> int:
        return len(self._locks)

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Wait for the turn, and have it."""
        lock, wanted = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = lock, wanted + 1
        try:
            async with lock:
                yield
        finally:
            lock, wanted = self._locks.pop(name)
            if wanted > 1:
                self._locks[name] = lock, wanted - 1
