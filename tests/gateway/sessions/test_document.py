"""Sessions as documents: every field comes back; what can't be read is refused."""

from dataclasses import fields
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadDocument
from gateway.sessions.document import VERSION, decode_session, encode_session
from gateway.sessions.model import Checkpoint, Session, Status
from protocol.audio import AudioEncoding, AudioFormat
from protocol.control import Delivery, Feature, SessionConfig
from tests.gateway.sessions.kit import session

text = st.text(max_size=8)
number = st.floats(0, 1e12)
plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | number | text
objects = st.dictionaries(text, plain | st.lists(plain, max_size=3), max_size=3)
configs = st.builds(
    SessionConfig,
    elcor=st.booleans(),
    min_confidence=st.floats(0, 1),
    features=st.frozensets(st.sampled_from(Feature)),
    delivery=st.sampled_from(Delivery),
)
checkpoints = st.builds(
    Checkpoint, name=text, at=number, sample=st.none() | st.integers(0, 2**50), data=st.none() | objects
)
sessions = st.builds(
    Session,
    id=text,
    namespace_id=st.none() | text,
    user_id=st.none() | text,
    device_type=st.none() | text,
    client_version=st.none() | text,
    legacy=st.booleans(),
    audio=st.builds(AudioFormat, st.sampled_from(AudioEncoding), st.sampled_from([8_000, 16_000, 44_100])),
    config=configs,
    metadata=objects,
    context=objects,
    checkpoints=st.lists(checkpoints, max_size=2).map(tuple),
    beat_at=st.none() | number,
    beat_mono=st.none() | number,
    status=st.sampled_from(Status),
    version=st.integers(1, 2**50),
    node=st.none() | text,
    attaches=st.integers(0, 2**50),
    created_at=number,
    updated_at=number,
    created_mono=number,
    seen_mono=number,
    live_mono=st.none() | number,
    detached_mono=st.none() | number,
    ended_mono=st.none() | number,
    end_reason=st.none() | text,
    summary=st.none() | objects,
    resume_hash=st.none() | text,
    previous_resume_hash=st.none() | text,
)


@given(sessions)
def test_it_comes_back_as_it_was(one: Session) -> None:
    """Every field of every session."""
    assert decode_session(encode_session(one)) == one


def test_every_field_is_tried() -> None:
    """A new one is not forgotten here."""
    said = set(orjson.loads(encode_session(session())))
    assert said == {one.name for one in fields(Session)} | {"v"}


def changed(**changes: Any) -> bytes:
    return orjson.dumps({**orjson.loads(encode_session(session())), **changes})


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"v": "1"}',
        b'{"v": 1}',
        changed(v=VERSION + 1),
        changed(status="undecided"),
        changed(audio={"sample_rate": -1}),
        changed(audio=[]),
        changed(config={}),
        changed(config=[1]),
        changed(checkpoints=[{}]),
        changed(checkpoints=7),
        changed(id=7),
        changed(seen_mono="1000"),
        changed(created_at=None),
        changed(metadata=[]),
        changed(summary="none"),
        changed(end_reason=7),
        changed(legacy="no"),
    ],
)
def test_what_cannot_be_read_is_refused(document: bytes) -> None:
    """Damaged, or written by a newer gateway; the message says nothing of what it holds."""
    with pytest.raises(BadDocument):
        decode_session(document)


@given(sessions)
def test_what_a_later_version_adds_is_passed_over(one: Session) -> None:
    """Wherever it adds it."""
    said = orjson.loads(encode_session(one))
    for place in (said, said["audio"], said["config"], *said["checkpoints"]):
        place["added_later"] = 1
    assert decode_session(orjson.dumps(said)) == one


def test_what_json_cannot_say_is_refused() -> None:
    """Before it is in any store."""
    with pytest.raises(BadDocument):
        encode_session(session(metadata={"a": object()}))


def test_a_document_is_that_of_who_was_asked_for() -> None:
    """One under another's key is damage."""
    one = session()
    assert decode_session(encode_session(one), one.id) == one
    with pytest.raises(BadDocument):
        decode_session(encode_session(one), "another")
