"""The single-window contract: what is asked, read strictly; what is told."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from gateway.api.problems import Problem
from gateway.classify.port import Hints
from gateway.sidecar.single import MAX_SAMPLES, Call, answer, read
from tests.gateway.sidecar.kit import body, pcm

BROKEN = {
    "no audio": ({"audio_chunk": None}, "invalid_field", "/audio_chunk"),
    "audio as a number": ({"audio_chunk": 5}, "invalid_field", "/audio_chunk"),
    "audio as a list": ({"audio_chunk": [1, 2]}, "invalid_field", "/audio_chunk"),
    "half a sample": ({"audio_chunk": "AAAA"}, "audio_not_whole", "/audio_chunk"),
    "nothing to hear": ({"audio_chunk": ""}, "audio_empty", "/audio_chunk"),
    "no base64": ({"audio_chunk": "AA!A"}, "invalid_base64", "/audio_chunk"),
    "base64 with a line feed": ({"audio_chunk": "AAAA\nAAAA"}, "invalid_base64", "/audio_chunk"),
    "base64 without its end": ({"audio_chunk": "AAA"}, "invalid_base64", "/audio_chunk"),
    "base64 of the URL kind": ({"audio_chunk": "A_-A"}, "invalid_base64", "/audio_chunk"),
    "not ASCII": ({"audio_chunk": "ÄÄÄÄ"}, "invalid_base64", "/audio_chunk"),
    "over 30 s": (
        {"audio_chunk": base64.b64encode(bytes(2 * MAX_SAMPLES + 2)).decode()},
        "audio_too_long",
        "/audio_chunk",
    ),
    "a time as text": ({"timestamp": "0"}, "invalid_field", "/timestamp"),
    "a time as truth": ({"timestamp": True}, "invalid_field", "/timestamp"),
    "a time before the beginning": ({"timestamp": -0.1}, "invalid_field", "/timestamp"),
    "a time beyond all": ({"timestamp": 1e300}, "invalid_field", "/timestamp"),
    "elcor as a number": ({"elcor": 1}, "invalid_field", "/elcor"),
    "a session as a number": ({"session_id": 7}, "invalid_field", "/session_id"),
    "a session too long": ({"session_id": "x" * 257}, "invalid_field", "/session_id"),
    "a language as a list": ({"language": ["en"]}, "invalid_field", "/language"),
    "a language too long": ({"language": "x" * 36}, "invalid_field", "/language"),
    "speakers as text": ({"num_speakers": "2"}, "invalid_field", "/num_speakers"),
    "no speakers": ({"num_speakers": 0}, "invalid_field", "/num_speakers"),
    "a crowd": ({"num_speakers": 9}, "invalid_field", "/num_speakers"),
    "half a speaker": ({"num_speakers": 1.5}, "invalid_field", "/num_speakers"),
}


@pytest.mark.parametrize(("wrong", "code", "pointer"), BROKEN.values(), ids=BROKEN)
def test_a_field_that_can_not_be_taken(wrong: dict[str, Any], code: str, pointer: str) -> None:
    """422 with a stable code, and where it stands."""
    with pytest.raises(Problem) as caught:
        read(json.dumps(body(samples=4) | wrong).encode())
    assert (caught.value.status, caught.value.code, caught.value.pointer) == (422, code, pointer)


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{", b"[]", b"null", b'"x"', b"[" * 2000, b'{"audio_chunk": NaN}', b"\xff"),
        b'{"x": [' + b"[]," * 400_000 + b"1]}",
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_what_is_no_json_object(raw: bytes) -> None:
    """400, and no traceback."""
    with pytest.raises(Problem) as caught:
        read(raw)
    assert (caught.value.status, caught.value.code) == (400, "malformed_body")


def test_all_fields_are_honoured_and_others_passed_over() -> None:
    """Callers may be newer than this."""
    given = body(
        5, 8_000, timestamp=2.5, session_id="abc", elcor=True, language="en-GB", num_speakers=2, new={}
    )
    call = read(json.dumps(given).encode())
    assert np.array_equal(call.samples, pcm(5, 8_000))
    assert (call.timestamp, call.end_s, call.session_id) == (2.5, 3.0, "abc")
    assert call.hints == Hints(elcor=True, language="en-GB", num_speakers=2)


def test_all_but_the_audio_may_be_left_out() -> None:
    """Callers may be older, too."""
    call = read(json.dumps({"audio_chunk": body(samples=4)["audio_chunk"]}).encode())
    assert (call.timestamp, call.session_id, call.hints) == (0.0, "", Hints())


@pytest.mark.parametrize(
    ("start", "heard_s", "owned"),
    [
        (0.0, None, 16_000),
        (1.0, 1.0, 16_000),
        (1.5, 1.0, 16_000),
        (0.5, 1.0, 8_000),
        (0.333, 1.0, 5_328),
        (0.0, 0.99999999, 1),
        (0.0, 1.0, 16_000),
        (0.0, 9.0, 16_000),
    ],
    ids=["first", "next", "after a gap", "overlap", "odd overlap", "hardly", "again", "begun anew"],
)
def test_what_a_window_owns(start: float, heard_s: float | None, owned: int) -> None:
    """The samples that the window before has not covered; all of them where it lies elsewhere."""
    assert Call(pcm(), start, "s", Hints()).owned(heard_s) == owned


def test_a_tone_is_worded_and_every_event_placed() -> None:
    """`subtext` in the style asked for; other events have none."""
    tone = {"event_type": "tone", "label": "Tense", "confidence": 0.5, "shift_direction": "escalating"}
    speaker = {"event_type": "speaker", "label": "human_single", "confidence": 0.4}
    place = {"timestamp": 2.5, "session_id": "abc"}
    for elcor, told in ((False, "Sounds tense, and getting more so."), (True, "With rising tension:")):
        call = Call(pcm(), 2.5, "abc", Hints(elcor=elcor))
        assert answer(call, [tone, speaker]) == {
            "events": [{**tone, "subtext": told, **place}, {**speaker, **place}]
        }
