"""The usual architecture, rendered in `benchmarks.baseline`, does what gateways do; how fast is not asked."""

from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import pytest

from benchmarks import instant, usual
from benchmarks.rows import Row
from gateway.classify.port import SAMPLE_RATE
from gateway.classify.sidecar import batch

needs_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="measures by /proc")


@needs_linux
def test_every_window_of_every_session_gets_its_events() -> None:
    """Two sessions of three seconds, over real sockets: a tone and the surroundings for each second."""
    with usual.launched("benchmarks.instant") as (sidecar, _):
        server = usual.launched("benchmarks.baseline.server", "--port", "0", "--sidecar", sidecar)
        with server as (url, pid):
            clients = ("benchmarks.baseline.clients", "--sessions", "2", "--duration", "3", "--ramp", "0.1")
            told = usual.report(*clients, "--url", url, "--pid", str(pid))
    assert told["failures"] == {}
    assert told["finished"] == 2
    assert told["events"] == {"tone": 6, "environ": 6}
    assert told["frames"] == told["acks"] == 60
    assert told["server"]["cpu_us_per_session_s"] > 0


@pytest.mark.parametrize("count", [1, 15, 16, 64])
def test_the_instant_sidecar_reads_how_many_windows_are_asked_about(count: int) -> None:
    """From the first bytes of what the gateway sends."""
    window = batch.Asked("s" * 22, np.zeros(SAMPLE_RATE, np.int16), SAMPLE_RATE, 1.0)
    body = b"".join(batch.encode_request([window] * count))
    assert instant.windows_in(body[:64]) == count
    with pytest.raises(msgpack.OutOfData):
        instant.windows_in(body[:10])


def _step(sessions: int, p99: float, **other: Any) -> usual.Step:
    report: dict[str, Any] = {
        "sessions": sessions,
        "failed": 0,
        "duration_s": 14.0,
        "events": {"tone": 14 * sessions},
        "latency_ms": {"all": {"p99": 2 * p99, "calm_p99": p99}},
        "gap_samples": {},
        "server": {"cpu_us_per_session_s": 100.0, "busy": 0.5, "rss_kib_per_session": 80.0},
        "load_tool": {"busy": 0.1},
        "percentiles_ms": {"0": 1.0, "50": p99 / 2, "99": p99},
    }
    return usual.Step(report | other, 0.1)


@pytest.mark.parametrize("most", [0, 10, 20, 30, 40, 50])
def test_the_most_that_hold_are_found(most: int) -> None:
    """And the least that don't."""
    found = usual.carried(lambda count: _step(count, 40.0 if count <= most else 900.0), (10, 20, 30, 40, 50))
    assert (found.held.sessions if found.held is not None else 0) == most
    assert (found.broke.sessions if found.broke is not None else 60) == most + 10


def test_what_is_missed_by_little_is_tried_once_more() -> None:
    """And counts where it holds then."""
    tried: list[int] = []

    def measure(sessions: int) -> usual.Step:
        tried.append(sessions)
        return _step(sessions, {1: 60.0, 2: 40.0}.get(len(tried), 900.0))

    found = usual.carried(measure, (10, 20, 30))
    assert tried == [20, 20, 30]
    assert found.held is not None
    assert found.held.sessions == 20


@pytest.mark.parametrize(
    "broken", [{"events": {"tone": 139}}, {"failed": 1}, {"gap_samples": {"overload": 1}}]
)
def test_no_step_holds_that_lost_something(broken: dict[str, Any]) -> None:
    """However fast the rest came."""
    assert _step(10, 1.0).holds
    assert not _step(10, 1.0, **broken).holds


def test_what_came_out_is_told_as_ratios() -> None:
    """Ours over the usual, of sessions, CPU and memory."""
    theirs, ours = usual.Found(_step(20, 40.0), _step(25, 70.0)), usual.Found(_step(4_000, 30.0), None)
    rows = usual.compared("ours", ours, "usual", theirs)
    count = Row(f"ours: {usual.COUNT}", 4_000, "sessions", f"usual: {usual.COUNT}", 200.0)
    assert count in rows
    assert [row.ratio for row in rows if row.ratio is not None] == [200.0, 1.0, 1.0]
    nothing = usual.compared("ours", usual.Found(None, None), "usual", usual.Found(None, _step(10, 70.0)))
    assert [row.ratio for row in nothing] == [None]


def test_latencies_of_both_are_drawn() -> None:
    """Each with the most sessions that held, or the least that did not; none where none were told."""
    held, broke = usual.Found(_step(4_000, 30.0), None), usual.Found(None, _step(10, 70.0))
    [plot] = usual.drawn({"ours": held, "usual": broke})
    assert [line.label for line in plot.lines] == ["ours, 4,000 sessions", "usual, 10 sessions"]
    assert plot.lines[0].points == [(0.0, 1.0), (50.0, 15.0), (99.0, 30.0)]
    refused = usual.Found(None, _step(10, 70.0, percentiles_ms=None))
    assert usual.drawn({"usual": refused, "ours": usual.Found(None, None)}) == []
