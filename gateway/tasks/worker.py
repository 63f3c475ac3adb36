"""One task's work in a thread: stretch after stretch, with a rest between them.

Python runs one thread at a time. A thread that computes without a rest gives way to the event loop only after
the interpreter's switch interval (5 ms), and again each time that the loop comes back from a system call. So
the work rests after a millisecond: who waits gets its turn at once.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.sessions.model import Session
from gateway.sessions.ports import Recorded
from gateway.tasks.collector import sparing
from gateway.tasks.model import Recipe, Result
from gateway.tasks.story import Story
from protocol.events import DurableEvent

STRETCH_S = 0.001
"""Seconds of work between two rests, or one piece of it where that takes longer."""
REST_S = 0.0005
"""Seconds of rest: enough for a waiting thread to be woken and take over."""

CHUNK_BYTES = 64 * 1024
"""Bytes of a result that are put together at once."""
RELEASED = 32
"""Events that are let go at once: many would take their time, too."""

T = TypeVar("T")


class Cancelled(Exception):
    """The work was stopped between two stretches."""


class TooLarge(Exception):
    """The result is larger than it may be."""


@dataclass(frozen=True, slots=True)
class Material:
    """All that a session's story is made of, read from the stores."""

    session: Session
    record: tuple[Recorded, ...] = field(repr=False)
    counts: Mapping[str, int]
    truncated: bool


class Job:
    """Makes one result. `run` belongs to a worker's thread; the rest may be used from any."""

    def __init__(
        self,
        recipe: Recipe,
        at_most: int,
        now: Callable[[], float] = time.perf_counter,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self._recipe = recipe
        self._at_most = at_most
        self._now = now
        self._rest = rest
        self._since = 0.0
        self._cancelled = False
        self.progress = 0.0
        """0 to 1: the first half is reading the record, the second writing the result."""

    def cancel(self) -> None:
        """Stop after the stretch of work that is under way."""
        self._cancelled = True

    def run(self, material: Material) -> Result:
        """Do it all.

        Raises:
            Cancelled: before it was done.
            TooLarge: the result has more than `at_most` bytes.
        """
        with sparing():
            return self._run(material)

    def _run(self, material: Material) -> Result:
        self._since = self._now()
        record = self._paced(material.record, 0.0, len(material.record))
        story = Story.of(material.session, record, material.counts, truncated=material.truncated)
        events = list(story.events)
        try:
            chunks = tuple(self._chunks(story))
        finally:
            vars(story).clear()
            self._release(events)
        name = f"undertone-{material.session.truncated_id}.{self._recipe.suffix}"
        return Result(chunks, self._recipe.media_type, name)

    def _chunks(self, story: Story) -> Iterator[bytes]:
        chunk = bytearray()
        size = 0
        for piece in self._paced(self._recipe.write(story), 0.5, self._recipe.pieces(story) + 1):
            size += len(piece)
            if size > self._at_most:
                raise TooLarge
            chunk += piece
            if len(chunk) >= CHUNK_BYTES:
                yield bytes(chunk)
                chunk.clear()
        if chunk:
            yield bytes(chunk)

    def _release(self, events: list[DurableEvent]) -> None:
        while events:
            del events[-RELEASED:]
            self._rest_if_due()

    def _paced(self, items: Iterable[T], progress: float, expected: int) -> Iterator[T]:
        """The items, with a rest where one is due; `progress` grows by half over those `expected`."""
        for number, item in enumerate(items, 1):
            yield item
            self.progress = progress + 0.5 * min(number / expected, 1.0)
            self._breathe()
        self._breathe()

    def _breathe(self) -> None:
        if self._cancelled:
            raise Cancelled
        self._rest_if_due()

    def _rest_if_due(self) -> None:
        if self._now() - self._since >= STRETCH_S:
            self._rest(REST_S)
            self._since = self._now()
