"""What a node has said of one session and the store does not have yet."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.sessions.ports import Entry, OnCommit
from gateway.sessions.shared import Commit, StreamBounds, Writer


@dataclass(slots=True, eq=False)
class Own:
    """A stream that this node writes."""

    session_id: str
    node: str
    """This one, as it claimed."""
    epoch: str
    gen: int
    turn: int
    """Of the attach for which it was claimed."""
    stored: int
    """Number of the newest event in the store."""
    bounds: StreamBounds
    """How much waits for a store that is away. Past them the oldest goes: a hole."""
    on_commit: OnCommit = lambda _: None
    writer: Writer | None = None
    """Who says it; None until somebody attends to it."""
    trail_due: float = 0.0
    """Monotonic seconds from which the audit trail wants its snapshot again."""
    committed: int = 0
    """Number of the newest event that readers here may see."""
    restarting: bool = False
    """The store has lost it, and whether it was begun anew is not known yet."""
    mended: float | None = None
    """When it was begun anew because it could not be written to; the loop's time."""
    heard_of: bool = True
    """Something of it was committed since that was last asked."""
    _waiting: deque[Entry] = field(default_factory=deque)
    _bytes: int = 0

    def __post_init__(self) -> None:
        self.committed = self.stored

    @property
    def top(self) -> int:
        """Number of the newest event said."""
        return self._waiting[-1].seq if self._waiting else max(self.stored, self.committed)

    @property
    def holed(self) -> bool:
        """Whether events between `stored` and what comes next are lost."""
        due = self._waiting[0].seq if self._waiting else self.top + 1
        return due != self.stored + 1

    @property
    def waiting(self) -> int:
        """Events that the store does not have."""
        return len(self._waiting)

    def add(self, entry: Entry) -> int:
        """Take the next event; returns how many of the oldest had to go for it.

        Raises:
            ValueError: its number does not follow. Nothing was added.
        """
        if entry.seq != self.top + 1:
            raise ValueError(f"event {entry.seq} where {self.top + 1} was due")
        self._waiting.append(entry)
        self._bytes += entry.size
        lost = 0
        while len(self._waiting) > 1 and (
            len(self._waiting) > self.bounds.events or self._bytes > self.bounds.bytes
        ):
            self._bytes -= self._waiting.popleft().size
            lost += 1
        return lost

    def commit(self, *, standing: bool = True) -> Commit:
        """What is to be made safe now: all that waits, and where things stand after it, if asked for."""
        entries = tuple(self._waiting)
        snapshot = self.writer.snapshot() if standing and self.writer is not None else None
        return Commit(self.session_id, self.gen, entries, snapshot, self.epoch, self.node, self.holed)

    def done(self, to: int) -> Sequence[Entry]:
        """The store has everything up to number `to`; returns what waited of that."""
        taken: list[Entry] = []
        while self._waiting and self._waiting[0].seq <= to:
            taken.append(self._waiting.popleft())
            self._bytes -= taken[-1].size
        self.stored = max(self.stored, to)
        return taken

    def begin_again(self, gen: int) -> None:
        """The store has nothing of it any more, and takes it under a new `gen`."""
        self.gen, self.restarting = gen, False
        self.fall_back(0)

    def fall_back(self, top: int) -> None:
        """The store has lost what follows number `top`: it is given again what is still held here."""
        history = self.writer.history() if self.writer is not None else ()
        held = [entry for entry in history if entry.seq > top]
        self.stored = top
        if held:
            self._waiting = deque(held)
            self._bytes = sum(entry.size for entry in held)

    def publish(self, to: int) -> None:
        """Readers here may see everything up to number `to`."""
        if to > self.committed:
            self.committed = to
            self.on_commit(to)
