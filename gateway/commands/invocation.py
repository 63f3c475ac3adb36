"""How this very program is called from the shell we are in: for commands that people will paste."""

import os
import shlex
import shutil
import sys
from pathlib import Path

_NAME = "undertone"


def undertone(arguments: str = "") -> str:
    """A command line that runs this installation: `undertone serve`, `.venv/bin/undertone serve`, ….

    The bare name only where the shell would find this installation by it, not none or another.
    """
    ours = _script()
    found = shutil.which(_NAME)
    if ours is None:
        command = f"{python()} -m gateway"
    elif found is not None and _same(Path(found), ours):
        command = _NAME
    else:
        command = _shown(ours)
    return f"{command} {arguments}".rstrip()


def python() -> str:
    """The interpreter that runs us, as it can be typed here."""
    return _shown(Path(sys.executable or "python3"))


def install(extra: str) -> str:
    """What installs an extra of this project into the environment we run in, from a clone of it.

    The name alone is no use to pip: on the public index it belongs to somebody else.
    """
    return f"{python()} -m pip install '.[{extra}]'"


def _script() -> Path | None:
    """The installed script: the one that was started, else the one beside the interpreter."""
    beside = Path(sys.executable or "python3").parent / _NAME
    started = Path(sys.argv[0])
    candidates = [started, beside] if started.name == _NAME else [beside]
    return next((one for one in candidates if one.is_file() and os.access(one, os.X_OK)), None)


def _shown(path: Path) -> str:
    """Relative to where we are when it is below, absolute else; quoted for the shell.

    Links are kept: `.venv/bin/python` is one, and what it leads to is another environment.
    """
    whole = Path(os.path.abspath(path))
    here = Path.cwd()
    short = whole.relative_to(here) if whole.is_relative_to(here) else whole
    # Without a slash the shell would look for it on PATH.
    return shlex.quote(str(short) if len(short.parts) > 1 else f"./{short}")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
