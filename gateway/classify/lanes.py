"""Who waits for the classifier, and whose turn it is.

Each session has a `Lane`: at most one window in flight (its analysis state travels with it) and a short row
of waiting ones, in order. `Turns` goes round the namespaces, and within each of them round its sessions: a
tenant with a thousand sessions takes no more than one with ten, and a session that floods its own lane takes
nothing from its neighbours.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, Protocol, TypeVar

from gateway.classify.port import ClassifierError, Observation, Window


@dataclass(frozen=True, slots=True)
class Timing:
    """The latency receipt of one window."""

    queued_s: float
    """Seconds from the window's arrival to its dispatch."""
    classify_s: float
    """Seconds the classifier took for the batch."""


class Job(Protocol):
    """A window waiting for its turn, and what to do with the answer. Callbacks run on the event loop."""

    @property
    def arrived(self) -> float:
        """Monotonic seconds at which the window was complete."""
        ...

    def window(self) -> Window:
        """The audio and the state to classify; called once, at dispatch."""
        ...

    def classified(self, observations: list[Observation], timing: Timing) -> None: ...

    def failed(self, error: ClassifierError) -> None: ...

    def shed(self) -> None:
        """The window will not be classified: there was no time for it."""
        ...


@dataclass(slots=True, eq=False)
class Lane:
    """One session's place in the queue."""

    depth: int | None = 2
    """How many windows may wait; None for lossless sessions, which credit bounds. Changed by `bound`."""
    namespace: str | None = None
    """Whose session it is; sessions of nobody share one turn, too."""
    waiting: list[Job] = field(default_factory=list)
    in_flight: Job | None = None
    owed: int = 0
    """How many of the waiting windows, the oldest, were taken in while none might be shed."""
    closed: bool = False
    counted: int = 0
    """How many of the waiting windows count towards the queue's capacity."""
    standing: bool = False
    """Whether it is its turn soon: `Turns` has it."""
    turn: int = 0
    """When it was its turn last, counted in turns of all."""

    def bound(self, depth: int | None) -> None:
        """Let so many windows wait from now on. A lossless lane that becomes realtime keeps those it has."""
        if depth is None:
            self.owed = 0  # none at all may be shed now
        elif self.depth is None:
            self.owed = len(self.waiting)
        self.depth = depth

    @property
    def sheddable(self) -> int:
        """How many of the waiting windows are realtime ones."""
        return 0 if self.depth is None else len(self.waiting) - self.owed


T = TypeVar("T")


class _Row(Generic[T]):
    """Whoever stands here goes in the order of a number, lowest first; no two have the same."""

    def __init__(self) -> None:
        self._row: list[tuple[int, T]] = []  # by falling number: who goes next is at the cheap end

    def __len__(self) -> int:
        return len(self._row)

    def add(self, number: int, one: T) -> None:
        insort(self._row, (-number, one))

    def pop(self) -> T:
        return self._row.pop()[1]

    def remove(self, number: int) -> None:
        del self._row[bisect_left(self._row, (-number,))]


@dataclass(slots=True, eq=False)
class _Space:
    """A namespace with somebody standing, or away with its window."""

    turn: int
    lanes: _Row[Lane] = field(default_factory=_Row)
    away: int = 0


class Turns:
    """Lanes that could be served now. The namespace goes first that was served longest ago, and of its lanes
    the one that was.

    Going by that, and not by who stood here first, keeps a namespace's place while its only session is away
    with a window: between two that would always like to be served, turns never differ by more than one. Who
    had nothing to do for a while has saved up nothing but the next turn.

    A turn costs a binary search and the moving of some pointers.
    """

    def __init__(self) -> None:
        self._spaces: dict[str | None, _Space] = {}
        self._row: _Row[_Space] = _Row()
        self._turn = count(1)
        self._standing = 0

    def __len__(self) -> int:
        return self._standing

    def add(self, lane: Lane) -> None:
        """Let `lane` stand here, where it does not yet."""
        if lane.standing:
            return
        space = self._spaces.get(lane.namespace)
        if space is None:
            space = self._spaces[lane.namespace] = _Space(next(self._turn))
        lane.turn = lane.turn or next(self._turn)
        if not space.lanes:
            self._row.add(space.turn, space)
        space.lanes.add(lane.turn, lane)
        lane.standing = True
        self._standing += 1

    def next(self) -> Lane:
        """The lane whose turn it is; it is away until `back`.

        Raises:
            IndexError: nobody stands here.
        """
        space = self._row.pop()
        lane = space.lanes.pop()
        lane.standing = False
        self._standing -= 1
        lane.turn = space.turn = next(self._turn)
        space.away += 1
        if space.lanes:
            self._row.add(space.turn, space)
        return lane

    def back(self, lane: Lane) -> None:
        """What `lane` went away for is over."""
        self._spaces[lane.namespace].away -= 1
        self._forget(lane.namespace)

    def remove(self, lane: Lane) -> None:
        """Take `lane` out, if it stands here."""
        if not lane.standing:
            return
        space = self._spaces[lane.namespace]
        space.lanes.remove(lane.turn)
        lane.standing = False
        self._standing -= 1
        if not space.lanes:
            self._row.remove(space.turn)
        self._forget(lane.namespace)

    def _forget(self, namespace: str | None) -> None:
        """Namespaces come and go; nothing is kept of one that has nobody here."""
        space = self._spaces[namespace]
        if not space.lanes and not space.away:
            del self._spaces[namespace]
