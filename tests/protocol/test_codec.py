"""Messages survive the wire in both encodings; garbage raises `ProtocolError` and nothing else."""

import inspect
import json
import math
from contextlib import suppress
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import codec, control, events
from protocol.codec import decode_control, decode_event, encode_control, encode_event
from protocol.control import CONTROLS, Configure, Control, ControlMessage, Feature, Ping, Position
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import EVENTS, Error, Event, Flow, FlowState, Pong, Tone, UnknownEvent
from protocol.version import Encoding
from tests.protocol.strategies import CONTROL_STRATEGIES, any_control, any_event, events_of

BOTH = pytest.mark.parametrize("encoding", list(Encoding))


def _tone(**given: Any) -> Tone:
    base: dict[str, Any] = {
        "seq": 1,
        "session_id": "s",
        "timestamp": 1.0,
        "start_sample": 0,
        "end_sample": 16_000,
        "label": "Calm",
        "confidence": 0.5,
    }
    return Tone(**{**base, **given})


def _parsed(event: Event, encoding: Encoding) -> dict[str, Any]:
    data = encode_event(event, encoding)
    found: dict[str, Any] = orjson.loads(data) if encoding is Encoding.JSON else msgpack.unpackb(data)
    return found


def _code(data: bytes | str) -> tuple[ErrorCode, str | None]:
    with pytest.raises(ProtocolError) as refused:
        decode_control(data)
    return refused.value.code, refused.value.param


def _concrete(module: Any, base: type) -> set[type]:
    return {
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, base) and isinstance(getattr(cls, "type", None), str)
    }


def test_every_event_class_is_known_to_the_codec() -> None:
    """A class added to events.py can't be forgotten in EVENTS."""
    assert _concrete(events, Event) == set(EVENTS.values())


def test_every_control_class_is_known_to_the_codec_and_the_strategies() -> None:
    """A class added to control.py can't be forgotten in CONTROLS, nor skip the round trip here."""
    assert _concrete(control, Control) == set(CONTROLS.values()) == set(CONTROL_STRATEGIES)


@BOTH
@pytest.mark.parametrize("cls", list(EVENTS.values()), ids=list(EVENTS))
def test_events_round_trip(cls: type[Event], encoding: Encoding) -> None:
    """Every event class comes back equal, `extra` included."""

    @given(events_of(cls))
    @settings(max_examples=25, deadline=None)
    def check(event: Event) -> None:
        assert decode_event(encode_event(event, encoding), encoding) == event

    check()


@given(any_control())
def test_controls_round_trip(message: ControlMessage) -> None:
    """Every control message comes back equal, as text and as bytes."""
    text = encode_control(message)
    assert decode_control(text) == message == decode_control(text.encode())


@BOTH
@given(data=st.binary(max_size=200))
def test_random_bytes_raise_only_protocol_errors(encoding: Encoding, data: bytes) -> None:
    """No bytes make the event decoder fail in any other way."""
    with suppress(ProtocolError):
        decode_event(data, encoding)


@BOTH
@given(event=any_event(), at=st.integers(0, 400), byte=st.integers(0, 255))
def test_damaged_events_raise_only_protocol_errors(
    encoding: Encoding, event: Event, at: int, byte: int
) -> None:
    """One flipped byte of a valid event is an event or a ProtocolError."""
    data = bytearray(encode_event(event, encoding))
    data[at % len(data)] = byte
    with suppress(ProtocolError):
        decode_event(bytes(data), encoding)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_random_text_raises_only_protocol_errors(data: str | bytes) -> None:
    """No text makes the control decoder fail in any other way."""
    with pytest.raises(ProtocolError):
        decode_control(data)


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.sampled_from(sorted(CONTROLS)),
    st.dictionaries(
        st.sampled_from(["sample", "seq", "t", "id", "hop_ms", "features", "language", "x"]),
        _JSON_VALUES,
        max_size=4,
    ),
)
def test_any_fields_give_a_valid_message_or_a_protocol_error(kind: str, wire: dict[str, Any]) -> None:
    """Whatever stands in its fields, a control message is valid or refused, never half believed."""
    try:
        message = decode_control(json.dumps({"type": kind, **wire}))
    except ProtocolError:
        return
    assert decode_control(encode_control(message)) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"end"',
        '{"type":"end"} x',
        '{"type":"end"}{"type":"end"}',
        '{"type":NaN}',
        '{"type":"ping","t":NaN}',
        '{"type":"ping","t":Infinity}',
        '{"type":"ping","t":"\\ud800"}',
        '{"no":"type"}',
        '{"type":1}',
        '{"type":"ping","t":' + "[" * 5 + "]" * 5 + "}",
        '{"type":' + "[" * 8_000 + "]" * 8_000 + "}",
        "\udcff",
        b'{"type":"end\xff"}',
    ],
)
def test_malformed_control(text: str | bytes) -> None:
    """What is not one shallow JSON object with a type is malformed, however deep or odd."""
    assert _code(text) == (ErrorCode.MALFORMED_MESSAGE, None)


def test_too_large_control_is_refused_by_bytes() -> None:
    """The limit counts bytes, and stands at exactly 16 KiB."""
    frame = len('{"type":"ping","t":""}')
    fits = '{"type":"ping","t":"%s"}' % ("x" * (codec.MAX_CONTROL_BYTES - frame))
    assert _code(fits) == (ErrorCode.INVALID_FIELD, "t")
    assert _code(fits + " ") == (ErrorCode.MESSAGE_TOO_LARGE, None)
    assert _code('"' + "é" * 9_000 + '"') == (ErrorCode.MESSAGE_TOO_LARGE, None)


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ('{"type":"end","now":1}', "now"),
        ('{"type":"position"}', "sample"),
        ('{"type":"position","sample":null}', "sample"),
        ('{"type":"position","sample":true}', "sample"),
        ('{"type":"position","sample":1.0}', "sample"),
        ('{"type":"position","sample":"1"}', "sample"),
        ('{"type":"position","sample":-1}', "sample"),
        ('{"type":"position","sample":9007199254740992}', "sample"),
        ('{"type":"position","sample":' + "9" * 400 + "}", None),
        ('{"type":"position","sample":99999999999999999999}', "sample"),
        ('{"type":"ack","seq":-1}', "seq"),
        ('{"type":"ping","t":[1]}', "t"),
        ('{"type":"ping","t":true}', "t"),
        ('{"type":"flush","id":1.5}', "id"),
        ('{"type":"flush","id":"' + "x" * 129 + '"}', "id"),
        ('{"type":"configure","hop_ms":99}', "hop_ms"),
        ('{"type":"configure","window_ms":199}', "window_ms"),
        ('{"type":"configure","window_ms":5001}', "window_ms"),
        ('{"type":"configure","elcor":1}', "elcor"),
        ('{"type":"configure","language":"not a tag"}', "language"),
        ('{"type":"configure","language":"en\\n"}', "language"),
        ('{"type":"configure","num_speakers":9}', "num_speakers"),
        ('{"type":"configure","min_confidence":1.01}', "min_confidence"),
        ('{"type":"configure","min_confidence":true}', "min_confidence"),
        ('{"type":"configure","features":"tone"}', "features"),
        ('{"type":"configure","features":["mood"]}', "features"),
        ('{"type":"configure","features":[["tone"]]}', "features"),
        ('{"type":"configure","delivery":"best"}', "delivery"),
    ],
)
def test_wrong_fields_are_named(text: str, param: str | None) -> None:
    """A wrong, missing or unknown field is refused by name; numbers beyond any float are malformed JSON."""
    expected = ErrorCode.INVALID_FIELD if param else ErrorCode.MALFORMED_MESSAGE
    assert _code(text) == (expected, param)


def test_unknown_control_type() -> None:
    """An unknown type is told by name, and a long one is cut."""
    assert _code('{"type":"dance"}') == (ErrorCode.UNKNOWN_MESSAGE, "dance")
    assert _code('{"type":"%s"}' % ("x" * 500)) == (ErrorCode.UNKNOWN_MESSAGE, "x" * 64)


def test_of_repeated_keys_the_last_counts() -> None:
    """Duplicate keys are harmless and have one meaning."""
    assert decode_control('{"type":"end","type":"position","sample":1,"sample":2}') == Position(2)


def test_null_leaves_a_setting_as_it_is() -> None:
    """In `configure` null is the same as absent."""
    assert decode_control('{"type":"configure","language":null,"hop_ms":200}') == Configure(hop_ms=200)


def test_features_are_written_in_their_fixed_order() -> None:
    """A set has no order, its bytes have."""
    text = encode_control(Configure(features=frozenset({Feature.ACCENT, Feature.TONE, Feature.QUEUE})))
    assert text == '{"type":"configure","features":["tone","queue","accent"]}'


@BOTH
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_non_finite_numbers_never_leave(encoding: Encoding, number: float) -> None:
    """They become null, in declared fields and inside `extra`; the rest is unharmed."""
    wire = _parsed(_tone(arousal=number, extra={"deep": [{"er": number}]}, valence=0.25), encoding)
    assert wire["arousal"] is None
    assert wire["deep"] == [{"er": None}]
    assert wire["valence"] == 0.25


@BOTH
def test_what_no_encoding_can_write_is_made_writable(encoding: Encoding) -> None:
    """Lone surrogates, numpy scalars, huge integers, bytes and bottomless nesting still leave as an event."""
    bottomless: list[Any] = []
    bottomless.append(bottomless)
    extra = {
        "n": np.float32(0.5),
        "i": 2**70,
        "huge": 10**400,
        "b": b"x",
        "s": {3},
        4: "k",
        "down": bottomless,
    }
    event = _tone(label="a\udcffb", confidence=np.float32(0.25), seq=np.int64(3), extra=extra)
    wire = _parsed(event, encoding)
    assert (wire["label"], wire["confidence"], wire["seq"]) == ("a?b", 0.25, 3)
    assert (wire["n"], wire["i"], wire["huge"], wire["b"]) == (0.5, float(2**70), None, None)
    assert (wire["s"], wire["4"]) == ([3], "k")
    assert decode_event(encode_event(event, encoding), encoding).__class__ is Tone


@BOTH
def test_extra_never_overrides_a_declared_key(encoding: Encoding) -> None:
    """A sidecar can't forge the type, the number or a label, not even one that is null."""
    wire = _parsed(_tone(extra={"type": "error", "seq": 99, "valence": 0.9, "new": 1}), encoding)
    assert (wire["type"], wire["seq"], wire["valence"], wire["new"]) == ("tone", 1, None, 1)


@BOTH
def test_oversize_extra_is_left_out(encoding: Encoding) -> None:
    """A sidecar's flood can't keep an event from leaving."""
    assert decode_event(encode_event(_tone(extra={"x": "y" * 70_000}), encoding), encoding) == _tone()


@BOTH
def test_an_event_too_large_by_itself_is_our_own_fault(encoding: Encoding) -> None:
    """It is `internal`, never sent."""
    with pytest.raises(ProtocolError) as refused:
        encode_event(_tone(subtext="y" * 70_000), encoding)
    assert refused.value.code is ErrorCode.INTERNAL


def test_a_reused_packer_is_clean_after_a_failure() -> None:
    """An event that failed to pack leaves nothing in the bytes of the next one."""
    before = encode_event(_tone(), Encoding.MSGPACK)
    encode_event(_tone(subtext="\udcff"), Encoding.MSGPACK)
    assert encode_event(_tone(), Encoding.MSGPACK) == before


@BOTH
def test_unknown_events_are_kept_whole(encoding: Encoding) -> None:
    """A type of a later version is not an error, and its number is still seen."""
    wire = {"type": "mood", "seq": 7, "hue": [1, 2]}
    data = orjson.dumps(wire) if encoding is Encoding.JSON else msgpack.packb(wire)
    event = decode_event(data, encoding)
    assert event == UnknownEvent("mood", {"seq": 7, "hue": [1, 2]})
    assert isinstance(event, UnknownEvent)
    assert event.seq == 7
    assert UnknownEvent("mood", {}).seq is None


def test_an_unknown_label_is_an_unknown_event() -> None:
    """A closed vocabulary that grew doesn't end an old client's connection."""
    wire = orjson.loads(encode_event(Flow(**_FLOW), Encoding.JSON)) | {"state": "gliding"}
    event = decode_event(orjson.dumps(wire), Encoding.JSON)
    assert isinstance(event, UnknownEvent)
    assert event.fields["state"] == "gliding"


_FLOW: dict[str, Any] = {
    "received": 1,
    "classified": 1,
    "limit": None,
    "lag_ms": 0.0,
    "dropped_ms": 0.0,
    "state": FlowState.OK,
}


def test_unknown_fields_are_passed_over() -> None:
    """A class without `extra` ignores what a later version added."""
    assert decode_event(b'{"type":"pong","t":1,"since":2}', Encoding.JSON) == Pong(t=1)


def test_absent_fields_take_their_defaults() -> None:
    """An older server may leave out what has a default."""
    assert decode_event(b'{"type":"error","code":"new","message":"m"}', Encoding.JSON) == Error(
        code="new", message="m"
    )


@pytest.mark.parametrize(
    ("wire", "param"),
    [
        ({"type": "flow"}, None),
        ({"type": "gap", "seq": True}, "seq"),
        ({"type": "gap", "seq": 1.0}, "seq"),
        ({"type": "gap", "timestamp": "1"}, "timestamp"),
        ({"type": "tone", "confidence": True}, "confidence"),
        ({"type": "tone", "prosody_flags": "fast"}, "prosody_flags"),
        ({"type": "tone", "prosody_flags": [1]}, "prosody_flags"),
        ({"type": "summary", "events": {"tone": "3"}}, "events"),
        ({"type": "summary", "events": []}, "events"),
        ({"type": "transcript", "words": [{"text": "x"}]}, "words"),
        ({"type": "welcome", "audio": {"sample_rate": 1}}, "audio"),
        ({"type": "welcome", "audio": 1}, "audio"),
        ({"type": "flow", "state": 1}, "state"),
        ({"type": "pong", "t": [1]}, "t"),
    ],
)
def test_events_with_wrong_fields_are_malformed(wire: dict[str, Any], param: str | None) -> None:
    """A wrong type in a declared field is told by name, not passed on."""
    with pytest.raises(ProtocolError) as refused:
        decode_event(orjson.dumps(wire), Encoding.JSON)
    assert refused.value.code is ErrorCode.MALFORMED_MESSAGE
    assert param is None or refused.value.param == param


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        b"\x90",
        msgpack.packb({"type": "pong"}) + b"\x00",
        msgpack.packb({"type": "pong"})[:-1],
        msgpack.packb({"type": "pong", 1: 2}),
        msgpack.packb({1: 2}),
        msgpack.packb({"no": "type"}),
        msgpack.packb({"type": "pong", "t": b"bin"}),
        msgpack.packb({"type": "pong", "t": math.nan}),
        msgpack.packb({"type": "pong", "x": math.inf}),
        msgpack.packb({"type": "pong", "x": msgpack.ExtType(5, b"x")}),
        msgpack.packb({"type": "pong", "x": msgpack.Timestamp(1)}),
        msgpack.packb({"type": "pong", "x": _nested(8)}),
        b"\x81\xa1x" + b"\x91" * 60_000 + b"\x01",
        b"\x81\xa1x\xdf\xff\xff\xff\xff",
        b"\x81\xa4type\xa2\xff\xff",
        "text",
    ],
)
def test_hostile_msgpack(data: bytes | str) -> None:
    """Cut, trailing, extended, non-finite, binary, deep or lying msgpack is malformed."""
    with pytest.raises(ProtocolError) as refused:
        decode_event(data, Encoding.MSGPACK)
    assert refused.value.code is ErrorCode.MALFORMED_MESSAGE


@BOTH
def test_depth_and_size_limits_stand_exactly(encoding: Encoding) -> None:
    """Eight levels and 64 KiB pass; one more of either does not."""

    def write(value: Any) -> bytes:
        wire = {"type": "later", "x": value}
        data: bytes = orjson.dumps(wire) if encoding is Encoding.JSON else msgpack.packb(wire)
        return data

    def fill(size: int) -> bytes:
        return write("x" * (size - len(write("x" * 65_000)) + 65_000))

    decode_event(write(_nested(7)), encoding)
    decode_event(fill(codec.MAX_MESSAGE_BYTES), encoding)
    with pytest.raises(ProtocolError, match="deep"):
        decode_event(write(_nested(8)), encoding)
    with pytest.raises(ProtocolError) as refused:
        decode_event(fill(codec.MAX_MESSAGE_BYTES + 1), encoding)
    assert refused.value.code is ErrorCode.MESSAGE_TOO_LARGE


def test_bytes_that_look_like_nan_are_written_unharmed() -> None:
    """The search for NaN may be fooled by other values; they still arrive as they were."""
    event = _tone(start_sample=0xCB7FF800, end_sample=0xCBFFF0)
    assert decode_event(encode_event(event, Encoding.MSGPACK), Encoding.MSGPACK) == event


def test_ping_repeats_any_reply_token() -> None:
    """What `ping` carries comes back from its text unchanged in type."""
    for t in (0, -1, 1.5, "x", None):
        found = decode_control(encode_control(Ping(t)))
        assert isinstance(found, Ping)
        assert found.t == t
        assert type(found.t) is type(t)
