"""JSON and JSON Lines: the record as on the wire."""

import json

from hypothesis import given

from gateway.tasks.export.formats import export
from gateway.tasks.story import Story
from protocol.codec import decode_event
from protocol.version import Encoding
from tests.gateway.tasks.kit import stories


@given(stories())
def test_json_holds_every_event_as_it_was(told: Story) -> None:
    """Decoded by the protocol's own codec, they are equal, and the facts stand beside them."""
    read = json.loads(export(told, "json"))
    events = [decode_event(json.dumps(event), Encoding.JSON) for event in read["events"]]
    assert events == list(told.events)
    assert (read["session_id"], read["truncated"]) == (told.session_id, told.truncated)
    assert (read["unreadable"], read["counts"]) == (told.unreadable, dict(told.counts))
    assert read["audio"] == told.audio.to_dict()


@given(stories())
def test_json_lines_hold_one_value_a_line(told: Story) -> None:
    """The session first, then the events; text with line breaks breaks no line."""
    head, *lines = export(told, "jsonl").decode().removesuffix("\n").split("\n")
    assert json.loads(head)["type"] == "session"
    assert [decode_event(line, Encoding.JSON) for line in lines] == list(told.events)
