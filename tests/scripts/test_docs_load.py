"""docs/load.md says what `undertone load` does today."""

import re

import pytest

from gateway.commands.load_command import options_of
from gateway.commands.load_expect import LIMITS, parse_expectations
from gateway.commands.load_profiles import Profile
from gateway.commands.parsers import parse
from protocol.audio import AudioFormat
from scripts.docs import ROOT

TEXT = (ROOT / "docs" / "load.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^undertone (load .+)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_understood(command: str) -> None:
    """Its options exist and go together."""
    arguments = parse(command.split())
    options_of(arguments, AudioFormat(), {}, None)
    if arguments.expect:
        parse_expectations(arguments.expect)


def test_every_profile_and_bound_is_told() -> None:
    """A new one without a word here shows."""
    assert set(re.findall(r"^### (\w+)$", TEXT, re.MULTILINE)) == set(Profile)
    table = "".join(re.findall(r"^\| (`.+?) \|", TEXT, re.MULTILINE))
    assert set(re.findall(r"`([^`]+)`", table)) == set(LIMITS)
