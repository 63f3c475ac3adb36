"""Observers of a load run: they read, are counted, and keep observed sessions apart from the others."""

from typing import Any

import pytest

from gateway.commands import load_report
from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.load import Measured, exit_code
from protocol.errors import ErrorCode, ProtocolError
from tests.gateway.commands.fake import Fake
from tests.gateway.commands.test_load import run
from tests.gateway.commands.test_load_command import asked


def watched(fake: Fake, **given: Any) -> Measured:
    """Three sessions, the first of which is observed by four, who read three seconds of tones each."""
    return run(fake, sessions=3, duration_s=1.0, ramp_s=0.1, observers=4, **given)


def test_they_read_and_are_counted() -> None:
    """Latencies of observed and unobserved sessions make up all of them."""
    measured = watched(Fake())
    tally = measured.tally
    assert (tally.finished, tally.observers, tally.observer_failures) == (3, 4, {})
    assert tally.observer_messages >= 4, "a welcome at least"
    counts = {name: told.count for name in tally.latencies if (told := tally.latency(name)) is not None}
    assert counts["observed"] + counts["unobserved"] == counts["all"]
    assert exit_code(measured, []) is ExitCode.OK


def test_the_report_tells_them() -> None:
    """As text and as JSON; without any, nothing of it stands there."""
    measured = watched(Fake())
    lines = load_report.as_lines(measured, [])
    assert any(line.startswith("Observers   4 on the first session: 4 came") for line in lines)
    assert any(line.split()[0] == "unobserved" for line in lines)
    told = load_report.as_json(measured, [])
    assert (told["observers"]["came"], told["observers"]["failures"]) == (4, {})
    assert set(told["latency_ms"]) == {"all", "tone", "speaker", "queue", "observed", "unobserved"}
    alone = run(Fake(), sessions=1)
    assert load_report.as_json(alone, [])["observers"] is None
    assert "unobserved" not in load_report.as_json(alone, [])["latency_ms"]
    assert not any(line.startswith("Observers") for line in load_report.as_lines(alone, []))


def test_one_that_is_refused_fails_the_run() -> None:
    """What was to be measured was not there."""
    error = ProtocolError(ErrorCode.SESSION_NOT_FOUND, "x")
    measured = watched(Fake(refuse_observers=error))
    assert measured.tally.failed == 0
    assert measured.tally.observer_failures == {"closed with 4004": 4}
    assert exit_code(measured, []) is ExitCode.FAILED


def test_how_many_sessions_are_observed() -> None:
    """One, or as many as are asked for."""
    assert (asked().observers, asked("--observers", "5").observed) == (0, 1)
    assert asked("--observers", "5", "--observed", "3").observed == 3
    with pytest.raises(CommandError, match="--observers, which is not given"):
        asked("--observed", "3")
    with pytest.raises(CommandError, match="--observed 11 is more than --sessions 10"):
        asked("--observers", "1", "--observed", "11")
