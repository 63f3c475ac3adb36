"""Places under quotas: taken before a session is kept, given back when it is over.

A place and the session that has it are on two nodes of a cluster, so that one may be there without the other
for a moment, or for good where a gateway died between two steps. Those are found out when a quota is reached.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from gateway.errors import BadDocument
from gateway.sessions.model import TERMINAL, Session, Status
from gateway.sessions.ports import MAX_COUNTED, Quota, QuotaReached
from gateway.stores.valkey.connection import Request, ValkeyConnection
from gateway.stores.valkey.keys import digest
from gateway.stores.valkey.rows import session_of
from gateway.stores.valkey.tally import readable

GRACE_US: Final = 30_000_000
"""Microseconds that a place is left to a session which isn't there (yet)."""
_KEPT_S: Final = 604_800.0
"""A week (or twice as long as sessions live) without a new session, and a tenant's places are forgotten."""
_LOOKED_AT: Final = 1_000
"""Of the sessions that count, the oldest."""
_ROUNDS: Final = 50
_PAUSE_S: Final = 0.01
_ELSEWHERE: Final = b"elsewhere"
_OVER: Final = frozenset({_ELSEWHERE, *(status.value.encode() for status in TERMINAL)})
_OWNERLESS: Final = frozenset(one.value.encode() for one in (Status.CREATED, Status.DETACHED))


class Places:
    """Who counts in which quota."""

    def __init__(self, connection: ValkeyConnection, ttl_s: float) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._kept_ms = b"%d" % (max(_KEPT_S, 2 * ttl_s) * 1_000)

    def of(self, tenant: bytes) -> list[bytes]:
        """The sets in which a tenant's session counts; none for nobody's."""
        namespace, user, _ = tenant.split(b" ")
        sets = [] if namespace == user == digest(None) else [self._keys.counted(namespace, user)]
        return sets if namespace == digest(None) else [*sets, self._keys.everybody(namespace)]

    async def take(self, session: Session, tenant: bytes, quotas: Sequence[Quota]) -> list[bytes]:
        """Take a place in each set; those where it has none yet, to be given back if nothing comes of it.

        Raises:
            QuotaReached: one is full, and rightly so.
        """
        own = self.of(tenant)
        limited = [self._set_of(quota) for quota in quotas]
        if not own and not limited:
            return []
        numbers = [b"%d" % one for one in (len(own), *(quota.at_most for quota in quotas))]
        for spare in reversed(range(_ROUNDS)):
            reply = await self._connection.call(
                "reserve", [*own, *limited], session.id.encode(), *numbers, self._kept_ms
            )
            reached, now, new = reply
            if not reached:
                return [key for key, added in zip(own, new, strict=True) if added]
            await self._look(limited[reached - 1], quotas[reached - 1], now, last=not spare)
        raise AssertionError  # the last look raises

    async def give_back(self, session_id: str, places: Sequence[bytes]) -> None:
        """The session doesn't count any more in these sets."""
        await self._connection.many([(key, (b"ZREM", key, session_id.encode())) for key in places])

    async def count_again(self, session_id: str, tenant: bytes) -> None:
        """The session counts once more, quotas or not."""
        if own := self.of(tenant):
            await self._connection.call("append", own, session_id.encode())

    def _set_of(self, quota: Quota) -> bytes:
        namespace = digest(quota.namespace_id)
        if quota.everybody:
            return self._keys.everybody(namespace)
        return self._keys.counted(namespace, digest(quota.user_id))

    async def _look(self, key: bytes, quota: Quota, now: int, *, last: bool) -> None:
        """Free the places of sessions that don't count; raises QuotaReached where all of them do."""
        found = (b"ZRANGE", key, b"0", b"%d" % (_LOOKED_AT - 1), b"WITHSCORES")
        (rows,) = await self._connection.many([(key, found)])
        ids = [one.decode() for one in rows[::2]]
        statuses = await self._statuses(key, ids)
        idle = [
            one.encode()
            for one, status, taken in zip(ids, statuses, rows[1::2], strict=True)
            if status in _OVER or (status is None and now - float(taken) > GRACE_US)
        ]
        if idle:
            await self._connection.many([(key, (b"ZREM", key, *idle))])
        elif None in statuses and not last:
            # Somebody is just about to keep a session there.
            await asyncio.sleep(_PAUSE_S)
        else:
            there = [
                (status not in _OWNERLESS, one) for one, status in zip(ids, statuses, strict=True) if status
            ]
            there.sort(key=lambda one: one[0])
            raise QuotaReached(await self._sessions([one for _, one in there[:MAX_COUNTED]]), quota)

    async def _statuses(self, key: bytes, ids: Sequence[str]) -> list[bytes | None]:
        """What became of each; one that counts elsewhere is as good as over."""
        found = await self._connection.many(self._fields(ids, b"s", b"t"), apart=True)
        return [self._status(key, said) for said in found]

    def _status(self, key: bytes, said: Any) -> bytes | None:
        if isinstance(said, BadDocument):
            return _ELSEWHERE  # nobody can say what it is
        status, tenant = said
        counts = readable(tenant) and key in self.of(tenant)
        return status if counts or not status else _ELSEWHERE

    async def _sessions(self, ids: Sequence[str]) -> list[Session]:
        found: list[Session] = []
        replies = await self._connection.many(self._fields(ids, b"d", b"v"), apart=True)
        for one, said in zip(ids, replies, strict=True):
            try:
                session = session_of(one, said)
                found += [session] if session is not None else []
            except BadDocument:
                continue  # it counts, and nobody can do anything about it but the reaper
        return found

    def _fields(self, ids: Sequence[str], *fields: bytes) -> list[Request]:
        keys = [self._keys.document(one) for one in ids]
        return [(key, (b"HMGET", key, *fields)) for key in keys]
