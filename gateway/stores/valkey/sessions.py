"""Sessions as documents, with indexes in the order of creation."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from gateway.errors import (
    AlreadyExists,
    BadDocument,
    Conflict,
    StoreUnavailable,
    UndertoneError,
    UnknownCursor,
)
from gateway.sessions.document import encode_session
from gateway.sessions.model import TERMINAL, Session
from gateway.sessions.ports import Quota, SessionFilter
from gateway.sessions.unreadable import Unreadable
from gateway.stores.valkey.connection import ValkeyConnection
from gateway.stores.valkey.keys import digest, safe
from gateway.stores.valkey.places import Places
from gateway.stores.valkey.rows import session_of
from gateway.stores.valkey.tally import Tally, readable, tenant_of

_ANY = SessionFilter()
_SLICE: Final = 100
"""Documents read at once: some 100 KB, and a millisecond of decoding."""
_OVER: Final = frozenset(status.value.encode() for status in TERMINAL)


class ValkeySessionStore:
    """Sessions by id, each with a time to live that every update renews.

    What has expired leaves the indexes when it is seen there; until then nobody can tell it from deleted.
    """

    def __init__(self, connection: ValkeyConnection, *, ttl_s: float = 86_400.0) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._ttl = b"%d" % (ttl_s * 1_000)
        self._places = Places(connection, ttl_s)
        self._tally = Tally(connection)
        self._unreadable = Unreadable()

    async def create(self, session: Session, *quotas: Quota) -> None:
        if not safe(session.id):
            raise ValueError("a session's id must be base64url")
        document, tenant = encode_session(session), tenant_of(session)
        self._tally.forget()
        ours = await self._places.take(session, tenant, quotas)
        kept = b"%d" % session.version, document, session.status.value.encode(), tenant, self._ttl
        try:
            new = await self._connection.of_one("create", self._keys.document(session.id), *kept)
            if new:
                # Only now: an index entry without a document is dropped by whoever sees it.
                await self._list(session.id, tenant)
        except UndertoneError:
            # It may be there or not, and nobody will ever know of it.
            with contextlib.suppress(UndertoneError):
                await self._delete(session.id, document)
            with contextlib.suppress(UndertoneError):
                await self._places.give_back(session.id, ours)
            raise
        if not new:
            await self._places.give_back(session.id, ours)
            raise AlreadyExists("there is a session with this id")
        if session.over:
            await self._places.give_back(session.id, ours)

    async def get(self, session_id: str) -> Session | None:
        if not safe(session_id):
            return None
        (said,) = await self._documents([session_id])
        return session_of(session_id, said)

    async def update(self, session: Session, expected_version: int) -> Session:
        updated = replace(session, version=expected_version + 1)
        status = updated.status.value.encode()
        before = None
        if safe(session.id):
            before = await self._connection.of_one(
                "update",
                self._keys.document(session.id),
                b"%d" % expected_version,
                b"%d" % updated.version,
                encode_session(updated),
                status,
                self._ttl,
            )
        if before is None:
            raise Conflict("the session was changed or deleted meanwhile")
        if before != status:
            self._tally.forget()
            # It is kept whatever becomes of its place, which is put right when a quota is reached.
            with contextlib.suppress(StoreUnavailable):
                await self._recount(updated, before)
        return updated

    async def delete(self, session_id: str) -> bool:
        return safe(session_id) and await self._delete(session_id)

    async def list(
        self, wanted: SessionFilter = _ANY, limit: int = 100, after: str | None = None
    ) -> Sequence[Session]:
        index = self._keys.index
        if wanted.namespace_id is not None:
            index = self._keys.tenant_index(digest(wanted.namespace_id))
        below = await self._place(index, after)
        unfiltered = wanted == SessionFilter(namespace_id=wanted.namespace_id)
        found: list[Session] = []
        while len(found) < limit:
            size = min(_SLICE, limit - len(found)) if unfiltered else _SLICE
            command = (b"ZRANGE", index, below, b"-inf", b"BYSCORE", b"REV", b"LIMIT", b"0", b"%d" % size)
            (rows,) = await self._connection.many([(index, (*command, b"WITHSCORES"))])
            found += filter(wanted.matches, await self._read(index, rows[::2]))
            if len(rows) < 2 * size:
                break
            below = b"(" + rows[-1]
        return found[:limit]

    async def count(self, wanted: SessionFilter = _ANY) -> int:
        """How many sessions are meant; those of other nodes as they were up to `tally.FRESH_S` ago."""
        return await self._tally.count(wanted)

    async def ids(self, namespace_id: str | None, user_id: str | None = None) -> Sequence[str]:
        namespace, user = digest(namespace_id), digest(user_id)
        # In a namespace's index all are its own, also those that say no more whose they are.
        index = self._keys.index if namespace_id is None else self._keys.tenant_index(namespace)
        found: list[str] = []
        async for one, kind in self._tally.whole(index):
            if kind is None:
                theirs = namespace_id is not None and user_id is None
            else:
                whose = kind[1].split(b" ")
                theirs = whose[0] == namespace and (user_id is None or whose[1] == user)
            found += [one] if theirs else []
        return found

    async def _delete(self, session_id: str, document: bytes = b"") -> bool:
        """Delete a session, if its document is `document` where that is given; whether there was one."""
        self._tally.forget()
        key = self._keys.document(session_id)
        try:
            tenant = await self._connection.of_one("delete", key, document)
        except BadDocument:
            (there,) = await self._connection.many([(key, (b"UNLINK", key))])
            return bool(there)  # nobody can say whose it was: it leaves indexes when it is seen there
        if tenant is None:
            return False
        if not readable(tenant):
            return True
        keys = [*self._indexes(tenant), *self._places.of(tenant)]
        await self._connection.many([(key, (b"ZREM", key, session_id.encode())) for key in keys])
        return True

    async def _place(self, index: bytes, after: str | None) -> bytes:
        if after is None:
            return b"+inf"
        place = None
        if safe(after):
            (place,) = await self._connection.many([(index, (b"ZSCORE", index, after.encode()))])
        if place is None:
            raise UnknownCursor
        return b"(%d" % float(place)

    async def _read(self, index: bytes, ids: Sequence[bytes]) -> Sequence[Session]:
        """Those of the sessions that are there and can be read; what is not there leaves the index."""
        found: list[Session] = []
        gone: list[bytes] = []
        names = [one.decode() for one in ids]
        for one, said in zip(names, await self._documents(names), strict=True):
            with self._unreadable.passed_over(one):
                session = session_of(one, said)
                if session is None:
                    gone.append(one.encode())
                else:
                    found.append(session)
        if gone:
            with contextlib.suppress(StoreUnavailable):
                await self._connection.many([(index, (b"ZREM", index, *gone))])
        return found

    async def _documents(self, ids: Sequence[str]) -> Sequence[Any]:
        """What `session_of` takes, of each."""
        keys = [self._keys.document(one) for one in ids]
        asked = [(key, (b"HMGET", key, b"d", b"v")) for key in keys]
        return await self._connection.many(asked, apart=True)

    async def _recount(self, session: Session, before: bytes) -> None:
        if session.over and before not in _OVER:
            await self._places.give_back(session.id, self._places.of(tenant_of(session)))
        elif before in _OVER and not session.over:
            await self._places.count_again(session.id, tenant_of(session))

    async def _list(self, session_id: str, tenant: bytes) -> None:
        for index in self._indexes(tenant):
            await self._connection.call("append", [index], session_id.encode())

    def _indexes(self, tenant: bytes) -> Sequence[bytes]:
        namespace = tenant.split(b" ")[0]
        everything = self._keys.index
        return [everything] if namespace == digest(None) else [everything, self._keys.tenant_index(namespace)]
