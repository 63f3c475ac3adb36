"""Our events in the older clients' words, and their requests in ours."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.legacy_words import KINDS, flat, flattened, service_state, session_config, sse
from gateway.sessions.ports import Entry, Recorded
from protocol.codec import encode_event
from protocol.control import SessionConfig
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import (
    EVENTS,
    Accent,
    DurableEvent,
    Service,
    ServiceStatus,
    Tone,
    Transcript,
)
from protocol.version import Encoding
from tests.protocol.strategies import PLAIN, events_of

OLDER_KEYS = {
    "event_type",
    "label",
    "confidence",
    "speaker_id",
    "shift_magnitude",
    "timestamp",
    "session_id",
    "subtext",
    "affect",
    "shift_direction",
    "prosody_flags",
}
DURABLE = sorted(kind for kind, cls in EVENTS.items() if cls.durable)
PAGE = Path(__file__).parents[3] / "docs" / "legacy.md"
FIELDS = ("elcor", "window_ms", "transcribe_lang", "num_speakers")


def entry(event: Any) -> Entry:
    return Entry(event.seq, event.type, True, event.timestamp, 0.0, event)


def wire_of(event: DurableEvent) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(encode_event(event, Encoding.JSON))
    return found


@given(st.sampled_from(DURABLE).flatmap(lambda kind: events_of(EVENTS[kind])))
def test_every_event_has_all_the_older_keys_or_no_older_word(event: Any) -> None:
    """Eleven keys, whatever happened; gaps, tasks, summaries, interim words and warnings are not told."""
    said = flat(entry(event))
    untold = (
        event.type not in KINDS
        or (isinstance(event, Transcript) and not event.is_final)
        or (isinstance(event, Service) and event.status is ServiceStatus.WARNING)
    )
    assert (said is None) is untold
    if said is None:
        return
    assert said.keys() >= OLDER_KEYS
    assert said["event_type"] == event.type
    assert "type" not in said
    assert said["session_id"] == event.session_id
    assert orjson.loads(orjson.dumps(said)) == said


@given(st.sampled_from(sorted(KINDS)).flatmap(lambda kind: events_of(EVENTS[kind])))
def test_what_the_event_says_stays(event: Any) -> None:
    """Every key of ours is there with its value, unless the older clients need another one for null."""
    wire, said = wire_of(event), flat(entry(event))
    if said is None:
        return
    kept = wire.keys() - {"type", "event_type", "label"}
    assert {key: said[key] for key in kept if wire[key] is not None} == {
        key: wire[key] for key in kept if wire[key] is not None
    }


@given(events_of(Tone))
def test_a_tone_has_no_null_where_older_clients_calculate(event: Any) -> None:
    """Speaker, shift, affect and direction are what they were to them where nobody knows."""
    said = flattened(wire_of(event))
    assert said is not None
    assert isinstance(said["speaker_id"], str)
    assert isinstance(said["shift_magnitude"], float)
    assert isinstance(said["affect"], str)
    assert said["shift_direction"] in ("escalating", "de-escalating", "stable")
    assert isinstance(said["prosody_flags"], list)


@given(st.sampled_from(sorted(KINDS)).flatmap(lambda kind: events_of(EVENTS[kind])))
def test_the_record_and_the_log_say_the_same(event: Any) -> None:
    """History and export have the words of the stream."""
    recorded = Recorded(event.seq, encode_event(event, Encoding.MSGPACK))
    assert flat(recorded) == flat(entry(event))


def test_words_are_a_transcript_s_label_too() -> None:
    """Older pages read `text`, older scripts `label`."""
    event = Transcript(
        seq=1,
        session_id="s",
        timestamp=1.5,
        start_sample=0,
        end_sample=24_000,
        text="good morning",
        is_final=True,
        revision=3,
    )
    said = flat(entry(event))
    assert said is not None
    assert (said["label"], said["text"], said["speaker_id"]) == ("good morning", "good morning", "")


def test_an_accent_without_a_region_is_its_label() -> None:
    """Older pages show the region."""
    place = {"seq": 1, "session_id": "s", "timestamp": 1.0, "start_sample": 0, "end_sample": 16_000}
    said = flat(entry(Accent(**place, label="en_gb", confidence=0.5)))  # type: ignore[arg-type]
    assert said is not None
    assert (said["region"], said["language"]) == ("en_gb", "")
    named = flat(entry(Accent(**place, label="a", confidence=0.5, region="b", language="c")))  # type: ignore[arg-type]
    assert named is not None
    assert (named["label"], named["region"], named["language"]) == ("a", "b", "c")


def test_an_event_of_the_stream_is_named_and_has_no_id() -> None:
    """Without an id no browser asks to have it again."""
    said = service_state("s", 0.5, ServiceStatus.READY, "listening")
    name, data, *rest = sse(said).decode().split("\n")
    assert name == "event: service-event"
    assert json.loads(data.removeprefix("data: ")) == said
    assert rest == ["", ""]
    assert said.keys() >= OLDER_KEYS | {"status", "detail"}


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), PLAIN, max_size=5))
def test_a_start_is_settings_or_names_its_field(given_body: dict[str, Any]) -> None:
    """Whatever JSON comes: valid settings, or the field of a wrong type; never a word about unknown ones."""
    outcome = started(given_body)
    if isinstance(outcome, ProtocolError):
        assert (outcome.code, outcome.param in FIELDS) == (ErrorCode.INVALID_FIELD, True)
        assert outcome.param in given_body
    else:
        assert outcome.hop_ms == outcome.window_ms
        assert outcome.window_ms % 100 == 0


def started(body: dict[str, Any]) -> SessionConfig | ProtocolError:
    """The settings, or why not."""
    try:
        return session_config(body)
    except ProtocolError as error:
        return error


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, SessionConfig()),
        ({"transcribe_lang": "", "num_speakers": 0, "elcor": None}, SessionConfig()),
        ({"window_ms": 1_450}, SessionConfig(window_ms=1_400, hop_ms=1_400)),
        ({"window_ms": 100}, SessionConfig(window_ms=200, hop_ms=200)),
        ({"window_ms": 60_000}, SessionConfig(window_ms=5_000, hop_ms=5_000)),
        ({"num_speakers": 99, "elcor": True}, SessionConfig(num_speakers=8, elcor=True)),
        ({"num_speakers": -1, "transcribe_lang": "de"}, SessionConfig(language="de")),
        ({"target_lang": "es", "license_key": "K", "mood": [1]}, SessionConfig()),
    ],
)
def test_what_older_clients_ask_for(body: dict[str, Any], expected: SessionConfig) -> None:
    """Numbers are brought into range, empty means automatic, unknown fields are passed over."""
    assert session_config(body) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("elcor", "true"),
        ("elcor", 1),
        ("window_ms", "1000"),
        ("window_ms", 1000.5),
        ("window_ms", True),
        ("num_speakers", [2]),
        ("transcribe_lang", 7),
        ("transcribe_lang", "no language!"),
    ],
)
def test_a_wrong_type_is_refused_by_name(field: str, value: Any) -> None:
    """The field is in `param`."""
    with pytest.raises(ProtocolError) as refused:
        session_config({field: value})
    assert refused.value.param == field


def test_the_page_of_the_mapping_names_every_event_and_key() -> None:
    """A new older word, or a new field of `start`, needs its line in `docs/legacy.md`."""
    rows = [
        line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    ]
    named = {row[1].strip().strip("`") for row in rows}
    assert named >= {f"{kind}-event" for kind in KINDS}
    assert named >= OLDER_KEYS
    assert named >= set(FIELDS)
