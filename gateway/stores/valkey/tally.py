"""How many sessions there are of each kind, read in one pass that a few questions share."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, TypeAlias

from gateway.errors import BadDocument
from gateway.sessions.model import Session
from gateway.sessions.ports import SessionFilter
from gateway.stores.valkey.connection import Request, ValkeyConnection
from gateway.stores.valkey.keys import digest

FRESH_S: Final = 2.0
"""A pass is good for so many seconds for what others do; what this node does makes a new one due at once."""
_SLICE: Final = 500

Kind: TypeAlias = tuple[bytes, bytes]
"""A session's status, and its tenant as `tenant_of` has it."""


def tenant_of(session: Session) -> bytes:
    """Digests of a session's namespace, user and device type."""
    return b" ".join(map(digest, (session.namespace_id, session.user_id, session.device_type)))


def kind_of(said: Any) -> Kind | None:
    """What a document's fields `s` and `t` say; None where that can't be read."""
    if isinstance(said, BadDocument):
        return None
    status, tenant = said
    return (status, tenant) if status is not None and readable(tenant) else None


def readable(tenant: bytes | None) -> bool:
    """Whether it can be what `tenant_of` made."""
    return tenant is not None and tenant.count(b" ") == 2


class Tally:
    """Counts sessions without reading what they say: a few bytes of each. Where those can't be read there is
    none."""

    def __init__(self, connection: ValkeyConnection) -> None:
        self._connection = connection
        self._counted: Counter[Kind] = Counter()
        self._good_until = 0.0
        self._counting = asyncio.Lock()

    def forget(self) -> None:
        """Something was changed here."""
        self._good_until = 0.0

    async def count(self, wanted: SessionFilter) -> int:
        """How many sessions are meant."""
        async with self._counting:
            now = asyncio.get_running_loop().time()
            if now >= self._good_until:
                # First the time: what changes meanwhile must make another pass due.
                self._good_until = now + FRESH_S
                self._counted = await self._pass()
            return sum(count for kind, count in self._counted.items() if _matches(kind, wanted))

    async def whole(self, index: bytes) -> AsyncIterator[tuple[str, Kind | None]]:
        """Every session of an index, and what is known of it: None where that can't be read."""
        keys = self._connection.keys
        after = b"-inf"
        while True:
            slice_of = (b"ZRANGE", index, after, b"+inf", b"BYSCORE", b"LIMIT", b"0", b"%d" % _SLICE)
            (rows,) = await self._connection.many([(index, (*slice_of, b"WITHSCORES"))])
            ids: Sequence[str] = [one.decode() for one in rows[::2]]
            asked: list[Request] = [(key, (b"HMGET", key, b"s", b"t")) for key in map(keys.document, ids)]
            for one, said in zip(ids, await self._connection.many(asked, apart=True), strict=True):
                if said != [None, None]:
                    yield one, kind_of(said)
            if len(ids) < _SLICE:
                return
            after = b"(" + rows[-1]

    async def _pass(self) -> Counter[Kind]:
        found: Counter[Kind] = Counter()
        async for _, kind in self.whole(self._connection.keys.index):
            if kind is not None:
                found[kind] += 1
        return found


def _matches(kind: Kind, wanted: SessionFilter) -> bool:
    status, tenant = kind
    namespace, user, device = tenant.split(b" ")
    return (
        (wanted.status is None or wanted.status.value.encode() == status)
        and (wanted.namespace_id is None or digest(wanted.namespace_id) == namespace)
        and (wanted.user_id is None or digest(wanted.user_id) == user)
        and (wanted.device_type is None or digest(wanted.device_type) == device)
    )
