"""`undertone load` in a process of its own against a real gateway: each profile, for a few seconds."""

import json
import subprocess
import sys
from typing import Any

import pytest

from gateway.commands import load_storm
from gateway.commands.exits import ExitCode
from gateway.commands.load import load as run
from gateway.commands.load_options import LoadOptions
from gateway.commands.load_profiles import Profile
from protocol.audio import AudioFormat
from protocol.backoff import Backoff
from tests.e2e.conftest import ROOT, GatewayProcess


def load(gateway: GatewayProcess, *arguments: str) -> dict[str, Any]:
    """The JSON report."""
    command = [sys.executable, "-m", "gateway", "load", "--url", gateway.url, "--pid", str(gateway.pid)]
    done = subprocess.run(
        [*command, "--json", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert (told["failed"], told["failures"], told["gap_samples"]) == (0, {}, {})
    assert told["server"]["rss_kib"] > 1_000
    return told


def test_hold(gateway: GatewayProcess) -> None:
    """All sessions finish with an account that fits, and every sample was classified."""
    told = load(gateway, "--sessions", "4", "--duration", "4", "--ramp", "1")
    assert told["finished"] == 4
    assert told["classified_samples"] == 4 * 4 * 16_000
    assert told["events"]["summary"] == 4


def test_ramp(gateway: GatewayProcess) -> None:
    """Each step is measured with its sessions, and the largest that met the expectation is told."""
    arguments = ["--profile", "ramp", "--sessions", "4", "--steps", "2", "--duration", "6"]
    told = load(gateway, *arguments, "--expect", "gaps=0,failed=0")
    assert [step["sessions"] for step in told["steps"]] == [2, 4]
    assert [round(step["live"]) for step in told["steps"]] == [2, 4]
    assert told["capacity"] == 4


def test_soak(gateway: GatewayProcess) -> None:
    """Sessions end and are replaced, and the growth of the server's memory is told."""
    arguments = ["--profile", "soak", "--sessions", "3", "--duration", "7", "--ramp", "1", "--lifetime", "2"]
    told = load(gateway, *arguments)
    assert told["sessions"] > 3
    assert told["server"]["rss_slope_mib_per_h"] is not None


def test_storm(gateway: GatewayProcess) -> None:
    """Cut connections come back to their sessions; no event is missed or repeated and no sample lost."""
    arguments = ["--profile", "storm", "--sessions", "4", "--duration", "6", "--ramp", "1"]
    told = load(gateway, *arguments, "--cut-every", "0.5-1", "--expect", "missed=0,repeated=0,unrecovered=0")
    resume = told["resume"]
    assert resume["resumes"] == resume["recovered"] == resume["cuts"] >= 4
    assert resume["resent_samples"] == resume["cuts"] * 1_600, "half a frame was under way at each cut"
    assert told["classified_samples"] == 4 * 6 * 16_000


@pytest.mark.parametrize("arguments", [("--steps", "2"), ("--profile", "ramp", "--ramp", "1")])
def test_options_of_another_profile_are_refused(gateway: GatewayProcess, arguments: tuple[str, ...]) -> None:
    """What would have no effect is a mistake, told before anything starts."""
    command = [sys.executable, "-m", "gateway", "load", "--url", gateway.url, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == ExitCode.USAGE
    assert "--profile" in done.stderr


def test_observers(gateway: GatewayProcess) -> None:
    """They come to the first sessions, read until these end, and latencies are told apart."""
    arguments = ["--sessions", "3", "--duration", "5", "--ramp", "1", "--observers", "5", "--observed", "2"]
    told = load(gateway, *arguments)
    observers = told["observers"]
    assert (observers["came"], observers["failures"]) == (10, {})
    assert observers["messages"] > 10 * 5, "welcome, tones, reports of the flow, summary"
    latencies = told["latency_ms"]
    if latencies is not None:  # a busy machine refuses them
        assert latencies["observed"]["count"] + latencies["unobserved"]["count"] == latencies["all"]["count"]


def test_a_storm_that_keeps_a_session_away_for_long(
    gateway: GatewayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is older than five seconds when it is back is a gap with reason `client`; the account fits."""
    monkeypatch.setattr(load_storm, "Backoff", lambda draw: Backoff(draw=lambda: 26.0))  # 6.5 s away
    options = LoadOptions(
        url=gateway.url,
        sessions=1,
        duration_s=10.0,
        ramp_s=0.1,
        audio=AudioFormat(),
        frame_ms=100,
        profile=Profile.STORM,
        cut_every_s=(2.5, 2.5),
    )
    tally = run(options, watch=lambda moment, tally: None).tally
    assert (tally.finished, tally.failures, tally.cuts) == (1, {}, 1)
    assert tally.declared_samples == tally.gaps["client"]
    assert 16_000 < tally.declared_samples < 3 * 16_000
    assert tally.classified_samples == 10 * 16_000 - tally.declared_samples
