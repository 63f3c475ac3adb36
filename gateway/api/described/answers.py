"""What is answered: the document's named schemas."""

from gateway.api.described import bodies
from gateway.api.described import schema as s
from gateway.api.described.schema import Schema
from gateway.api.legacy_words import RUNNING, STOPPED, TIER
from gateway.sessions.model import Status
from gateway.sessions.tickets import Role
from gateway.tasks.model import State
from gateway.tasks.recipes import TYPES
from protocol.control import MAX_SPEAKERS

_OPTIONAL_NAME = s.nullable(s.STRING)


def components() -> dict[str, Schema]:
    """Every named schema."""
    return {
        "NewSession": bodies.new_session(),
        "NewCheckpoint": bodies.checkpoint(),
        "NewTicket": bodies.ticket(),
        "NewTask": bodies.task(),
        "LegacyStart": bodies.legacy_start(),
        "Problem": _problem(),
        "Audio": s.record(bodies.AUDIO),
        "Session": _session(),
        "WholeSession": {"allOf": [s.ref("Session"), s.record(_LONG)]},
        "CreatedSession": {"allOf": [s.ref("WholeSession"), s.record({"ticket": s.STRING})]},
        "Checkpoint": _checkpoint(),
        "Ticket": s.record({"ticket": s.STRING, "role": s.one_of(Role), "expires_in_s": s.NUMBER}),
        "Task": _task(),
        "Event": s.record({"type": s.STRING, "seq": s.COUNT, "session_id": s.STRING}),
        **_legacy(),
    }


_LONG: dict[str, Schema] = {
    "metadata": s.ANYTHING,
    "context": s.ANYTHING,
    "checkpoints": s.array(s.ref("Checkpoint")),
}


def _problem() -> Schema:
    properties = {
        "type": s.STRING,
        "title": s.STRING,
        "status": s.WHOLE,
        "code": s.told(s.STRING, "Stable: made for programs."),
        "detail": s.told(s.STRING, "Made for people; its words may change."),
        "param": s.told(s.STRING, "The field or parameter that can't be taken."),
        "pointer": s.told(s.STRING, "Where in the body it stands (RFC 6901)."),
    }
    known = s.record(properties, ["type", "title", "status", "code", "detail"])
    return s.told(known, "A problem document (RFC 9457).")


def _session() -> Schema:
    config = {**bodies.CONFIG, "num_speakers": s.whole(1, MAX_SPEAKERS)}
    for name in ("language", "num_speakers"):
        config[name] = s.nullable(config[name])
    return s.record(
        {
            "id": s.STRING,
            "namespace_id": _OPTIONAL_NAME,
            "user_id": _OPTIONAL_NAME,
            "device_type": _OPTIONAL_NAME,
            "client_version": _OPTIONAL_NAME,
            "status": s.one_of(Status),
            "created_at": s.INSTANT,
            "expires_at": s.INSTANT,
            "heartbeat_at": s.nullable(s.INSTANT),
            "websocket_url": s.STRING,
            "events_url": s.STRING,
            "audio": s.ref("Audio"),
            **config,
        }
    )


def _checkpoint() -> Schema:
    return s.record(
        {
            "name": s.STRING,
            "at": s.INSTANT,
            "sample": s.nullable(s.COUNT),
            "data": s.nullable(s.ANYTHING),
        }
    )


def _task() -> Schema:
    return s.record(
        {
            "id": s.STRING,
            "session_id": s.STRING,
            "type": s.one_of(TYPES),
            "options": s.ANYTHING,
            "state": s.one_of(State),
            "created_at": s.INSTANT,
            "updated_at": s.INSTANT,
            "progress": s.number(0, 1),
            "result_available": s.BOOLEAN,
            "error_message": s.nullable(s.STRING),
        }
    )


def _legacy() -> dict[str, Schema]:
    event = {
        "event_type": s.STRING,
        "label": s.STRING,
        "confidence": s.nullable(s.NUMBER),
        "timestamp": s.NUMBER,
        "session_id": s.STRING,
        "prosody_flags": s.array(s.STRING),
    }
    return {
        "LegacySession": s.record(
            {
                "session_id": s.STRING,
                "state": s.one_of([RUNNING]),
                "elcor": s.BOOLEAN,
                "tier": s.one_of([TIER]),
            }
        ),
        "LegacyEnd": s.record({"session_id": s.STRING, "state": s.one_of([STOPPED])}),
        "LegacyEvent": s.record(event),
        "LegacyExport": s.record(
            {
                "session_id": s.STRING,
                "elcor": s.BOOLEAN,
                "truncated": s.BOOLEAN,
                "events": s.array(s.ref("LegacyEvent")),
                "other_events": s.array(s.ANYTHING),
            }
        ),
    }
