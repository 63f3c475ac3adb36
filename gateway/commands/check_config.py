"""`undertone check-config`: say everything that is wrong with the settings, or show those in force."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from gateway.commands.exits import ExitCode
from gateway.settings import Settings, SettingsError, effective, explain


def check_config(
    environ: Mapping[str, str],
    config: str | None,
    out: TextIO,
    errors: TextIO,
    also: Callable[[Settings], object] = lambda _: None,
) -> ExitCode:
    """Load the settings as `serve` would; problems go to `errors`, the settings in force to `out`.

    Args:
        also: looks at what the settings name, and raises SettingsError where that can't be used.
    """
    try:
        settings = Settings.load(environ, Path(config) if config is not None else None)
        also(settings)
    except SettingsError as error:
        errors.write(explain(error.problems).rstrip("\n") + "\n")
        return ExitCode.USAGE
    out.write(effective(settings))
    return ExitCode.OK
