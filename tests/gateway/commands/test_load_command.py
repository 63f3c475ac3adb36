"""`undertone load` from its arguments on."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.load_command import options_of, run
from gateway.commands.load_options import LoadOptions
from gateway.commands.load_profiles import Profile
from gateway.commands.parsers import parse
from protocol.audio import AudioFormat
from tests.gateway.commands.fake import Fake
from tests.gateway.commands.test_demo import started


def asked(*arguments: str) -> LoadOptions:
    """What these arguments ask for."""
    return options_of(parse(["load", *arguments]), AudioFormat(), {}, None)


def test_each_profile_has_its_defaults() -> None:
    """Five steps, a minute of life, a cut every two to six seconds."""
    assert asked().profile is Profile.HOLD
    assert asked("--profile", "ramp").steps == 5
    assert asked("--profile", "soak").lifetime_s == 60.0
    assert asked("--profile", "storm").cut_every_s == (2.0, 6.0)


def test_options_of_a_profile_are_taken() -> None:
    """In the units that help says."""
    assert asked("--profile", "ramp", "--steps", "7").steps == 7
    assert asked("--profile", "soak", "--lifetime", "1.5").lifetime_s == 1.5
    assert asked("--profile", "storm", "--cut-every", "0.5-2").cut_every_s == (0.5, 2.0)
    assert asked("--profile", "storm", "--cut-every", "3").cut_every_s == (3.0, 3.0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--steps", "3"], "--steps belongs to --profile ramp"),
        (["--profile", "ramp", "--lifetime", "3"], "--lifetime belongs to --profile soak"),
        (["--cut-every", "3-4"], "--cut-every belongs to --profile storm"),
        (["--profile", "ramp", "--ramp", "3"], "--ramp does not belong to --profile ramp"),
        (["--profile", "ramp", "--sessions", "3"], "3 sessions can't be reached in 5 steps"),
        (["--ramp", "30"], "--ramp must be shorter than --duration"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: list[str], told: str) -> None:
    """Rather than left without effect."""
    with pytest.raises(CommandError, match=told):
        asked(*arguments)


@pytest.mark.parametrize("text", ["4-2", "x", "1-", "-1", "0-1", "1.2.3"])
def test_wrong_spans_are_usage_errors(text: str) -> None:
    """Two numbers of seconds, the smaller one first."""
    with pytest.raises(SystemExit):
        parse(["load", f"--cut-every={text}"])


def carried_out(fake: Fake, *arguments: str) -> ExitCode:
    """Run against a stand-in."""
    fake.hop_ms = 100
    with started(fake) as url:
        given = parse(["load", "--url", url, "--sessions", "1", "--duration", "0.3", *arguments])
        return run(given, AudioFormat(), {}, None)


def test_the_report_is_printed_and_written(tmp_path: Path, capsys: Any) -> None:
    """As text or JSON on standard output, and as a page where that is asked for."""
    path = tmp_path / "report.html"
    assert carried_out(Fake(), "--json", "--report", str(path)) is ExitCode.OK
    assert orjson.loads(capsys.readouterr().out)["profile"] == "hold"
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert carried_out(Fake(gap=True), "--expect", "gaps=0") is ExitCode.FAILED
    assert "BROKEN      expected gaps ≤ 0 samples" in capsys.readouterr().out


def test_a_page_that_cannot_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    """Not after hours of it."""
    fake = Fake()
    with pytest.raises(CommandError, match="can't be written"):
        carried_out(fake, "--report", str(tmp_path / "none" / "report.html"))
    assert not fake.received
