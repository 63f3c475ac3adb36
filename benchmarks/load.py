"""Live sessions of real-time speech against a real server process, each on a core of its own.

    python -m benchmarks.load

The server (embedded acoustic classifier, no words) is pinned to the first core it may use, `undertone load`
to the second; with one core only they share it, and the latencies mean little. The smaller run is what the
larger one is compared with: a session should cost the same in company.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.rows import Row, table

FEW, MANY = 100, 300
SECONDS = 30
RAMP_S = 10


def rows() -> list[Row]:
    """Both runs, one after the other on one server each; takes about two minutes."""
    few, many = _run(FEW), _run(MANY)
    found: list[Row] = []
    for report, other in ((few, None), (many, few)):
        found += _figures(report, other)
    return found


def _figures(report: dict[str, Any], other: dict[str, Any] | None) -> Iterator[Row]:
    sessions = report["sessions"]
    seen = (report["latency_ms"] or {}).get("all") or {}
    # Nothing where the tool was short of CPU itself.
    latencies = {
        "event latency p50": "p50",
        "event latency p95": "p95",
        "event latency p99": "p99",
        "event latency, median of 1 s p99s": "calm_p99",
    }
    wanted = {
        "CPU of the server": (report["server"]["cpu_us_per_session_s"], "µs/session-second"),
        "RSS of the server": (report["server"]["rss_kib_per_session"], "KiB/session"),
        **{name: (seen[key], "ms") for name, key in latencies.items() if key in seen},
        "gaps": (sum(report["gap_samples"].values()), "samples"),
        "sessions failed": (report["failed"], "sessions"),
        "share of its core the load tool used": (report["load_tool"]["busy"], "core"),
    }
    before = {row.name.partition(": ")[2]: row for row in _figures(other, None)} if other else {}
    for name, (value, unit) in wanted.items():
        base = before.get(name)
        ratio = value / base.value if base is not None and base.value else None
        compared = base.name if ratio is not None and base is not None else None
        yield Row(f"{sessions} sessions: {name}", value, unit, compared, ratio)


def _run(sessions: int) -> dict[str, Any]:
    cores = sorted(os.sched_getaffinity(0))
    with _server(cores[0]) as (url, pid):
        command = [sys.executable, "-m", "gateway", "load", "--url", url, "--pid", str(pid), "--json"]
        command += ["--sessions", str(sessions), "--duration", str(SECONDS), "--ramp", str(RAMP_S)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=False, preexec_fn=lambda: _pin(cores[-1])
        )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@contextmanager
def _server(core: int) -> Iterator[tuple[str, int]]:
    settings = {"TRANSCRIBER": "none", "CLASSIFY_WORKERS": "1", "LOG_LEVEL": "warning"}
    environment = os.environ | {f"UNDERTONE_{name}": value for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "--port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: _pin(core),
    )
    assert process.stdout is not None
    try:
        found = next(filter(None, (re.search(r"http://\S+", line) for line in process.stdout)))
        yield found.group(), process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def _pin(core: int) -> None:
    os.sched_setaffinity(0, {core})


if __name__ == "__main__":
    print(table(rows()))
