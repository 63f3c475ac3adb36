"""What sharing sessions costs: the counters of real servers, and what is told of them."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import micro_sharing, sharing, takeover
from benchmarks.sharing_servers import Reading, valkey
from benchmarks.takeover import Took
from benchmarks.usual import stage
from tests.needs import need_command

needs_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="measures by /proc")


def _seen(cpu_us: float, p50: float, **readings: Any) -> sharing.Seen:
    report = {
        "server": {"rss_kib_per_session": 90.0},
        "latency_ms": {"all": {"p50": p50, "p99": 3 * p50, "calm_p99": 2 * p50}},
        "duration_s": 10.0,
        "events": {"tone": 100},
        "failed": 0,
    }
    return sharing.Seen(10, 5.0, cpu_us, report, **readings)


def test_stores_are_told_beside_memory() -> None:
    """CPU as a ratio, latency as what was added."""
    rows = {row.name: row for row in sharing.compared({"memory": _seen(400, 10), "valkey": _seen(500, 14)})}
    assert rows["valkey: CPU of the gateway"].ratio == 1.25
    assert rows["valkey: CPU of the gateway"].ratio_to == "memory: CPU of the gateway"
    assert rows["valkey: added to event latency p50"].value == pytest.approx(4)
    assert rows["valkey: windows without an event"].value == 0
    assert rows["memory: CPU of the gateway"].ratio is None


def test_what_servers_count_is_told_for_each_session() -> None:
    """Per second or per minute, between the second and the third reading; memory since the first."""
    names = ("round trips", "functions", "commands", "bytes in", "bytes out", "memory")
    readings = [
        Reading(at, at / 100, dict.fromkeys(names, value)) for at, value in ((0, 0), (10, 1e4), (20, 3e4))
    ]
    rows = {
        row.name: row.value for row in sharing.compared({"valkey": _seen(500, 14, valkey=tuple(readings))})
    }
    assert rows["valkey, Valkey: round trips"] == pytest.approx(2_000 / 10)
    assert rows["valkey, Valkey: CPU"] == pytest.approx(1_000)
    assert rows["valkey, Valkey: memory of a session by then"] == pytest.approx(3e4 / 10 / 1024)
    assert rows["valkey, Valkey: its growth"] == pytest.approx(60 * 2_000 / 10 / 1024)


@needs_linux
def test_a_real_gateway_is_measured_on_a_real_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few sessions: the store counts one commit for each session's second."""
    need_command("redis-server")
    need_command("redis-cli")
    monkeypatch.setattr(sharing, "SETTLE_S", 0.5)
    monkeypatch.setattr(sharing, "takeovers", lambda *_: [])
    rows = {row.name: row.value for row in sharing.rows(4, 2.0, ("valkey",), rounds=1)}
    assert rows["valkey: CPU of the gateway"] > 0
    assert rows["valkey, Valkey: round trips"] > 0
    assert rows["valkey, Valkey: functions"] > 0
    assert rows["valkey, Valkey: memory of a session by then"] > 0


@needs_linux
def test_commits_and_documents_cost_both_sides_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each size of a batch; of a document also its bytes."""
    need_command("redis-server")
    need_command("redis-cli")
    monkeypatch.setattr(micro_sharing, "COMMITS", 240)
    monkeypatch.setattr(micro_sharing, "SIZES", (1, 5))
    monkeypatch.setattr(micro_sharing, "SESSIONS", 300)
    found = {row.name: row.value for row in micro_sharing.rows()}
    assert {f"commit, {size} at once: CPU of the gateway" for size in (1, 5)} < set(found)
    assert all(value > 0 for value in found.values()), found
    assert found["document: bytes from Valkey"] > 300


@needs_linux
def test_clients_go_on_at_the_other_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round with two clients: both hear something new there, and nothing is missing."""
    need_command("redis-server")
    monkeypatch.setattr(takeover, "ROUNDS", 1)
    monkeypatch.setattr(takeover, "BEFORE_S", 2.5)
    with stage() as here, valkey(here.other_core) as one:
        rows = {row.name: row.value for row in takeover.takeovers(here, {"STORE": one.url}, 2)}
    assert rows["takeover: sessions whose node was killed"] == 2
    assert rows["takeover: every event once, no sample lost"] == 2


@pytest.mark.parametrize(
    ("took", "whole"),
    [
        (Took(seqs=[1, 2, 3]), True),
        (Took(seqs=[1, 3]), False),
        (Took(seqs=[1, 1]), False),
        (Took(gap_samples=1), False),
    ],
)
def test_what_counts_as_whole(took: Took, whole: bool) -> None:
    """Every event once, no gap."""
    assert took.whole is whole
