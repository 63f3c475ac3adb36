"""What nodes that share their sessions need of a store, beside the ports that every store has.

A *stream* is a session's events as the store keeps them. It has one writer at a time, the node that claimed
it last, and each claim makes its `gen` one more (a fencing token: Kleppmann, *How to do distributed locking*,
2016): what a node writes that has lost its claim meanwhile is refused by the store itself. Time in all of it
is the cluster's, in seconds that no node's wall clock moves; see `gateway.sessions.clusterclock`.

Every adapter raises `StoreUnavailable` where the store can't be reached or doesn't take writes now, and
`StoreUnsuitable` where it never will as it is; what its own driver raises is translated at its edge.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Protocol, TypeAlias

from gateway.errors import Conflict
from gateway.sessions.model import Session
from gateway.sessions.ports import Entry, EventStore, RecordPage, Tail


@dataclass(frozen=True, slots=True)
class StreamBounds:
    """How much of a stream is held. What passes a bound goes, the oldest first; the newest event stays."""

    events: int = 512
    bytes: int = 256 * 1024
    """Of `Entry.size`."""
    seconds: float = 120.0
    record_bytes: int = 4 * 1024 * 1024
    """Past it a record takes no more, and says so."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the new writer of a stream goes on from."""

    epoch: str
    """Identity of the stream; made at the first claim."""
    gen: int
    """From 1; to be named in each commit."""
    tail: Tail
    """What is held, from the oldest on; its `top` is the newest committed number."""
    snapshot: bytes | None = field(repr=False)
    """What the writer before committed with its last events; None where there is nothing yet."""
    previous: str | None
    """The node that had it before, maybe the same one; None where the stream is new."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What is to be safe in one step: all of it or nothing."""

    session_id: str
    gen: int
    entries: Sequence[Entry] = ()
    """The next ones, without holes; may be none."""
    snapshot: bytes | None = field(default=None, repr=False)
    """What a new writer needs to go on exactly after `entries`; None leaves the kept one."""
    epoch: str | None = None
    """The stream's, as claimed: the writer of another one is fenced even if a store that lost everything has
    come to the same `gen` again. None is any."""
    node: str | None = None
    """The writer's, as it claimed: where a store has lost a claim and counts anew, two may have come to the
    same `gen`, and the later one is the writer. None is any."""
    after_hole: bool = False
    """Events between what is there and `entries` are lost (they were said while the store was away): what is
    held before them goes, the first may have any later number, and the record counts as truncated."""


class Committed(StrEnum):
    """What became of a commit."""

    DONE = "done"
    FENCED = "fenced"
    """Somebody else has claimed the stream since. Nothing was written."""
    REVERTED = "reverted"
    """The store knows of earlier claims only: it has lost this one. Nothing was written."""
    GONE = "gone"
    """The stream was forgotten, within the last hour. Nothing was written."""
    UNKNOWN = "unknown"
    """There is no such stream, and it was not forgotten: the store has lost it. Nothing was written."""
    MISPLACED = "misplaced"
    """The first entry doesn't follow what is there (unless `after_hole`). Nothing was written."""


class Superseded(Conflict):
    """A later attach of the same session has claimed its stream already."""

    code = "replaced"

    def __init__(self) -> None:
        super().__init__("a later connection has taken this session over")


@dataclass(frozen=True, slots=True)
class Held:
    """What a node that has claimed a session's stream goes on from."""

    tail: Tail
    """What is held, from the oldest on."""
    snapshot: bytes | None = field(default=None, repr=False)


Sink: TypeAlias = Callable[[Tail | None], None]
"""Takes what another node has committed; None where the stream is gone."""


class Loss(StrEnum):
    """How a node ceases to be the writer of a stream."""

    TAKEN = "claimed"
    """Another node has claimed it."""
    DELETED = "deleted"
    """The session is no more."""
    REVERTED = "reverted"
    """The store has lost the claim: whoever comes next claims anew."""


class Writer(Protocol):
    """What a shared store asks of whoever writes a stream, between two events."""

    def snapshot(self) -> bytes:
        """What goes with the next commit."""
        ...

    def history(self) -> Sequence[Entry]:
        """All that is still held of what was said, for a store that has lost it."""
        ...

    def lost(self, loss: Loss, *, unseen: bool) -> None:
        """This node is no longer the writer; told once.

        Args:
            unseen: events were read here that nobody else can see.
        """
        ...


class SharedEvents(EventStore, Protocol):
    """An event store behind which other nodes have theirs: a stream must be claimed before it is opened."""

    async def claim(self, session_id: str, turn: int) -> Held:
        """Make this node the writer of a session's stream.

        Raises:
            Superseded: as `StreamStore.claim`.
            StoreUnavailable: the store can't be reached; this node may still be the writer.
        """
        ...

    def attend(self, session_id: str, writer: Writer) -> None:
        """Ask and tell `writer` from now on.

        Raises:
            UnknownSession: the stream is not open.
        """
        ...

    def progress(self, session_id: str) -> None:
        """The session's standing has changed, said or unsaid: its snapshot is to be kept."""
        ...

    def owns(self, session_id: str) -> bool:
        """Whether this node is the writer, as far as it knows."""
        ...

    def tell(self, session_id: str, node_id: str) -> None:
        """Have another node look whether it is still the writer of a session's stream."""
        ...

    def stored(self, session_id: str) -> int:
        """Number of the newest event that other nodes can see; less than `committed` while the store is away.

        Raises:
            UnknownSession: the stream is not open.
        """
        ...

    async def follow(self, session_id: str, sink: Sink) -> Callable[[], None]:
        """Have `sink` told what is held of a stream that another node writes, before this returns, and then
        what is new; returns the call that ends it. A stream that has not begun is told of once it has."""
        ...

    async def standing(self, session_id: str) -> bytes | None:
        """The snapshot committed last, by whatever node; None where there is none."""
        ...


class StreamStore(Protocol):
    """Keeps streams, with fenced writers. Entries come back with the cluster's time in `Entry.at`."""

    async def claim(self, session_id: str, node_id: str, turn: int = 0, epoch: str | None = None) -> Claim:
        """Take over a stream, or begin it: its `gen` is one more, and whoever wrote it before can't any more.

        Both are one atomic step. `turn` numbers the attaches as the session store saw them: where two come at
        once, their claims may get here in the other order, and the later attach keeps the stream. A claim
        with the turn that is kept is in order. `epoch` is that of a stream which is begun, for a node that
        has its history while the store has lost it; by default a new one.

        Raises:
            Superseded: the stream was claimed with a greater turn. Nothing has changed.
        """
        ...

    async def commit(self, commits: Sequence[Commit]) -> Sequence[Committed]:
        """Make them safe, each for itself, all in one round trip; what became of each, in order."""
        ...

    async def tail(self, session_id: str, after: int) -> Tail:
        """What is held after number `after`.

        Raises:
            UnknownSession: there is no such stream.
        """
        ...

    async def newer(self, cursors: Mapping[str, int], wait_s: float) -> Mapping[str, Tail | None]:
        """What is held after each session's cursor, for those where that is anything; None for a stream that
        is gone (it was never there, or was forgotten).

        Returns as soon as there is anything, or with nothing after `wait_s` seconds. One call serves all the
        readers of a node.
        """
        ...

    async def record(self, session_id: str, after: int = 0, limit: int = 1_000) -> RecordPage:
        """At most `limit` final events that follow number `after`.

        Raises:
            UnknownSession: there is no such stream.
        """
        ...

    async def snapshot(self, session_id: str) -> bytes | None:
        """The last one committed, to look at; None where there is none."""
        ...

    async def forget(self, session_id: str) -> None:
        """Delete everything of a stream, but that it was there: for an hour its writer is told `GONE`, and a
        claim begins it anew. Nothing else happens where there is nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Node:
    """What a node says of itself."""

    id: str
    """Random, new for each process."""
    name: str
    """For people: host and process."""
    sessions: int = 0
    """Live there now."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a node hears when it says that it is there."""

    now: float
    """The cluster's time, in seconds."""
    alive: frozenset[str]
    """Ids of the nodes heard of within `lease_s`, itself included."""
    leads: bool
    """Whether this node looks after sessions that no living node holds; one node does."""
    lost: Sequence[str]
    """Sessions that others claimed from this node since its last beat."""


class Whose(Enum):
    """Who looks after a session."""

    OURS = auto()
    """This node: it holds it, or nobody living does and this node leads."""
    ORPHANED = auto()
    """This node, and the one that held it is gone."""
    OTHERS = auto()


class NodeStore(Protocol):
    """Knows which nodes are there, and what time it is for all of them."""

    async def beat(self, node: Node, estimate: float | None) -> Beat:
        """Say that `node` is there, for the next `lease_s` seconds.

        `estimate` is the node's own reckoning of the cluster's time, None for one that has just come. Time
        passes as the store's clock does while that runs evenly, and as the first node says that finds it has
        stepped (see `gateway.sessions.clusterclock.agreed`).
        """
        ...

    async def leave(self, node_id: str) -> None:
        """The node is gone, in good order: its lease, and its lead, are over at once."""
        ...

    async def tell_lost(self, losses: Mapping[str, Sequence[str]]) -> None:
        """Tell nodes, by id, of sessions that were claimed from them; bounded, as nobody may be listening."""
        ...


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as it is now, for the audit trail."""

    session: Session


@dataclass(frozen=True, slots=True)
class DeletedRow:
    """A session that was deleted: its row is marked, and stays until retention is over."""

    session_id: str
    at: float
    """Seconds since the Unix epoch."""


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """Where a session could go on: as the stream store has it, but late."""

    session_id: str
    gen: int
    seq: int
    """The last event before it."""
    snapshot: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EventRow:
    """One final event, where history is to be kept."""

    session_id: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A background task's state: who asked for what and what became of it, never its result."""

    session_id: str
    task_id: str
    task_type: str
    state: str
    at: float
    """Seconds since the Unix epoch."""


AuditRow: TypeAlias = SessionRow | DeletedRow | SnapshotRow | EventRow | TaskRow


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the audit trail has of a session that the hot store lost."""

    session: Session
    snapshot: SnapshotRow | None


class AuditStore(Protocol):
    """The durable trail: who had which session, what became of it, and where it could go on.

    Written late and in batches, off every hot path; never any audio, and events only where retention is on.
    """

    async def write(self, rows: Sequence[AuditRow]) -> None:
        """Keep them all or none, in one transaction; of one session's rows the newest wins, however often and
        in whatever order batches are written again (by `Session.version`, by `gen` and `seq`)."""
        ...

    async def recover(self, session_id: str) -> Recovered | None:
        """The session, unless it was deleted; None where there is none."""
        ...

    async def heartbeat(self, session_ids: Sequence[str], at: float) -> None:
        """Their node is there; `at` is seconds since the Unix epoch."""
        ...

    async def cleanup_stale(self, max_age_s: float) -> int:
        """Mark those failed (reason `stale`) that aren't over and had no heartbeat for so long; how many."""
        ...

    async def expire(self, retention_s: float) -> int:
        """Delete for good what was over or deleted longer ago; how many sessions."""
        ...

    async def erase(self, namespace_id: str | None, user_id: str | None = None) -> Sequence[str]:
        """Delete for good, now, everything of a user or of a whole namespace; the ids of the sessions."""
        ...
