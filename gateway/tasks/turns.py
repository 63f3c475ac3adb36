"""Tasks that wait, and whose turn it is: namespaces in turn, and within each its sessions."""

from collections import deque
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")

_Sessions: TypeAlias = dict[str, deque[T]]
"""In the order of their turns: a dict keeps the order in which keys came, and who was served comes anew."""


class Turns(Generic[T]):
    """What waits, handed out in turns: nobody waits for more than one task of each other namespace at a time.

    Whoever comes stands behind those who wait already.
    """

    def __init__(self) -> None:
        self._rows: dict[str | None, _Sessions[T]] = {}

    def __len__(self) -> int:
        return sum(self.of(namespace) for namespace in self._rows)

    def of(self, namespace_id: str | None) -> int:
        """How many of this namespace wait."""
        return sum(map(len, self._rows.get(namespace_id, {}).values()))

    def add(self, namespace_id: str | None, session_id: str, item: T) -> None:
        """Stand in line."""
        self._rows.setdefault(namespace_id, {}).setdefault(session_id, deque()).append(item)

    def take(self) -> T:
        """The one whose turn it is.

        Raises:
            StopIteration: nothing waits.
        """
        namespace_id = next(iter(self._rows))
        sessions = self._rows.pop(namespace_id)
        session_id = next(iter(sessions))
        items = sessions.pop(session_id)
        item = items.popleft()
        if items:
            sessions[session_id] = items
        if sessions:
            self._rows[namespace_id] = sessions
        return item

    def remove(self, namespace_id: str | None, session_id: str, item: T) -> None:
        """Leave; nothing happens to one that doesn't wait."""
        sessions = self._rows.get(namespace_id, {})
        items = sessions.get(session_id, deque())
        if item not in items:
            return
        items.remove(item)
        if not items:
            del sessions[session_id]
        if not sessions:
            del self._rows[namespace_id]
