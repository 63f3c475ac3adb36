"""Every operation that clients of today use."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

from gateway.api.described import schema as s
from gateway.api.described.operation import Access, Answer, Operation, Parameter
from gateway.api.sessions import HISTORY_AFTER, HISTORY_LIMIT, LIST_LIMIT
from gateway.api.tasks import DISPOSITIONS
from gateway.api.tasks import PREFIX as TASKS
from gateway.api.views import PREFIX
from gateway.sessions.model import Status
from gateway.sessions.notes import MAX_GIVEN
from gateway.tasks.export.formats import FORMATS
from gateway.tasks.model import State
from gateway.tasks.recipes import REPORTS

ONE = PREFIX + "/{session_id}"
TASK = TASKS + "/{task_id}"

SESSIONS, FOLLOW, BACKGROUND, RUNNING = "Sessions", "Follow a session", "Tasks", "For whoever runs it"

SESSION_ID = Parameter("session_id", s.STRING, "As the session's creation told it.", "path")
_TASK_ID = Parameter("task_id", s.STRING, "As the task's creation told it.", "path")

ABSENT = {HTTPStatus.NOT_FOUND: ("session_not_found",)}
_NO_TASK = {HTTPStatus.NOT_FOUND: ("task_not_found",)}
_INVALID = {HTTPStatus.UNPROCESSABLE_ENTITY: ("invalid_field",)}
_CHANGED = {HTTPStatus.CONFLICT: ("conflict",)}
_GONE = {HTTPStatus.GONE: ("session_closed", "session_expired")}
_LATER = {HTTPStatus.SERVICE_UNAVAILABLE: ("draining", "overloaded")}
NO_ROOM = {HTTPStatus.TOO_MANY_REQUESTS: ("session_limit",), **_LATER}

_session = partial(Operation, path=ONE, tag=SESSIONS, parameters=(SESSION_ID,), access=Access.KEY)
_follow = partial(Operation, method="GET", tag=FOLLOW, access=Access.KEY)


def ok(description: str, schema: s.Schema) -> Mapping[HTTPStatus, Answer]:
    """200 and a body in JSON."""
    return {HTTPStatus.OK: Answer(description, schema)}


def _created(description: str, schema: s.Schema, *headers: str) -> Mapping[HTTPStatus, Answer]:
    return {HTTPStatus.CREATED: Answer(description, schema, headers=headers)}


_SESSIONS = (
    Operation(
        method="POST",
        path=PREFIX,
        name="createSession",
        tag=SESSIONS,
        summary="Begin a session",
        description=(
            "The answer says where the WebSocket is, and holds a ticket for the first attach. `hop_ms` is "
            "never more than `window_ms`; without it, it is the window. Nothing has to be sent."
        ),
        body=s.ref("NewSession"),
        answers=_created("The new session.", s.ref("CreatedSession"), "location"),
        refusals=NO_ROOM,
        access=Access.KEY_OR_HASH,
    ),
    Operation(
        method="GET",
        path=PREFIX,
        name="listSessions",
        tag=SESSIONS,
        summary="List sessions, newest first",
        description="Those of the key's namespace. Without keys, only to clients on the gateway's machine.",
        parameters=(
            Parameter("status", s.one_of(Status), "Only those in this state."),
            Parameter("device_type", s.STRING, "Only those of this kind of device."),
            Parameter("agent_type", s.STRING, "The older name of `device_type`."),
            Parameter("user_id", s.STRING, "Only those of this user."),
            Parameter.of(LIST_LIMIT, "As many at most."),
            Parameter("after", s.STRING, "Go on after this id: `next` of the page before."),
        ),
        answers=ok(
            "One page. `next` is null on the last.",
            s.record({"sessions": s.array(s.ref("Session")), "next": s.nullable(s.STRING)}),
        ),
        refusals={
            HTTPStatus.FORBIDDEN: ("listing_refused",),
            HTTPStatus.CONFLICT: ("unknown_cursor",),
            **_INVALID,
        },
        access=Access.KEY,
    ),
    _session(
        method="GET",
        name="showSession",
        summary="Look at a session",
        answers=ok("The session.", s.ref("WholeSession")),
        refusals=ABSENT,
    ),
    _session(
        method="DELETE",
        name="deleteSession",
        summary="End a session and forget it at once",
        description="Whoever is connected is told the summary first.",
        answers=ok("It is gone.", s.record({"status": s.one_of([Status.CLOSED]), "session_id": s.STRING})),
        refusals={**ABSENT, **_CHANGED},
    ),
    _session(
        method="POST",
        path=f"{ONE}/tickets",
        name="createTicket",
        summary="Make a ticket for one attach",
        description="An owner's is for a session that is not over; an observer's lets in who only reads.",
        body=s.ref("NewTicket"),
        answers=_created("The ticket, told once.", s.ref("Ticket")),
        refusals={**ABSENT, **_GONE},
    ),
    _session(
        method="GET",
        path=f"{ONE}/checkpoints",
        name="listCheckpoints",
        summary="List the named moments of a session",
        answers=ok(
            "Oldest first.",
            s.record({"session_id": s.STRING, "checkpoints": s.array(s.ref("Checkpoint"))}),
        ),
        refusals=ABSENT,
    ),
    _session(
        method="POST",
        path=f"{ONE}/checkpoints",
        name="createCheckpoint",
        summary="Note this moment",
        description=f"An application may note {MAX_GIVEN} in a session.",
        body=s.ref("NewCheckpoint"),
        body_required=True,
        answers=_created("The moment, and where the audio was.", s.ref("Checkpoint")),
        refusals={**ABSENT, **_GONE, HTTPStatus.CONFLICT: ("too_many_checkpoints", "conflict")},
    ),
    _session(
        method="POST",
        path=f"{ONE}/heartbeat",
        name="heartbeat",
        summary="Say that the application is there",
        body=s.closed({}),
        answers=ok(
            "When the session will end if things stay as they are.",
            s.record(
                {
                    "session_id": s.STRING,
                    "status": s.one_of(Status),
                    "heartbeat_at": s.INSTANT,
                    "expires_at": s.INSTANT,
                }
            ),
        ),
        refusals={**ABSENT, **_GONE, **_CHANGED},
    ),
)

_FOLLOWING = (
    _follow(
        path=f"{ONE}/events",
        name="streamEvents",
        summary="Watch a session as it happens",
        description="Server-sent events (HTML Living Standard, section 9.2): what the WebSocket tells.",
        parameters=(
            SESSION_ID,
            Parameter("last_event_id", s.STRING, "As the header, for who can't set one."),
            Parameter("last-event-id", s.STRING, "Where to go on: `epoch:seq` of the last event.", "header"),
        ),
        answers={
            HTTPStatus.OK: Answer("Events, until the session is over.", s.STRING, ("text/event-stream",)),
            HTTPStatus.NO_CONTENT: Answer("The session is over and nothing is left to tell."),
        },
        refusals={**ABSENT, **_GONE, **_CHANGED},
        access=Access.KEY_OR_TICKET,
    ),
    _follow(
        path=f"{ONE}/history",
        name="showHistory",
        summary="Read the final events so far",
        parameters=(
            SESSION_ID,
            Parameter.of(HISTORY_AFTER, "The `seq` of the last event that is known already."),
            Parameter.of(HISTORY_LIMIT, "As many at most."),
        ),
        answers=ok(
            "One page, in order. `next_after` is null on the last.",
            s.record(
                {
                    "session_id": s.STRING,
                    "events": s.array(s.ref("Event")),
                    "next_after": s.nullable(s.COUNT),
                    "truncated": s.BOOLEAN,
                }
            ),
        ),
        refusals={**ABSENT, **_INVALID},
    ),
    _follow(
        path=f"{ONE}/stats",
        name="showStats",
        summary="Count what a session did",
        description="For monitoring: nothing personal.",
        parameters=(SESSION_ID,),
        answers=ok(
            "The counts.",
            s.record(
                {
                    "session_id_truncated": s.STRING,
                    "status": s.one_of(Status),
                    "age_seconds": s.NUMBER,
                    "pending_tasks_count": s.COUNT,
                    "device_type": s.nullable(s.STRING),
                    "next_sample": s.COUNT,
                    "classified_samples": s.COUNT,
                    "gap_samples": s.COUNT,
                    "client_gap_samples": s.COUNT,
                    "received_samples": s.COUNT,
                    "pending_samples": s.COUNT,
                }
            ),
        ),
        refusals=ABSENT,
    ),
)

_RESULT_TYPES = tuple(
    dict.fromkeys(
        kind.partition(";")[0]
        for kind in ["application/json", *(one.media_type for one in FORMATS.values())]
        + [kind for _, kind in REPORTS.values()]
    )
)

_task = partial(Operation, tag=BACKGROUND, parameters=(_TASK_ID,), access=Access.KEY)

_TASKS = (
    _session(
        method="POST",
        path=f"{ONE}/tasks",
        name="createTask",
        tag=BACKGROUND,
        summary="Ask for an export, a report or a summary",
        body=s.ref("NewTask"),
        body_required=True,
        answers={HTTPStatus.ACCEPTED: Answer("It is taken on.", s.ref("Task"), headers=("location",))},
        refusals={
            **ABSENT,
            HTTPStatus.TOO_MANY_REQUESTS: ("task_limit",),
            HTTPStatus.SERVICE_UNAVAILABLE: ("draining",),
        },
    ),
    _session(
        method="GET",
        path=f"{ONE}/tasks",
        name="listTasks",
        tag=BACKGROUND,
        summary="List a session's tasks",
        parameters=(SESSION_ID, Parameter("state", s.one_of(State), "Only those in this state.")),
        answers=ok("As they came.", s.record({"tasks": s.array(s.ref("Task"))})),
        refusals={**ABSENT, **_INVALID},
    ),
    _task(
        method="GET",
        path=TASK,
        name="showTask",
        summary="Look at a task",
        answers=ok("The task.", s.ref("Task")),
        refusals=_NO_TASK,
    ),
    _task(
        method="DELETE",
        path=TASK,
        name="deleteTask",
        summary="Cancel a task, or forget it with its result",
        answers=ok("Its last state.", s.ref("Task")),
        refusals=_NO_TASK,
    ),
    _task(
        method="GET",
        path=f"{TASK}/result",
        name="fetchResult",
        summary="Fetch what a task made",
        parameters=(
            _TASK_ID,
            Parameter(
                "disposition",
                {**s.one_of(DISPOSITIONS), "default": DISPOSITIONS[0]},
                "Whether a browser is to keep the file, or to show it.",
            ),
        ),
        answers={
            HTTPStatus.OK: Answer("The file.", {}, _RESULT_TYPES, ("content-disposition",)),
        },
        refusals={
            **_NO_TASK,
            **_INVALID,
            HTTPStatus.CONFLICT: ("task_not_ready",),
            HTTPStatus.TOO_MANY_REQUESTS: ("task_limit",),
        },
    ),
)

_page = partial(Operation, method="GET", tag=RUNNING, refusals={})
_PLAIN: s.Schema = s.STRING
_CHECKS = s.record({"status": s.STRING, "checks": {"type": "object", "additionalProperties": s.STRING}})

_RUNNING = (
    _page(
        path="/",
        name="showRoot",
        summary="Open the live page",
        answers={HTTPStatus.OK: Answer("A page.", _PLAIN, ("text/html",), ("etag",))},
    ),
    _page(
        path="/docs",
        name="showDocs",
        summary="Read this description as a page",
        answers={HTTPStatus.OK: Answer("A page.", _PLAIN, ("text/html",), ("etag",))},
    ),
    _page(
        path="/openapi.json",
        name="showDescription",
        summary="Fetch this description",
        answers={
            HTTPStatus.OK: Answer(
                "This document.",
                s.record({"openapi": s.STRING, "info": s.ANYTHING, "paths": s.ANYTHING}),
                headers=("etag",),
            )
        },
    ),
    _page(
        path="/healthz",
        name="showHealth",
        summary="See that the process answers",
        answers=ok("It does.", s.record({"status": s.one_of(["ok"])})),
    ),
    _page(
        path="/readyz",
        name="showReadiness",
        summary="See whether it should be sent anybody",
        answers={
            HTTPStatus.OK: Answer("It should.", _CHECKS),
            HTTPStatus.SERVICE_UNAVAILABLE: Answer("It should not, and why.", _CHECKS),
        },
    ),
    _page(
        path="/asyncapi.json",
        name="showSocketDescription",
        summary="Fetch the description of the WebSocket",
        answers={
            HTTPStatus.OK: Answer(
                "AsyncAPI 3.0.",
                s.record({"asyncapi": s.STRING, "info": s.ANYTHING, "channels": s.ANYTHING}),
            )
        },
    ),
    _page(
        path="/metrics",
        name="showMetrics",
        summary="Read the metrics",
        answers={HTTPStatus.OK: Answer("Prometheus text format.", _PLAIN, ("text/plain",))},
        refusals={HTTPStatus.MISDIRECTED_REQUEST: ("metrics_of_each",)},
    ),
)

OPERATIONS: tuple[Operation, ...] = (*_SESSIONS, *_FOLLOWING, *_TASKS, *_RUNNING)
