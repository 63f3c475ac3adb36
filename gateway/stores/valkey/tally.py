"""How many sessions there are of each kind, read in one pass that a few questions share."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeAlias

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


class Tally:
    """Counts sessions without reading what they say: a few bytes of each."""

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

    async def _pass(self) -> Counter[Kind]:
        keys = self._connection.keys
        found: Counter[Kind] = Counter()
        after = b"-inf"
        while True:
            slice_of = (b"ZRANGE", keys.index, after, b"+inf", b"BYSCORE", b"LIMIT", b"0", b"%d" % _SLICE)
            (rows,) = await self._connection.many([(keys.index, (*slice_of, b"WITHSCORES"))])
            ids: Sequence[bytes] = rows[::2]
            asked: list[Request] = []
            for one in ids:
                key = keys.document(one.decode())
                asked.append((key, (b"HMGET", key, b"s", b"t")))
            for status, tenant in await self._connection.many(asked):
                if status is not None:
                    found[status, tenant] += 1
            if len(ids) < _SLICE:
                return found
            after = b"(" + rows[-1]


def _matches(kind: Kind, wanted: SessionFilter) -> bool:
    status, tenant = kind
    namespace, user, device = tenant.split(b" ")
    return (
        (wanted.status is None or wanted.status.value.encode() == status)
        and (wanted.namespace_id is None or digest(wanted.namespace_id) == namespace)
        and (wanted.user_id is None or digest(wanted.user_id) == user)
        and (wanted.device_type is None or digest(wanted.device_type) == device)
    )
