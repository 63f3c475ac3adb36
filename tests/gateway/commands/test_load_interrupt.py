"""Ctrl-C and SIGTERM amid `undertone load`, in a process of its own: it ends in order, and reports."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.commands.exits import ExitCode
from gateway.commands.load_expect import capacity
from tests.e2e.conftest import ROOT
from tests.gateway.commands.fake import Fake
from tests.gateway.commands.test_demo import started
from tests.gateway.commands.test_load_series import ramped, step


@contextmanager
def loading(fake: Fake, *arguments: str, sessions: int = 3) -> Iterator["subprocess.Popen[str]"]:
    """A run over a minute, once its sessions speak."""
    fake.hop_ms = 100
    with started(fake) as url:
        command = [sys.executable, "-m", "gateway", "load", "--url", url, "--sessions", str(sessions)]
        running = subprocess.Popen(
            [*command, "--duration", "60", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_for(lambda: len(fake.received) > sessions * 20_000)
            yield running
        finally:
            running.kill()
            running.communicate()


def wait_for(true: Callable[[], bool]) -> None:
    """Raises AssertionError after a while."""
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
def test_what_was_measured_is_reported(number: signal.Signals, code: ExitCode, tmp_path: Path) -> None:
    """Every session says `end` and gets its summary; JSON and page say that the run was cut short."""
    fake, path = Fake(), tmp_path / "report.html"
    with loading(fake, "--ramp", "0.5", "--json", "--report", str(path)) as running:
        running.send_signal(number)
        out, errors = running.communicate(timeout=20)
    assert running.returncode == code, errors
    assert "Traceback" not in errors
    assert fake.ended == 3
    told: dict[str, Any] = orjson.loads(out)
    assert (told["sessions"], told["finished"], told["failures"]) == (3, 3, {})
    assert 0 < told["cut_short_s"] < 30
    assert [one["cut_short"] for one in told["steps"]] == [True]
    assert told["events"]["tone"] > 10
    assert "passed, cut short after" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("profile", ["ramp", "soak", "storm"])
def test_every_profile_can_be_cut_short(profile: str) -> None:
    """The text says it first."""
    arguments = ["--profile", profile, *(["--steps", "1"] if profile == "ramp" else [])]
    with loading(Fake(), *arguments, sessions=1) as running:
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=20)
    assert running.returncode == ExitCode.INTERRUPTED, errors
    assert out.startswith("Cut short   after ")
    assert "1 started, 1 finished, 0 failed" in out


def test_a_second_one_ends_at_once() -> None:
    """Where the gateway doesn't answer `end`, nobody has to wait for it; there is no report then."""
    fake = Fake(silent_end=True)
    with loading(fake, "--ramp", "0.5") as running:
        running.send_signal(signal.SIGINT)
        wait_for(lambda: fake.ended == 3)
        begun = time.monotonic()
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=20)
        assert time.monotonic() - begun < 3
    assert (running.returncode, out) == (ExitCode.INTERRUPTED, "")
    assert "Traceback" not in errors


def test_a_step_that_was_cut_short_is_no_capacity() -> None:
    """It may have broken a moment later."""
    measured = ramped(step(10, 20.0), step(20, 20.0, whole=False))
    assert capacity(measured, []) == 10
