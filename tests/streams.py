"""A stream store in memory that several nodes can share, and that does to them what real ones do."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from gateway.clock import Clock
from gateway.errors import BadDocument, StoreUnavailable
from gateway.sessions.ports import Entry, Recorded, RecordPage, Tail, UnknownSession
from gateway.sessions.shared import Claim, Commit, Committed, StreamBounds, Superseded
from protocol.version import Encoding

_BOUNDS = StreamBounds()
_MOURNED_S = 3_600.0


@dataclass
class _Stream:
    epoch: str
    gen: int = 0
    turn: int = 0
    node: str | None = None
    top: int = 0
    held: list[Entry] = field(default_factory=list)
    record: list[Recorded] = field(default_factory=list)
    recorded: int = 0
    truncated: bool = False
    snapshot: bytes | None = None


class FakeStreamStore:
    """Implements `gateway.sessions.shared.StreamStore`, with troubles on demand."""

    def __init__(self, clock: Clock, bounds: StreamBounds = _BOUNDS) -> None:
        self._clock = clock
        self._bounds = bounds
        self._streams: dict[str, _Stream] = {}
        self._forgotten: dict[str, float] = {}
        self._epochs = count(1)
        self._changed = asyncio.Event()
        self.away = False
        """Nothing can be reached."""
        self.damaged: set[str] = set()
        """Streams with which nothing can be done but to forget them."""
        self.unanswered = 0
        """So many writes are done, and their answers get lost."""
        self.calls: list[str] = []
        """What was asked, by name; `newer` and reading apart."""
        self.gate = asyncio.Event()
        """Writes wait for it before anything is done."""
        self.gate.set()
        self.answer_gate = asyncio.Event()
        """Writes wait for it once they are done."""
        self.answer_gate.set()

    # Troubles ---------------------------------------------------------------------------------------------

    def lose_everything(self) -> None:
        """As a server that came back empty: not even what was forgotten is known."""
        self._streams.clear()
        self._forgotten.clear()
        self._wake()

    def lose_claim(self, session_id: str, node_id: str) -> None:
        """The last claim never reached the replica that is asked now: that node's before it stands."""
        stream = self._streams[session_id]
        stream.gen, stream.node = stream.gen - 1, node_id

    def lose_last(self, session_id: str, events: int) -> None:
        """As a replica that had not got the last writes when it became the primary."""
        stream = self._streams[session_id]
        stream.top = max(0, stream.top - events)
        stream.held = [one for one in stream.held if one.seq <= stream.top]
        stream.record = [one for one in stream.record if one.seq <= stream.top]
        self._wake()

    def snapshot_now(self, session_id: str) -> bytes | None:
        """The same as `snapshot`, for a look from outside."""
        stream = self._streams.get(session_id)
        return None if stream is None else stream.snapshot

    def writer(self, session_id: str) -> str | None:
        """The node that claimed it last."""
        stream = self._streams.get(session_id)
        return None if stream is None else stream.node

    def seqs(self, session_id: str) -> list[int]:
        """Numbers held."""
        stream = self._streams.get(session_id)
        return [] if stream is None else [one.seq for one in stream.held]

    # The port ---------------------------------------------------------------------------------------------

    async def claim(self, session_id: str, node_id: str, turn: int = 0, epoch: str | None = None) -> Claim:
        await self._ask("claim")
        self._look(session_id)
        stream = self._streams.get(session_id)
        if stream is None:
            self._forgotten.pop(session_id, None)
            stream = self._streams[session_id] = _Stream(epoch or f"epoch-{next(self._epochs)}")
        if turn < stream.turn:
            raise Superseded
        previous, stream.node = stream.node, node_id
        stream.gen, stream.turn = stream.gen + 1, turn
        self._wake()
        found = Claim(stream.epoch, stream.gen, self._tail(stream, 0), stream.snapshot, previous)
        await self._answer()
        return found

    async def commit(self, commits: Sequence[Commit]) -> Sequence[Committed]:
        await self._ask("commit")
        well = [one for one in commits if one.session_id not in self.damaged]
        done = [self._commit(one) for one in well]
        self._wake()
        self._look(*(one.session_id for one in commits))
        await self._answer()
        return done

    async def tail(self, session_id: str, after: int) -> Tail:
        await self._reach()
        self._look(session_id)
        return self._tail(self._stream(session_id), after)

    async def newer(self, cursors: Mapping[str, int], wait_s: float) -> Mapping[str, Tail | None]:
        await self._reach()
        self._look(*cursors)
        try:
            async with asyncio.timeout(wait_s):
                while not (found := self._news(cursors)):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            found = {}
        await self._reach()
        return found

    async def record(self, session_id: str, after: int = 0, limit: int = 1_000) -> RecordPage:
        await self._reach()
        stream = self._stream(session_id)
        found = [one for one in stream.record if one.seq > after][:limit]
        return RecordPage(found, stream.record[-1].seq if stream.record else 0, stream.truncated)

    async def snapshot(self, session_id: str) -> bytes | None:
        await self._reach()
        return self.snapshot_now(session_id)

    async def forget(self, session_id: str) -> None:
        await self._ask("forget")
        self.damaged.discard(session_id)
        if self._streams.pop(session_id, None) is not None:
            self._forgotten[session_id] = self._clock.monotonic()
        self._wake()
        await self._answer()

    # Within -----------------------------------------------------------------------------------------------

    async def _ask(self, name: str) -> None:
        self.calls.append(name)
        await self._reach()
        await self.gate.wait()

    def _look(self, *session_ids: str) -> None:
        if self.damaged.intersection(session_ids):
            raise BadDocument("by hand")

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("by hand")

    async def _answer(self) -> None:
        lost = self.unanswered > 0
        self.unanswered -= lost
        await self.answer_gate.wait()
        if lost:
            raise StoreUnavailable("no answer")

    def _wake(self) -> None:
        """Those who wait look anew, each of them."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _commit(self, commit: Commit) -> Committed:
        stream = self._streams.get(commit.session_id)
        if stream is None:
            forgotten = self._forgotten.get(commit.session_id)
            mourned = forgotten is not None and self._clock.monotonic() - forgotten < _MOURNED_S
            return Committed.GONE if mourned else Committed.UNKNOWN
        if commit.epoch not in (None, stream.epoch):
            return Committed.FENCED
        if stream.gen < commit.gen:
            return Committed.REVERTED
        if commit.gen != stream.gen or commit.node not in (None, stream.node):
            return Committed.FENCED
        entries = commit.entries
        if entries:
            first = entries[0].seq
            follows = first > stream.top if commit.after_hole else first == stream.top + 1
            if not follows or [one.seq for one in entries] != list(range(first, first + len(entries))):
                return Committed.MISPLACED
            if commit.after_hole:
                stream.held.clear()
                stream.truncated = True
        for entry in entries:
            self._add(stream, entry)
        if commit.snapshot is not None:
            stream.snapshot = commit.snapshot
        return Committed.DONE

    def _add(self, stream: _Stream, entry: Entry) -> None:
        packed = entry.encoded(Encoding.MSGPACK)
        stream.top = entry.seq
        stream.held.append(Entry.kept(entry.seq, entry.final, entry.at, packed))
        self._trim(stream)
        if not entry.final:
            return
        stream.truncated = stream.truncated or stream.recorded + len(packed) > self._bounds.record_bytes
        if not stream.truncated:
            stream.recorded += len(packed)
            stream.record.append(Recorded(entry.seq, packed))

    def _trim(self, stream: _Stream) -> None:
        bounds, held = self._bounds, stream.held
        horizon = self._clock.monotonic() - bounds.seconds
        while len(held) > 1 and (
            len(held) > bounds.events or sum(one.size for one in held) > bounds.bytes or held[0].at < horizon
        ):
            del held[0]

    def _tail(self, stream: _Stream, after: int) -> Tail:
        self._trim(stream)
        oldest = stream.held[0].seq if stream.held else stream.top + 1
        return Tail(stream.epoch, oldest, stream.top, [one for one in stream.held if one.seq > after])

    def _news(self, cursors: Mapping[str, int]) -> dict[str, Tail | None]:
        found: dict[str, Tail | None] = {}
        for session_id, cursor in cursors.items():
            stream = self._streams.get(session_id)
            if stream is None:
                found[session_id] = None
            elif stream.top != cursor:
                found[session_id] = self._tail(stream, cursor)
        return found

    def _stream(self, session_id: str) -> _Stream:
        try:
            return self._streams[session_id]
        except KeyError:
            raise UnknownSession from None
