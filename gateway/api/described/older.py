"""The operations of the older tone-session routes, for clients that were written for them."""

from functools import partial
from http import HTTPStatus

from gateway.api.described import schema as s
from gateway.api.described.catalogue import ABSENT, NO_ROOM, SESSION_ID, ok
from gateway.api.described.operation import Access, Answer, Operation, Parameter
from gateway.api.legacy import HISTORY_LIMIT, MAX_HISTORY

TAG = "Older routes"
_ONE = "/session/{session_id}"

_older = partial(
    Operation,
    method="GET",
    tag=TAG,
    parameters=(SESSION_ID,),
    refusals=ABSENT,
    access=Access.LEGACY,
    deprecated=True,
)

OPERATIONS: tuple[Operation, ...] = (
    _older(
        method="POST",
        path="/session/start",
        name="legacyStart",
        summary="Begin a session",
        description="Numbers out of range are taken for the nearest in range; other fields are passed over.",
        parameters=(),
        body=s.ref("LegacyStart"),
        answers=ok("The session.", s.ref("LegacySession")),
        refusals=NO_ROOM,
    ),
    _older(
        path=_ONE,
        name="legacyShow",
        summary="See whether a session is still there",
        answers=ok("It is.", s.ref("LegacySession")),
    ),
    _older(
        method="DELETE",
        path=f"{_ONE}/end",
        name="legacyEnd",
        summary="End a session",
        answers=ok("It is over.", s.ref("LegacyEnd")),
        refusals={**ABSENT, HTTPStatus.CONFLICT: ("conflict",)},
    ),
    _older(
        path=f"{_ONE}/stream",
        name="legacyStream",
        summary="Watch a session, live only",
        answers={
            HTTPStatus.OK: Answer("Events, until the session is over.", s.STRING, ("text/event-stream",))
        },
        refusals={**ABSENT, HTTPStatus.CONFLICT: ("conflict",)},
    ),
    _older(
        path=f"{_ONE}/history",
        name="legacyHistory",
        summary="Read the latest tones",
        parameters=(
            SESSION_ID,
            Parameter("min_confidence", {**s.NUMBER, "default": 0}, "Only those as sure as that."),
            Parameter.of(HISTORY_LIMIT, f"As many at most; never more than {MAX_HISTORY:,}."),
        ),
        answers=ok(
            "Oldest first.",
            s.record({"session_id": s.STRING, "count": s.COUNT, "events": s.array(s.ref("LegacyEvent"))}),
        ),
        refusals={**ABSENT, HTTPStatus.UNPROCESSABLE_ENTITY: ("invalid_field",)},
    ),
    _older(
        path=f"{_ONE}/export",
        name="legacyExport",
        summary="Keep all that was said",
        answers={HTTPStatus.OK: Answer("A file.", s.ref("LegacyExport"), headers=("content-disposition",))},
    ),
    _older(
        path="/health",
        name="legacyHealth",
        summary="See that the process answers",
        parameters=(),
        answers=ok(
            "It does.",
            s.record({"status": s.one_of(["ok"]), "service": s.STRING, "mode": s.STRING}),
        ),
        refusals={},
        access=Access.ANYBODY,
    ),
)
