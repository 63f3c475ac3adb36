"""The description for machines is AsyncAPI 3.0, whole, and says of every message what is true of it."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft7Validator

from protocol import asyncapi
from protocol.close import CloseCode
from protocol.codec import decode_control, encode_control, encode_event
from protocol.control import CONTROLS, ControlMessage
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import EVENTS, Event
from protocol.states import TRANSITIONS
from protocol.version import SUBPROTOCOLS, Encoding
from tests.protocol.asyncapi_shape import SHAPE
from tests.protocol.strategies import any_control, any_event
from tests.vectors.regenerate import HERE

DOCUMENT: dict[str, Any] = asyncapi.document("1.2.3") | {
    "servers": {"gateway": asyncapi.server("voice.example", secure=True, keyed=True)}
}
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]


def follow(reference: str) -> Any:
    """What a `$ref` leads to."""
    found: Any = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within `value`."""
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(one)


def checker(kind: str) -> Draft7Validator:
    """What decides whether a message of that kind is as described."""
    return Draft7Validator({**MESSAGES[kind]["payload"], "components": DOCUMENT["components"]})


CHECKERS = {kind: checker(kind) for kind in MESSAGES}
VECTORS = [
    *json.loads((HERE / "events.json").read_text(encoding="utf-8")),
    *json.loads((HERE / "controls.json").read_text(encoding="utf-8")),
]


def test_it_is_asyncapi() -> None:
    """Each object has the fields that AsyncAPI 3.0 gives it, and no others."""
    assert list(Draft7Validator(SHAPE).iter_errors(DOCUMENT)) == []


@pytest.mark.parametrize(
    "path", [("info", "colour"), ("channels", "voice", "adress"), ("operations", "ping", "send")]
)
def test_what_is_no_asyncapi_would_show(path: tuple[str, ...]) -> None:
    """The check above is one that can fail."""
    wrong = copy.deepcopy(DOCUMENT)
    place = wrong
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = "?"
    assert not Draft7Validator(SHAPE).is_valid(wrong)


def test_every_reference_leads_somewhere() -> None:
    """A renamed schema, message or server can't leave a reference behind."""
    references = [one["$ref"] for one in parts(DOCUMENT) if isinstance(one.get("$ref"), str)]
    assert len(references) > 50
    for one in references:
        assert isinstance(follow(one), dict)


def test_every_schema_is_one() -> None:
    """Also by the rules of JSON Schema itself."""
    bindings = DOCUMENT["channels"]["voice"]["bindings"]["ws"]
    payloads = [one["payload"] for one in MESSAGES.values()]
    for schema in (*payloads, *DOCUMENT["components"]["schemas"].values(), *bindings.values()):
        if isinstance(schema, dict):
            Draft7Validator.check_schema(schema)


def test_every_message_is_in_it() -> None:
    """A new class can't be forgotten: in the messages, on the channel, and in an operation."""
    kinds = {"audio", *EVENTS, *CONTROLS}
    assert set(MESSAGES) == set(DOCUMENT["channels"]["voice"]["messages"]) == kinds
    operations = DOCUMENT["operations"].values()
    for action, expected in (("send", set(EVENTS)), ("receive", {"audio", *CONTROLS})):
        told = [one["$ref"] for op in operations if op["action"] == action for one in op["messages"]]
        assert {one.rpartition("/")[2] for one in told} == expected
        assert len(told) == len(expected)


def test_every_field_has_its_meaning() -> None:
    """Units stand in the descriptions, so none may be empty."""
    for kind in (*EVENTS, *CONTROLS):
        for name, schema in MESSAGES[kind]["payload"]["properties"].items():
            assert name == "type" or schema["description"], f"{kind}.{name}"
    assert "Milliseconds" in MESSAGES["flow"]["payload"]["properties"]["lag_ms"]["description"]


def test_codes_states_and_subprotocols_are_all_there() -> None:
    """The tables of the protocol page are in the extensions, whole."""
    assert [one["code"] for one in DOCUMENT["x-close-codes"]] == [code.value for code in CloseCode]
    assert [one["code"] for one in DOCUMENT["x-error-codes"]] == [code.value for code in ErrorCode]
    assert set(DOCUMENT["channels"]["voice"]["x-subprotocols"]) == set(SUBPROTOCOLS)
    steps = {name: state["on"] for name, state in DOCUMENT["x-states"]["states"].items()}
    assert steps == {
        state.value: {
            given.value: following.value for (of, given), following in TRANSITIONS.items() if of is state
        }
        for state in {of for of, _ in TRANSITIONS}
    }


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_golden_messages_are_as_described(vector: dict[str, Any]) -> None:
    """The bytes that other languages test against fit their schemas."""
    assert list(CHECKERS[vector["fields"]["type"]].iter_errors(vector["fields"])) == []


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_without_one_of_its_keys_is_none(kind: str) -> None:
    """Every declared key is always on the wire, and the schema says so."""
    vector = next(one["fields"] for one in VECTORS if one["fields"]["type"] == kind)
    declared = MESSAGES[kind]["payload"]["properties"]
    for name in declared:
        without = {key: value for key, value in vector.items() if key != name}
        assert not CHECKERS[kind].is_valid(without), name
    assert CHECKERS[kind].is_valid({**vector, "of_a_later_version": [1]})


@given(any_event())
def test_whatever_is_sent_is_as_described(event: Event) -> None:
    """Any event that the gateway can make, with whatever a sidecar added."""
    CHECKERS[event.type].validate(json.loads(encode_event(event, Encoding.JSON)))


@given(any_control())
def test_whatever_a_client_may_send_is_as_described(message: ControlMessage) -> None:
    """Any valid control message."""
    CHECKERS[message.type].validate(json.loads(encode_control(message)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "configure", "tempo": 1},
        {"type": "configure", "hop_ms": 99},
        {"type": "configure", "window_ms": 5_001},
        {"type": "configure", "hop_ms": "500"},
        {"type": "configure", "elcor": 1},
        {"type": "configure", "language": "english, please"},
        {"type": "configure", "language": "en" + "-abcdefgh" * 4},
        {"type": "configure", "num_speakers": 9},
        {"type": "configure", "min_confidence": 1.5},
        {"type": "configure", "features": "tone"},
        {"type": "configure", "features": ["smell"]},
        {"type": "configure", "delivery": "tomorrow"},
        {"type": "position"},
        {"type": "position", "sample": None},
        {"type": "position", "sample": -1},
        {"type": "position", "sample": 2**53},
        {"type": "flush", "id": 1.5},
        {"type": "flush", "id": "x" * 129},
        {"type": "flush", "id": 2**53},
        {"type": "ack", "seq": True},
        {"type": "ack"},
        {"type": "ping", "t": []},
        {"type": "ping", "t": "x" * 129},
        {"type": "end", "why": "done"},
    ],
    ids=json.dumps,
)
def test_what_is_refused_is_not_as_described(wrong: dict[str, Any]) -> None:
    """The gateway and the schema say no to the same mistakes."""
    assert not CHECKERS[wrong["type"]].is_valid(wrong)
    with pytest.raises(ProtocolError):
        decode_control(json.dumps(wrong))


def test_a_reply_is_what_answers() -> None:
    """Who asks is told where its answer comes from, or that it was refused."""
    for name in CONTROLS:
        reply = DOCUMENT["operations"][name].get("reply", {"messages": []})
        kinds = [one["$ref"].rpartition("/")[2] for one in reply["messages"]]
        expected = {"configure": "configured", "flush": "flushed", "ping": "pong", "end": "summary"}
        assert kinds == ([expected[name], "error"] if name in expected else [])


@pytest.mark.parametrize(("secure", "keyed"), [(False, False), (True, True)])
def test_where_to_connect(secure: bool, keyed: bool) -> None:
    """Credentials are named where they are needed only."""
    server = asyncapi.server("voice.example:8522", secure=secure, keyed=keyed)
    assert server["host"] == "voice.example:8522"
    assert server["protocol"] == ("wss" if secure else "ws")
    assert ("security" in server) is keyed
