"""Session settings: defaults, changes, and what is refused as a whole."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.control import Configure, Delivery, Feature, SessionConfig
from protocol.errors import ErrorCode, ProtocolError
from tests.protocol.strategies import CONTROL_STRATEGIES


def test_defaults() -> None:
    """A session that asks for nothing gets one-second windows without overlap and every event family."""
    config = SessionConfig()
    assert (config.window_ms, config.hop_ms, config.min_confidence) == (1_000, 1_000, 0.10)
    assert config.features == set(Feature)
    assert config.delivery is Delivery.REALTIME


@given(st.lists(CONTROL_STRATEGIES[Configure], max_size=6))
def test_any_sequence_of_changes_stays_valid(changes: list[Any]) -> None:
    """Settings are valid as a whole after any changes: each is applied or refused entirely."""
    config = SessionConfig()
    for change in changes:
        before = config
        with suppress(ProtocolError):
            config = config.apply(change)
        assert 100 <= config.hop_ms <= config.window_ms
        for name in ("window_ms", "elcor", "language", "num_speakers", "min_confidence", "features"):
            wanted = getattr(change, name)
            if wanted in ("auto", 0) and name in ("language", "num_speakers"):
                assert config is before or getattr(config, name) is None
                continue
            assert config is before or wanted is None or getattr(config, name) == wanted


def test_what_was_told_is_to_be_found_out_again() -> None:
    """`auto` and no speakers take back what was said: null says nothing, and can't."""
    told = SessionConfig(language="de", num_speakers=2)
    assert told.apply(Configure()) == told
    assert told.apply(Configure(language="Auto")) == SessionConfig(num_speakers=2)
    assert told.apply(Configure(num_speakers=0)) == SessionConfig(language="de")
    assert SessionConfig.from_query({"language": "auto", "num_speakers": "0"}) == SessionConfig()
    assert SessionConfig.from_mapping({"language": "auto", "num_speakers": 0}).to_dict()["language"] is None


def test_a_smaller_window_takes_the_hop_along() -> None:
    """A window smaller than the hop moves the hop where none is given; a larger hop is refused."""
    config = SessionConfig(window_ms=2_000, hop_ms=500)
    assert config.apply(Configure(window_ms=400)).hop_ms == 400
    assert config.apply(Configure(window_ms=3_000)).hop_ms == 500
    with pytest.raises(ProtocolError) as refused:
        config.apply(Configure(window_ms=400, hop_ms=500))
    assert refused.value.param == "hop_ms"
    with pytest.raises(ProtocolError):
        config.apply(Configure(hop_ms=2_001))


def test_the_hop_of_a_new_session_is_its_window() -> None:
    """Asking for a longer window alone asks for no overlap."""
    assert SessionConfig.from_mapping({"window_ms": 3_000}).hop_ms == 3_000
    assert SessionConfig.from_query({"window_ms": "500"}).hop_ms == 500


@given(CONTROL_STRATEGIES[Configure])
def test_flat_maps_round_trip(change: Any) -> None:
    """`to_dict` and `from_mapping` are inverse, and foreign keys of a body are passed over."""
    try:
        config = SessionConfig().apply(change)
    except ProtocolError:
        return
    assert SessionConfig.from_mapping({**config.to_dict(), "user_id": "x", "sample_rate": 8_000}) == config


def test_queries_are_read() -> None:
    """A URL's query says the same as a typed body."""
    query = {
        "hop_ms": "250",
        "window_ms": "1000",
        "elcor": "true",
        "language": "en-GB",
        "num_speakers": "2",
        "min_confidence": "0.4",
        "features": "tone,queue",
        "delivery": "lossless",
        "session_id": "x",
    }
    assert SessionConfig.from_query(query) == SessionConfig(
        window_ms=1_000,
        hop_ms=250,
        elcor=True,
        language="en-GB",
        num_speakers=2,
        min_confidence=0.4,
        features=frozenset({Feature.TONE, Feature.QUEUE}),
        delivery=Delivery.LOSSLESS,
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hop_ms", "fast"),
        ("elcor", "yes"),
        ("min_confidence", "nan"),
        ("min_confidence", "high"),
        ("features", "tone,mood"),
        ("delivery", ""),
        ("language", ""),
    ],
)
def test_refused_queries(name: str, text: str) -> None:
    """Text that is no such setting is refused by name."""
    with pytest.raises(ProtocolError) as refused:
        SessionConfig.from_query({name: text})
    assert (refused.value.code, refused.value.param) == (ErrorCode.INVALID_FIELD, name)
