"""Sessions: those that this node holds from here, for a moment; others from the store, or from the trail."""

import contextlib
import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from gateway.clock import Clock
from gateway.errors import AlreadyExists, BadDocument, Conflict, StoreUnavailable
from gateway.sessions.model import Session
from gateway.sessions.ports import Quota, SessionFilter, SessionStore
from gateway.sessions.shared import AuditRow, DeletedRow, SessionRow
from gateway.stores.hybrid.prompt import PromptAudit

log = logging.getLogger(__name__)

FRESH_S: Final = 1.0
"""Seconds that a copy of a session held here is believed: others may have changed it."""
_ANY: Final = SessionFilter()
_MOST_DOUBTS: Final = 8
_MOST_DELETED: Final = 10_000


class HybridSessionStore:
    """Sessions in a store that other nodes share.

    While that is away, sessions held here go on: they are changed here, and given to the store when it is
    back. Others, and new ones, have to wait for it (`StoreUnavailable`).

    Args:
        node_id: this node's. Copies are kept of sessions that name it, and of no others.
        audit: has what the store lost; None where there is none.
        record: takes rows for the audit trail; never waits.
    """

    def __init__(
        self,
        store: SessionStore,
        node_id: str,
        clock: Clock,
        *,
        audit: PromptAudit | None = None,
        record: Callable[[AuditRow], None] = lambda _: None,
        copies: int = 100_000,
    ) -> None:
        self._store = store
        self._node_id = node_id
        self._clock = clock
        self._audit = audit
        self._record = record
        self._most = copies
        self._copies: OrderedDict[str, tuple[Session, float]] = OrderedDict()
        self._unsaved: dict[str, int] = {}
        """Sessions changed here while the store was away, and the version that it had."""
        self._doubts: dict[str, list[Session]] = {}
        """What the store may have of these: changes to which there was no answer."""
        self._deleted: OrderedDict[str, None] = OrderedDict()
        """Sessions deleted here lately."""
        self.is_away: Callable[[], bool] = lambda: False
        """Whether the store is known to be away, so that nobody needs to wait for finding out."""
        self.is_writer: Callable[[str], bool] = lambda _: False
        """Whether this node writes the session's events, as far as it knows."""
        self.on_missing: Callable[[str], None] = lambda _: None
        """Told of such a session that the store doesn't have."""

    async def create(self, session: Session, *quotas: Quota) -> None:
        await self._store.create(session, *quotas)
        self._note(session)

    async def get(self, session_id: str) -> Session | None:
        kept = self._copies.get(session_id)
        if kept is not None and (self.is_away() or self._clock.monotonic() - kept[1] < FRESH_S):
            return kept[0]
        try:
            await self._reconcile(session_id)
            found = await self._store.get(session_id)
        except StoreUnavailable:
            kept = self._copies.get(session_id)
            if kept is not None:
                return kept[0]
            raise
        if found is None:
            return await self._missing(session_id)
        kept = self._copies.get(session_id)
        if kept is not None and session_id in self._unsaved:
            return kept[0]  # it was changed here while the store was asked
        self._keep(found)
        return found

    async def update(self, session: Session, expected_version: int) -> Session:
        try:
            if self.is_away() and session.id in self._copies:
                updated = self._update_here(session, expected_version)
            else:
                if session.id in self._unsaved:
                    self._check(session.id, expected_version)
                await self._reconcile(session.id)
                updated = await self._store.update(session, expected_version)
        except Conflict:
            self._distrust(session.id)  # what was decided on is no longer so
            raise
        except StoreUnavailable:
            updated = self._update_here(session, expected_version)
            self._doubt(updated)
        self._note(updated)
        return updated

    async def delete(self, session_id: str) -> bool:
        self._deleted[session_id] = None  # the trail hears of it late, and would give it back until then
        try:
            found = await self._store.delete(session_id)
        except BaseException:
            self._deleted.pop(session_id, None)
            raise
        while len(self._deleted) > _MOST_DELETED:
            self._deleted.popitem(last=False)
        self._forget(session_id)
        await self._tell_deleted(DeletedRow(session_id, self._clock.time()))
        return found

    async def _tell_deleted(self, row: DeletedRow) -> None:
        """At once, where the trail can be reached: other nodes would give the session back from it."""
        try:
            if self._audit is not None:
                await self._audit.write([row])
                return
        except StoreUnavailable:
            pass
        self._record(row)

    async def list(
        self, wanted: SessionFilter = _ANY, limit: int = 100, after: str | None = None
    ) -> Sequence[Session]:
        return await self._store.list(wanted, limit, after)

    async def count(self, wanted: SessionFilter = _ANY) -> int:
        return await self._store.count(wanted)

    async def ids(self, namespace_id: str | None, user_id: str | None = None) -> Sequence[str]:
        return await self._store.ids(namespace_id, user_id)

    async def reconcile(self) -> None:
        """Give the store what was changed here while it was away.

        Raises:
            StoreUnavailable: it is away still, or again.
        """
        for session_id in tuple(self._unsaved):
            await self._reconcile(session_id)

    async def restore(self, session_id: str) -> bool:
        """Give the store a session that it has lost, as it was here last; whether there was anything to give.

        Raises:
            StoreUnavailable: it is away.
        """
        kept = self._copies.get(session_id)
        if kept is None:
            return False
        with contextlib.suppress(AlreadyExists):
            await self._store.create(kept[0])
        current = self._copies.get(session_id)
        if current is not None and current[0] is kept[0]:
            self._unsaved.pop(session_id, None)
            self._doubts.pop(session_id, None)
        return True

    def _update_here(self, session: Session, expected_version: int) -> Session:
        kept = self._copies.get(session.id)
        if kept is None or session.node != self._node_id:
            raise StoreUnavailable("the session's state can't be reached now")
        self._check(session.id, expected_version)
        self._unsaved.setdefault(session.id, expected_version)
        return replace(session, version=expected_version + 1)

    async def _reconcile(self, session_id: str) -> None:
        version = self._unsaved.get(session_id)
        if version is None:
            return
        session = self._copies[session_id][0]
        try:
            saved = await self._store.update(session, version)
        except StoreUnavailable:
            self._doubt(replace(session, version=version + 1))
            raise
        except (Conflict, BadDocument):
            await self._contend(session_id, version)
            return
        kept = self._copies.get(session_id)
        if kept is not None and kept[0] is not session:
            self._unsaved[session_id] = saved.version  # it was changed here once more meanwhile
            return
        self._unsaved.pop(session_id, None)
        self._doubts.pop(session_id, None)
        if kept is not None:
            self._note(saved)

    async def _contend(self, session_id: str, version: int) -> None:
        """The store has another version of a session than the one that was changed here."""
        if self._unsaved.get(session_id) != version:
            return  # somebody else saw to it meanwhile
        try:
            found = await self._store.get(session_id)
        except BadDocument:
            found = None  # whoever asks for it is told
        if self._unsaved.get(session_id) != version:
            return
        if found is not None and found in self._doubts.get(session_id, ()):
            self._unsaved[session_id] = found.version  # it is this node's: only the answer got lost
            await self._reconcile(session_id)
            return
        # Others have gone on with it: theirs is the truth, and this node will lose its claim.
        log.warning("a session was changed elsewhere meanwhile", extra={"session_id": session_id[:8]})
        self._unsaved.pop(session_id, None)
        self._doubts.pop(session_id, None)
        self._distrust(session_id)

    def _check(self, session_id: str, expected_version: int) -> None:
        if self._copies[session_id][0].version != expected_version:
            raise Conflict("the session was changed meanwhile")

    def _doubt(self, session: Session) -> None:
        """It may be what the store has: there was no answer."""
        doubts = self._doubts.setdefault(session.id, [])
        doubts.append(session)
        del doubts[:-_MOST_DOUBTS]

    def _distrust(self, session_id: str) -> None:
        """Ask the store the next time; the copy is for when it can't be asked."""
        kept = self._copies.get(session_id)
        if kept is not None:
            self._copies[session_id] = kept[0], -math.inf

    def _forget(self, session_id: str) -> None:
        for kept in (self._copies, self._unsaved, self._doubts):
            kept.pop(session_id, None)

    async def _missing(self, session_id: str) -> Session | None:
        """The store has no such session: it was deleted, or lost."""
        if session_id in self._copies and self.is_writer(session_id):
            self._distrust(session_id)  # what becomes of its stream tells which; then it may be restored
            self.on_missing(session_id)
            return None
        self._forget(session_id)
        return None if session_id in self._deleted else await self._recovered(session_id)

    async def _recovered(self, session_id: str) -> Session | None:
        """The session from the trail, which the store is given back."""
        if self._audit is None:
            return None
        try:
            found = await self._audit.recover(session_id)
        except StoreUnavailable:
            return None
        if found is None:
            return None
        log.warning("a session was recovered from the audit trail", extra={"session_id": session_id[:8]})
        try:
            await self._store.create(found.session)
        except AlreadyExists:
            return await self._store.get(session_id)
        self._keep(found.session)
        return found.session

    def _note(self, session: Session) -> None:
        self._keep(session)
        self._record(SessionRow(session))

    def _keep(self, session: Session) -> None:
        if session.node != self._node_id:
            self._forget(session.id)
            return
        self._copies[session.id] = (session, self._clock.monotonic())
        self._copies.move_to_end(session.id)
        while len(self._copies) > self._most:
            oldest = next((one for one in self._copies if one not in self._unsaved), None)
            if oldest is None:
                return
            del self._copies[oldest]
