"""JSON and JSON Lines: all that is in the record, as on the wire."""

from collections.abc import Iterator
from typing import Any

import orjson

from gateway.tasks.export.lanes import Lane
from gateway.tasks.export.times import date
from gateway.tasks.story import Story
from protocol.codec import encode_event
from protocol.version import Encoding


def write_json(story: Story, _: frozenset[Lane]) -> Iterator[bytes]:
    """One object: the session's facts, and `events`."""
    yield orjson.dumps(_facts(story))[:-1] + b',"events":['
    for number, event in enumerate(story.events):
        yield (b"," if number else b"") + encode_event(event, Encoding.JSON)
    yield b"]}\n"


def write_jsonl(story: Story, _: frozenset[Lane]) -> Iterator[bytes]:
    """The facts, of type `session`, on the first line; then one event a line."""
    yield orjson.dumps({"type": "session", **_facts(story)}) + b"\n"
    for event in story.events:
        yield encode_event(event, Encoding.JSON) + b"\n"


def _facts(story: Story) -> dict[str, Any]:
    return {
        "session_id": story.session_id,
        "status": story.status,
        "created_at": date(story.created_at),
        "duration_s": round(story.duration_s, 6),
        "audio": story.audio.to_dict(),
        "config": story.config.to_dict(),
        "counts": dict(story.counts),
        "truncated": story.truncated,
        "unreadable": story.unreadable,
    }
