"""Tickets of tasks: one hash for each session, beside its document, and for each task where to look."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.errors import BadDocument, NotFound
from gateway.stores.valkey.connection import Request, ValkeyConnection
from gateway.stores.valkey.keys import safe
from gateway.tasks.model import State
from gateway.tasks.tickets import TaskTicket, Told, decode_ticket, encode_fixed

logger = logging.getLogger(__name__)

_SIGNS_OUTLIVE: Final = 7
"""So many times as long as its ticket was written for, it is known at least which session a task is of."""


class ValkeyTaskTickets:
    """Each write renews the time to live of all the session's tickets.

    A sign, which says which session a task is of, lies on another server of a cluster than the ticket: it is
    put up first. One without a ticket leads nowhere.
    """

    def __init__(self, connection: ValkeyConnection, *, ttl_s: float = 86_400.0) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._ttl = b"%d" % (ttl_s * 1_000)
        self._signs_ttl = b"%d" % (ttl_s * 1_000 * _SIGNS_OUTLIVE)

    async def add(self, ticket: TaskTicket, at_most: int) -> bool:
        if not safe(ticket.id) or not safe(ticket.node):
            raise ValueError("ids of tasks and nodes must be base64url")
        if not safe(ticket.session_id):
            raise NotFound
        sign = self._keys.task_sign(ticket.id)
        put_up = (b"SET", sign, ticket.session_id.encode(), b"PX", self._signs_ttl)
        await self._connection.many([(sign, put_up)])
        said = await self._connection.call(
            "take_task",
            [self._keys.tasks(ticket.session_id), self._keys.document(ticket.session_id)],
            ticket.id.encode(),
            encode_fixed(ticket),
            ticket.state.encode(),
            ticket.node.encode(),
            repr(ticket.updated_at).encode(),
            b"%d" % at_most,
            self._ttl,
        )
        if isinstance(said, bytes):
            await self._take_down([ticket.id.encode()])
            if said == b"gone":
                raise NotFound
            return False
        await self._take_down(said)
        return True

    async def get(self, task_id: str) -> TaskTicket | None:
        if not safe(task_id):
            return None
        sign = self._keys.task_sign(task_id)
        (session,) = await self._connection.many([(sign, (b"GET", sign))])
        if session is None:
            return None
        session_id = session.decode()
        key, name = self._keys.tasks(session_id), task_id.encode()
        (kept,) = await self._connection.many([(key, (b"HMGET", key, b"d:" + name, b"s:" + name))])
        return None if None in kept else _ticket(session_id, task_id, *kept)

    async def list(self, session_id: str) -> Sequence[TaskTicket]:
        if not safe(session_id):
            return []
        key = self._keys.tasks(session_id)
        (kept,) = await self._connection.many([(key, (b"HGETALL", key))])
        fields = dict(zip(kept[::2], kept[1::2], strict=True))
        found: list[tuple[int, TaskTicket]] = []
        for field, said in fields.items():
            if not field.startswith(b"s:"):
                continue
            try:
                ticket = _ticket(session_id, field[2:].decode(), fields[b"d:" + field[2:]], said)
            except BadDocument:
                logger.warning("a task's ticket can't be read", extra={"session_id": session_id[:8]})
            else:
                found.append((int(said.partition(b"|")[0]), ticket))
        return [ticket for _, ticket in sorted(found, key=lambda one: one[0])]

    async def move(
        self, session_id: str, task_id: str, node: str, state: State, at: float, error_message: str | None
    ) -> Told:
        if not safe(session_id):
            return Told.GONE
        said = await self._connection.call(
            "move_task",
            [self._keys.tasks(session_id)],
            task_id.encode(),
            node.encode(),
            state.encode(),
            repr(at).encode(),
            (error_message or "").encode(),
            self._ttl,
        )
        return Told(said.decode())

    async def adopt(self, ticket: TaskTicket, node: str, at: float) -> bool:
        if not safe(node):
            raise ValueError("a node's id must be base64url")
        if not safe(ticket.session_id):
            return False
        adopted = await self._connection.call(
            "adopt_task",
            [self._keys.tasks(ticket.session_id)],
            ticket.id.encode(),
            ticket.node.encode(),
            ticket.state.encode(),
            node.encode(),
            State.QUEUED.encode(),
            repr(at).encode(),
            self._ttl,
        )
        return bool(adopted)

    async def remove(self, session_id: str, task_id: str) -> bool:
        if not safe(session_id) or not safe(task_id):
            return False
        key, name = self._keys.tasks(session_id), task_id.encode()
        (went,) = await self._connection.many([(key, (b"HDEL", key, b"s:" + name, b"d:" + name))])
        if went:
            await self._take_down([name])
        return bool(went)

    async def discard(self, session_id: str) -> None:
        if safe(session_id):
            ids = await self._connection.call("discard_tasks", [self._keys.tasks(session_id)])
            await self._take_down(ids)

    async def there(self, session_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
        asked = [one for one in session_ids if safe(one)]
        keys = [self._keys.tasks(one) for one in asked]
        replies = await self._connection.many([(key, (b"HKEYS", key)) for key in keys])
        return {
            session_id: frozenset(field[2:].decode() for field in fields if field.startswith(b"s:"))
            for session_id, fields in zip(asked, replies, strict=True)
        }

    async def _take_down(self, ids: Sequence[bytes]) -> None:
        signs = [self._keys.task_sign(one.decode()) for one in ids]
        requests: list[Request] = [(sign, (b"DEL", sign)) for sign in signs]
        if requests:
            await self._connection.many(requests)


def _ticket(session_id: str, task_id: str, fixed: bytes, said: bytes) -> TaskTicket:
    _, state, node, at, message = said.decode().split("|", 4)
    known: dict[str, Any] = {"node": node, "state": state, "updated_at": float(at)}
    return decode_ticket(task_id, session_id, fixed, **known, error_message=message or None)
