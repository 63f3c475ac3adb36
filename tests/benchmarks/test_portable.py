"""The gateway under stock uvicorn is measured like the other; how fast it is is not asked here."""

from pathlib import Path

import pytest

from benchmarks import portable, usual
from benchmarks.rows import Row

needs_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="measures by /proc")

_FAST = {"cpu_us_per_session_s": 50.0, "rss_kib_per_session": 160.0}


def _step(sessions: int) -> usual.Step:
    server = {"cpu_us_per_session_s": 100.0, "rss_kib_per_session": 80.0, "busy": 0.5}
    latency = {"all": {"p99": 20.0, "calm_p99": 10.0}}
    report = {
        "sessions": sessions,
        "duration_s": 14.0,
        "events": {},
        "latency_ms": latency,
        "server": server,
        "load_tool": {"busy": 0.1},
    }
    return usual.Step(report, 0.1)


@needs_linux
def test_every_window_gets_its_tone_under_stock_uvicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sessions of three seconds, over real sockets, on the stage of the benchmark."""
    monkeypatch.setattr(usual, "LIVE_S", 2)
    with usual.stage() as here:
        step = here.gateway(2, command=portable.PORTABLE)
    assert (step.sessions, step.missing, step.report["failed"]) == (2, 0, 0)
    assert step.report["server"]["cpu_us_per_session_s"] > 0


def test_costs_are_told_beside_those_of_the_fast_lane() -> None:
    """With as many sessions, in the same run."""
    rows = portable.compared(usual.Found(_step(2_000), _step(2_250)), _FAST)
    assert Row(f"portable: {usual.COUNT}", 2_000, "sessions") in rows
    beside = {row.name: (row.ratio_to, row.ratio) for row in rows if row.ratio is not None}
    assert beside == {
        f"portable: {usual.CPU}": (f"fast lane, with as many: {usual.CPU}", 2.0),
        f"portable: {usual.RSS}": (f"fast lane, with as many: {usual.RSS}", 0.5),
    }


def test_where_none_hold_there_is_nothing_to_compare() -> None:
    """The least that did not is told, as everywhere."""
    rows = portable.compared(usual.Found(None, _step(100)), _FAST)
    assert Row(f"portable: {usual.COUNT}", 0, "sessions") in rows
    assert not [row for row in rows if row.ratio is not None]
