"""The bodies of the single-window contract."""

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.port import Hints, Window
from gateway.classify.sidecar.events import MalformedEvent
from gateway.classify.sidecar.pseudonym import pseudonym
from gateway.classify.sidecar.single import decode_answer, encode_request


@given(
    st.lists(st.integers(-32_768, 32_767), min_size=1, max_size=50),
    st.text(),
    st.none() | st.text(),
    st.floats(0, 1e6),
)
def test_the_body_is_json_with_the_samples_in_base64(
    samples: list[int], session: str, language: str | None, end_s: float
) -> None:
    """Though it was put together by hand: whatever is in it, JSON's own parser reads it back."""
    pcm = np.array(samples, np.int16)
    body = encode_request(Window(pcm, len(pcm), end_s, {}, session, Hints(False, language, None)))
    told = json.loads(body)
    assert base64.b64decode(told.pop("audio_chunk"), validate=True) == pcm.astype("<i2").tobytes()
    assert told == {
        "timestamp": pytest.approx(max(0.0, end_s - len(samples) / 16_000), abs=1e-5),
        "elcor": False,
        "session_id": pseudonym(session),
        "language": language,
        "num_speakers": None,
    }


def test_an_answer() -> None:
    assert decode_answer(b'{"events": [{"a": 1}], "more": 2}') == [{"a": 1}]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"events": null}', b'{"events": NaN}', b"{", b"\xff"])
def test_no_answer(body: bytes) -> None:
    with pytest.raises(MalformedEvent):
        decode_answer(body)
