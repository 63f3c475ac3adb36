"""What a client's application has to say about a session of its own: tickets, checkpoints, heartbeats."""

import re
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.api import auth
from gateway.api.answers import iso, json_answer
from gateway.api.body import MAX_NOTE_BYTES, invalid, kept_object, read_json_object, refuse_unknown
from gateway.api.context import Gateway
from gateway.api.views import checkpoint_view, expires_at
from gateway.errors import SessionGone
from gateway.sessions.notes import Milestone
from gateway.sessions.tickets import Role
from protocol import checks

CHECKPOINT_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\Z")
CHECKPOINT_FIELDS = ("name", "data")
TICKET_FIELDS = ("role",)


class NoteRoutes:
    """The handlers of what is posted to a session."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def ticket(self, request: Request) -> Response:
        """`POST …/tickets {role}`: a ticket for one attach; a page that was loaded again goes on with it.

        One for an observer opens event streams and sockets that read. One for an owner is for a session that
        is not over.
        """
        await auth.session(self._gateway, request)
        given = await read_json_object(request)
        refuse_unknown(given, TICKET_FIELDS)
        role = checks.member("role", given.get("role", Role.OWNER), Role)
        session = await auth.session(self._gateway, request)  # a body may take its time
        if session.over and role is Role.OWNER:
            raise SessionGone(session.status)
        ticket = await self._gateway.service.ticket(session.id, role)
        expires_in_s = self._gateway.service.timers.ticket_ttl_s
        return json_answer({"ticket": ticket, "role": role, "expires_in_s": expires_in_s}, HTTPStatus.CREATED)

    async def checkpoints(self, request: Request) -> Response:
        """`GET …/checkpoints`: those of the gateway and those of the application, oldest first."""
        session = await auth.session(self._gateway, request)
        points = [checkpoint_view(one) for one in session.checkpoints]
        return json_answer({"session_id": session.id, "checkpoints": points})

    async def checkpoint(self, request: Request) -> Response:
        """`POST …/checkpoints {name, data}`: note this moment, and where the audio is."""
        session = await auth.session(self._gateway, request)
        name, data = _checkpoint(await read_json_object(request))
        live = self._gateway.live.get(session.id)
        sample = live.pipeline.ledger.next_sample if live is not None else None
        made = await self._gateway.service.notes.mark(session.id, name, data, sample)
        return json_answer(checkpoint_view(made), HTTPStatus.CREATED)

    async def heartbeat(self, request: Request) -> Response:
        """`POST …/heartbeat`: the application is there. Where a socket is attached it counts as life."""
        session = await auth.session(self._gateway, request)
        refuse_unknown(await read_json_object(request), ())
        session = await self._gateway.service.notes.beat(session.id)
        assert session.beat_at is not None
        return json_answer(
            {
                "session_id": session.id,
                "status": session.status,
                "heartbeat_at": iso(session.beat_at),
                "expires_at": iso(expires_at(session, self._gateway.service.timers)),
            }
        )


def _checkpoint(given: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    refuse_unknown(given, CHECKPOINT_FIELDS)
    name, data = given.get("name"), given.get("data")
    if not isinstance(name, str) or not CHECKPOINT_NAME.match(name):
        raise invalid("name", "must be 1 to 64 characters of a-z, 0-9, `_`, `.` and `-`")
    if name in set(Milestone):
        raise invalid("name", "must not be one that the gateway sets by itself")
    return name, kept_object("data", data, MAX_NOTE_BYTES) if data is not None else None
