"""What a sidecar tells of itself is bounded and cleaned, and an offer that can't be used is none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.port import HealthStatus
from gateway.classify.sidecar.health import Offer, SidecarHealth, read_health


def read(told: Any, status: int = 200) -> SidecarHealth:
    return read_health(status, json.dumps(told).encode())


def test_everything_it_may_tell() -> None:
    told = {
        "status": "ready",
        "batch": {"path": "/v1/classify/batch", "max": 32},
        "models": {"stt": "loading", "tone": "ready", "diarizer": "error", "odd": "purple", "n": 7},
        "warnings": ["slow", 7, "slow", ""],
    }
    assert read(told) == SidecarHealth(
        True,
        models={"stt": HealthStatus.LOADING, "tone": HealthStatus.READY, "diarizer": HealthStatus.ERROR},
        warnings=("slow",),
        offer=Offer("/v1/classify/batch", 32),
    )


@pytest.mark.parametrize("body", [b"", b"ok", b"[]", b"7", b"\xff"])
def test_status_200_is_ready(body: bytes) -> None:
    """Whatever else it says, or doesn't."""
    assert read_health(200, body) == SidecarHealth(True)


def test_other_statuses_are_not() -> None:
    assert read({}, 404) == SidecarHealth(False, "status 404")
    assert read({"status": "draining"}, 503) == SidecarHealth(False, "draining")
    assert read({"status": "loading"}) == SidecarHealth(False, "loading")


@pytest.mark.parametrize(
    "offer",
    [
        {"path": "http://elsewhere/batch", "max": 32},
        {"path": "//elsewhere/batch", "max": 32},
        {"path": "batch", "max": 32},
        {"path": "/a/../b", "max": 32},
        {"path": "/./b", "max": 32},
        {"path": "/a?b", "max": 32},
        {"path": "/a#b", "max": 32},
        {"path": "/a\r\nHost: b", "max": 32},
        {"path": "/a b", "max": 32},
        {"path": "/a@b:1", "max": 32},
        {"path": "/%2e%2e", "max": 32},
        {"path": "/" + "x" * 300, "max": 32},
        {"path": 7, "max": 32},
        {"path": "/batch", "max": 0},
        {"path": "/batch", "max": True},
        {"path": "/batch", "max": "32"},
        {"path": "/batch"},
        {"max": 32},
        "yes",
        [],
    ],
)
def test_an_offer_that_can_not_be_used(offer: Any) -> None:
    """Is none, and a warning says so."""
    found = read({"batch": offer})
    assert found.offer is None
    assert len(found.warnings) == 1


def test_an_offer_of_more_than_anybody_needs_is_bounded() -> None:
    assert read({"batch": {"path": "/batch", "max": 10**9}}).offer == Offer("/batch", 1_024)


def test_what_people_will_see_is_one_short_line() -> None:
    """No control characters, nothing that turns text around, no book."""
    models = {"s\x00t": "ready", "y" * 99: "ready"}
    found = read({"warnings": ["a\x1b[2J\nb\u202ec", "x" * 1_000], "models": models})
    assert found.warnings == ("a [2J b c", "x" * 200)
    assert list(found.models) == ["s t", "y" * 48]


def test_there_are_few_of_everything() -> None:
    found = read({"models": {f"m{i}": "ready" for i in range(99)}, "warnings": [f"w{i}" for i in range(99)]})
    assert len(found.models) == 16
    assert len(found.warnings) == 8


@given(st.binary(max_size=200), st.integers(100, 599))
def test_nothing_is_too_odd_to_be_read(body: bytes, status: int) -> None:
    assert read_health(status, body).ready == (status == 200) or body
