"""`undertone load`, from its parsed arguments to its exit code."""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.load import EndedAtOnce, exit_code, load
from gateway.commands.load_expect import OF_THE_SERVER, broken, capacity, parse_expectations
from gateway.commands.load_options import LoadOptions
from gateway.commands.load_parser import (
    DEFAULT_CUT_EVERY_S,
    DEFAULT_LIFETIME_S,
    DEFAULT_OBSERVED,
    DEFAULT_STEPS,
)
from gateway.commands.load_profiles import Profile
from gateway.commands.load_report import as_json, as_lines
from gateway.commands.load_view import LoadView
from protocol.audio import AudioFormat

_OF_PROFILE = {"steps": Profile.RAMP, "lifetime": Profile.SOAK, "cut_every": Profile.STORM}
"""Options that only one profile has"""


def run(
    arguments: argparse.Namespace, audio: AudioFormat, config: Mapping[str, Any], bearer: str | None
) -> ExitCode:
    """Measure, and report. Raises CommandError."""
    expectations = parse_expectations(arguments.expect) if arguments.expect is not None else []
    options = options_of(arguments, audio, config, bearer)
    untold = [one.name for one in expectations if one.name in OF_THE_SERVER and options.pid is None]
    if untold:
        raise CommandError(f"--expect {untold[0]} needs --pid", hint="It is about the server's process.")
    if arguments.report is not None:
        _write(arguments.report, "", "a")  # what can't be written is told before the run, not after it
    view = LoadView(sys.stderr)
    try:
        with view.showing():
            measured = load(options, watch=view.look)
    except EndedAtOnce as ended:
        return ended.code
    failed = broken(measured, expectations)
    most = capacity(measured, expectations) if options.profile is Profile.RAMP else None
    if arguments.report is not None:
        from gateway.commands.load_page import page

        _write(arguments.report, page(measured, failed, most, time.time()))
    if arguments.json:
        text = orjson.dumps(as_json(measured, failed, most), option=orjson.OPT_INDENT_2).decode()
    else:
        text = "\n".join(as_lines(measured, failed, most))
    sys.stdout.write(f"{text}\n")
    return exit_code(measured, failed)


def _write(path: str, text: str, mode: str = "w") -> None:
    try:
        with Path(path).open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise CommandError(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from None


def options_of(
    arguments: argparse.Namespace, audio: AudioFormat, config: Mapping[str, Any], bearer: str | None
) -> LoadOptions:
    """What the arguments ask for. Raises CommandError where they don't go together."""
    profile = Profile(arguments.profile)
    for name, owner in _OF_PROFILE.items():
        if getattr(arguments, name) is not None and profile is not owner:
            raise CommandError(f"--{name.replace('_', '-')} belongs to --profile {owner}")
    if arguments.ramp is not None and profile is Profile.RAMP:
        raise CommandError("--ramp does not belong to --profile ramp", hint="It has --steps instead.")
    ramp_s = arguments.ramp or min(max(1.0, arguments.sessions / 100), arguments.duration / 2)
    if ramp_s >= arguments.duration:
        message = "--ramp must be shorter than --duration, or not all sessions are ever live together"
        raise CommandError(message)
    steps = arguments.steps or DEFAULT_STEPS
    if profile is Profile.RAMP and steps > arguments.sessions:
        raise CommandError(f"{arguments.sessions} sessions can't be reached in {steps} steps")
    observed = arguments.observed or DEFAULT_OBSERVED
    if arguments.observed is not None and not arguments.observers:
        raise CommandError("--observed says how many sessions have --observers, which is not given")
    if observed > arguments.sessions:
        raise CommandError(f"--observed {observed} is more than --sessions {arguments.sessions}")
    return LoadOptions(
        url=arguments.url,
        sessions=arguments.sessions,
        duration_s=arguments.duration,
        ramp_s=ramp_s,
        audio=audio,
        frame_ms=arguments.frame_ms,
        config=config,
        file=arguments.file,
        pid=arguments.pid,
        bearer=bearer,
        profile=profile,
        steps=steps,
        lifetime_s=arguments.lifetime or DEFAULT_LIFETIME_S,
        cut_every_s=arguments.cut_every or DEFAULT_CUT_EVERY_S,
        observers=arguments.observers or 0,
        observed=observed,
    )
