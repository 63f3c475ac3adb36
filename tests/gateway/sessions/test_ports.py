"""The values that pass through the ports."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.model import Status
from gateway.sessions.ports import Entry, Recorded, SessionFilter
from protocol.codec import encode_event
from protocol.version import Encoding
from tests.gateway.sessions.kit import entry, session, tone


@pytest.mark.parametrize("encoding", Encoding)
def test_an_entry_is_encoded_once_per_encoding(encoding: Encoding) -> None:
    """Any number of readers share the same bytes, which are the codec's."""
    one = entry(1)
    assert one.encoded(encoding) == encode_event(tone(1), encoding)
    assert one.encoded(encoding) is one.encoded(encoding)


def test_an_entry_s_size_is_its_msgpack_length() -> None:
    """Bounds in bytes count what a native client receives."""
    one = entry(1)
    assert one.size == len(one.encoded(Encoding.MSGPACK))


def test_cached_json_holds_no_spare_memory() -> None:
    """The bytes kept are as large as what they say, not as the encoder's work buffer."""
    entries = [entry(seq) for seq in range(1, 101)]
    tracemalloc.start()
    try:
        lengths = sum(len(one.encoded(Encoding.JSON)) for one in entries)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < lengths + 100 * 128


def test_no_representation_shows_what_was_said() -> None:
    """An entry in a log line or a traceback gives no transcript away."""
    one = entry(1, label="confidential")
    one.encoded(Encoding.JSON)
    recorded = Recorded(1, one.encoded(Encoding.MSGPACK))
    assert "confidential" not in repr(one)
    assert "confidential" not in repr(recorded)


@given(label=st.text(max_size=20), confidence=st.floats(allow_nan=True))
def test_a_recorded_event_reads_as_in_the_log(label: str, confidence: float) -> None:
    """Both encodings of the record are byte for byte those of the log, for numbers that aren't finite too."""
    said = tone(1, label)
    object.__setattr__(said, "confidence", confidence)
    in_log = Entry(1, "tone", True, 1.0, 0.0, said)
    recorded = Recorded(1, in_log.encoded(Encoding.MSGPACK))
    for encoding in Encoding:
        assert recorded.encoded(encoding) == in_log.encoded(encoding)


def test_a_recorded_event_can_be_read_back() -> None:
    """The record gives the event itself to those who want more than bytes."""
    assert Recorded(1, entry(1).encoded(Encoding.MSGPACK)).event() == tone(1)


FIELDS = {"namespace_id": "n", "user_id": "u", "device_type": "phone", "status": Status.LIVE}


@pytest.mark.parametrize("name", FIELDS)
def test_a_filter_means_those_that_agree_in_every_field_given(name: str) -> None:
    """One field that differs is enough to be left out; a field not given is none that counts."""
    one = session(**FIELDS)
    assert SessionFilter().matches(one)
    assert SessionFilter(**FIELDS).matches(one)  # type: ignore[arg-type]
    other = {**FIELDS, name: Status.CLOSED if name == "status" else "other"}
    assert not SessionFilter(**other).matches(one)  # type: ignore[arg-type]
    assert not SessionFilter(**{name: other[name]}).matches(one)  # type: ignore[arg-type]
