"""What tasks made, as long as somebody may want it: how many bytes each namespace has, and who reads them.

A result that is forgotten stays in memory for as long as somebody is still reading it, and so long it counts.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.tasks.model import Result


class NoRoom(Exception):
    """A namespace has as many bytes of results as it may."""


class Kept:
    """One result, its readers, and what happens when nobody needs it any more."""

    def __init__(self, result: Result, gone: Callable[[], None]) -> None:
        self.result = result
        self._gone = gone
        self._forgotten = False
        self._readers: dict[object, Callable[[], None]] = {}

    @contextmanager
    def reading(self, stop: Callable[[], None]) -> Iterator[Result]:
        """The result; until the end of this it counts. `stop` is called at most once, if it is to end now."""
        reader = object()
        self._readers[reader] = stop
        try:
            yield self.result
        finally:
            self._readers.pop(reader, None)
            self._settle()

    def forget(self, *, stop: bool = False) -> None:
        """Nobody can ask for it from now on; those who read it go on, unless they are to `stop`."""
        self._forgotten = True
        if stop:
            for one in tuple(self._readers.values()):
                one()
        self._settle()

    def _settle(self) -> None:
        if self._forgotten and not self._readers:
            gone, self._gone = self._gone, _nothing
            gone()


class Results:
    """Counts what is kept, for each namespace by itself.

    Args:
        most: bytes of one namespace.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes: Counter[str | None] = Counter()

    @property
    def bytes(self) -> int:
        """Of all namespaces."""
        return self._bytes.total()

    def of(self, namespace_id: str | None) -> int:
        """Bytes of one namespace."""
        return self._bytes[namespace_id]

    def keep(self, namespace_id: str | None, result: Result) -> Kept:
        """Make room for `result`.

        Raises:
            NoRoom: there is none.
        """
        size = result.size
        if self._bytes[namespace_id] + size > self._most:
            raise NoRoom
        self._bytes[namespace_id] += size

        def gone() -> None:
            self._bytes[namespace_id] -= size
            if not self._bytes[namespace_id]:
                del self._bytes[namespace_id]

        return Kept(result, gone)


def _nothing() -> None:
    """It is gone already."""
