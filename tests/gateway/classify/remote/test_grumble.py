"""Failures are logged once a minute at most, for each sidecar and kind, and none is forgotten."""

import logging

import pytest

from gateway.classify.remote.grumble import EVERY_S, Grumbler
from gateway.classify.remote.http import CallFailed, Kind
from gateway.clock import ManualClock


def test_once_a_minute_with_the_number_of_those_between(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    grumbler = Grumbler(clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            grumbler.grumble(0, CallFailed(Kind.TIMEOUT, "no answer in time"))
        grumbler.grumble(1, CallFailed(Kind.TIMEOUT, "no answer in time"))
        grumbler.grumble(0, CallFailed(Kind.FAILED, "status 500"))
        clock.advance(EVERY_S)
        grumbler.grumble(0, CallFailed(Kind.TIMEOUT, "no answer in time"))
    assert caplog.messages == [
        "sidecar 0: timeout (no answer in time)",
        "sidecar 1: timeout (no answer in time)",
        "sidecar 0: failed (status 500)",
        "sidecar 0: timeout (no answer in time), and 49 times more since this was told last",
    ]
