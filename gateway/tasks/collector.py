"""Python's cyclic garbage collector, kept from walking through a record that is in use.

A full collection looks at every object there is while nothing else runs: with a large record decoded, 70 ms
were measured. What a task makes is free of cycles and goes by reference counting, so while there is much of
it, only the young generations are collected.
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NEVER = 1_000_000_000
"""Collections of the middle generation before a full one: more than there will be."""


class Sparing:
    """Full collections stop with the first who asks for it, and may come again after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._usual = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Spare whatever is made within; any thread may ask."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                young, middle, self._usual = gc.get_threshold()
                gc.set_threshold(young, middle, NEVER)
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    gc.set_threshold(*gc.get_threshold()[:2], self._usual)


sparing = Sparing()
"""The collector is the process's, and so is this."""
