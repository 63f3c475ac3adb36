"""REST: sessions are made, looked at, followed up and deleted here."""

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import auth
from gateway.api.answers import iso, json_answer
from gateway.api.body import check_key_hash, new_session_from_body, read_json_object
from gateway.api.context import Gateway
from gateway.api.origin import Address
from gateway.api.problems import Problem
from gateway.api.query import WholeNumber, bad_query
from gateway.api.views import PREFIX, checkpoint_view, expires_at
from gateway.errors import NotFound, UnknownCursor
from gateway.sessions.model import Session, Status
from gateway.sessions.ports import RecordPage, SessionFilter, UnknownSession
from protocol.version import Encoding

T = TypeVar("T")

MAX_PAGE = 1_000
_SLICE = 25
"""Sessions or events written before others get their turn: a millisecond at most."""
LIST_LIMIT = WholeNumber("limit", 100, 1, MAX_PAGE)
HISTORY_LIMIT = WholeNumber("limit", MAX_PAGE, 1, MAX_PAGE)
HISTORY_AFTER = WholeNumber("after", 0, 0, 2**53)
"""The `seq` of the last event that is known already."""


class SessionRoutes:
    """The handlers of `/api/v1/sessions`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._page = asyncio.Lock()
        """One page is written at a time, however many are asked for: live audio comes between its slices."""

    async def create(self, request: Request) -> Response:
        """`POST`: a new session, and how to reach it."""
        if auth.bearer(request.scope) is not None:
            await auth.caller(self._gateway, request.scope)  # before a stranger's body is read
        given = await read_json_object(request)
        check_key_hash(given)
        who = await auth.creator(self._gateway, request.scope, given)
        wanted = new_session_from_body(given)
        try:
            created = await auth.create(self._gateway, who, wanted)
        except Problem as refusal:
            self._gateway.telemetry.refused(refusal.code)
            raise
        body = self._whole_view(request, created.session)
        body["ticket"] = created.ticket
        location = f"{PREFIX}/{created.session.id}"
        return json_answer(body, HTTPStatus.CREATED, {"location": location})

    async def show(self, request: Request) -> Response:
        """`GET` one."""
        return json_answer(self._whole_view(request, await auth.session(self._gateway, request)))

    async def list(self, request: Request) -> Response:
        """`GET` many, newest first, by `device_type`, `user_id` and `status`: those of the key's namespace.

        Without keys an id is the only protection a session has, so ids are told to this machine only.
        """
        who = await auth.caller(self._gateway, request.scope)
        if who.namespace_id is None and not self._gateway.origins.from_this_machine(request.scope):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "listing_refused",
                "without keys, sessions are listed only to clients on the gateway's own machine",
            )
        query = request.query_params
        status = query.get("status")
        if status is not None and status not in set(Status):
            raise bad_query("status", f"must be one of {', '.join(Status)}")
        wanted = SessionFilter(
            namespace_id=who.namespace_id,
            device_type=query.get("device_type", query.get("agent_type")),
            user_id=query.get("user_id"),
            status=Status(status) if status is not None else None,
        )
        limit = LIST_LIMIT.read(request)
        after = query.get("after")
        if after is not None and who.namespace_id is not None:
            await self._check_cursor(after, who.namespace_id)
        address = self._gateway.origins.address(request.scope)
        async with self._page:
            found = await self._gateway.service.list(wanted, limit=limit + 1, after=after)
            more = len(found) > limit
            page = found[:limit]
            views = await _in_slices(page, lambda session: orjson.dumps(self._view(address, session)))
        return json_answer({"sessions": views, "next": page[-1].id if more else None})

    async def delete(self, request: Request) -> Response:
        """`DELETE`: everything of the session goes at once; whoever is connected gets the summary first."""
        session = await auth.session(self._gateway, request)
        live = self._gateway.live.get(session.id)
        if live is not None:
            await live.abort()
        deleted = await self._gateway.service.delete(session.id)  # another node's by now, perhaps
        self._gateway.live.discard(session.id)
        self._gateway.live.tell_owner(deleted)
        await self._gateway.desk.forget(session.id)
        return json_answer({"status": "closed", "session_id": session.id})

    async def stats(self, request: Request) -> Response:
        """`GET …/stats`: for monitoring, nothing personal."""
        session = await auth.session(self._gateway, request)
        now = self._gateway.clock.monotonic()
        counts = await self._gateway.live.counts_now(session)
        return json_answer(
            {
                "session_id_truncated": session.id[:8],
                "status": session.status,
                "age_seconds": round(now - session.created_mono, 3),
                "pending_tasks_count": await self._gateway.desk.pending(session.id),
                "device_type": session.device_type,
                **counts,
            }
        )

    async def history(self, request: Request) -> Response:
        """`GET …/history`: the final events so far, in order, from `after` on."""
        session = await auth.session(self._gateway, request)
        after = HISTORY_AFTER.read(request)
        limit = HISTORY_LIMIT.read(request)
        try:
            page = await self._gateway.events.record(session.id, after=after, limit=limit)
        except UnknownSession:  # nobody has attached yet
            page = RecordPage((), 0, False)
        entries = page.entries
        more = bool(entries) and len(entries) == limit
        async with self._page:
            events = await _in_slices(entries, lambda entry: entry.encoded(Encoding.JSON))
        return json_answer(
            {
                "session_id": session.id,
                "events": events,
                "next_after": entries[-1].seq if more else None,
                "truncated": page.truncated,
            }
        )

    async def _check_cursor(self, after: str, namespace_id: str) -> None:
        """Another namespace's session is no place to go on from: its being there must not show."""
        try:
            await self._gateway.service.get(after, namespace=namespace_id)
        except NotFound:
            raise UnknownCursor from None

    def _whole_view(self, request: Request, session: Session) -> dict[str, Any]:
        """With what may be long, which a list leaves out."""
        return {
            **self._view(self._gateway.origins.address(request.scope), session),
            "metadata": session.metadata,
            "context": session.context,
            "checkpoints": [checkpoint_view(one) for one in session.checkpoints],
        }

    def _view(self, address: Address, session: Session) -> dict[str, Any]:
        path = f"{PREFIX}/{session.id}"
        timers = self._gateway.service.timers
        return {
            "id": session.id,
            "namespace_id": session.namespace_id,
            "user_id": session.user_id,
            "device_type": session.device_type,
            "client_version": session.client_version,
            "status": session.status,
            "created_at": iso(session.created_at),
            "expires_at": iso(expires_at(session, timers)),
            "heartbeat_at": iso(session.beat_at) if session.beat_at is not None else None,
            "websocket_url": address.websocket(f"/ws/voice?session_id={session.id}"),
            "events_url": address.http(f"{path}/events"),
            "audio": session.audio.to_dict(),
            **session.config.to_dict(),
        }


async def _in_slices(items: Sequence[T], write: Callable[[T], bytes]) -> Sequence[orjson.Fragment]:
    """Each item in JSON; others get their turn in between."""
    written = []
    for index, item in enumerate(items, start=1):
        written.append(orjson.Fragment(write(item)))
        if not index % _SLICE:
            await asyncio.sleep(0)
    return written
