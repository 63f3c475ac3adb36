"""What a test needs from the machine: missing in CI it fails, elsewhere it skips and says why."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)


def need_file(path: str | Path) -> Path:
    """The file, or a skip (a failure in CI) that names it."""
    found = Path(path)
    if not found.exists():
        _missing(f"{found} is missing; scripts/system-packages.sh test installs it")
    return found


def need_command(name: str) -> str:
    """The command's path, or a skip (a failure in CI) that names it."""
    found = shutil.which(name)
    if found is None:
        _missing(f"the command {name} is missing; scripts/system-packages.sh test installs it")
    return found


def need_tracer() -> str:
    """strace's path, where it is there and may trace, or a skip (a failure in CI) that says why not."""
    found = need_command("strace")
    tried = subprocess.run([found, "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        _missing(f"strace may not trace here: {tried.stderr.strip()}")
    return found


@cache
def need_sampler() -> None:
    """Go on only where py-spy is installed and may look at other processes.

    A skip everywhere where it may not: containers take that right from everybody, and no package gives it.
    """
    found = Path(sysconfig.get_path("scripts")) / "py-spy"
    if not found.exists():
        _missing("py-spy is missing; make test installs it")
    look = ("record", "--format", "raw", "--output", os.devnull, "--duration", "1", "--rate", "10")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        try:
            time.sleep(0.2)  # what has no interpreter yet can't be looked at
            tried = subprocess.run(
                [str(found), *look, "--pid", f"{process.pid}"], capture_output=True, text=True, check=False
            )
        finally:
            process.kill()
    if tried.returncode != 0:
        pytest.skip(f"py-spy may not look at processes here: {tried.stderr.strip()}")


@cache
def need_namespaces() -> None:
    """Go on only where network namespaces can be made.

    A skip everywhere where they may not: it takes the rights of an administrator, and no package gives them.
    """
    name = f"probe-{os.getpid()}"
    command = [need_command("ip"), "netns"]
    tried = subprocess.run([*command, "add", name], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"network namespaces can't be made here: {tried.stderr.strip()}")
    subprocess.run([*command, "del", name], check=True)


def need_postgres() -> Path:
    """The folder of PostgreSQL's programs: that of `initdb` in the PATH, or the newest that Debian has."""
    in_path = shutil.which("initdb")
    if in_path is not None:
        return Path(in_path).resolve().parent
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: float(one.parents[1].name)
    )
    if not found:
        _missing("PostgreSQL is missing; scripts/system-packages.sh test installs it")
    return found[-1].parent


def need_module(name: str) -> None:
    """Go on only where the Python module can be imported."""
    if importlib.util.find_spec(name) is None:
        _missing(f"the Python module {name} is missing; make test installs it")


def need_compiled() -> Path:
    """The Python of `.venv-fast`, where the gateway is compiled from the sources as they are now."""
    root = Path(__file__).parents[1]
    python, stamp = root / ".venv-fast/bin/python", root / ".venv-fast/test.stamp"
    if not python.exists() or not stamp.exists():
        _missing("there is no compiled build; make test makes one, with a C compiler")
    sources = [path for package in ("gateway", "protocol") for path in (root / package).rglob("*.py")]
    if max(path.stat().st_mtime for path in sources) > stamp.stat().st_mtime:
        _missing("the compiled build is older than the sources; make test makes it anew")
    return python


def need_node(*packages: str) -> str:
    """Node.js, where it has the npm packages."""
    from scripts import web  # not beside the tests of the compiled build

    found = web.node()
    if found is None or not all((web.FOLDER / "node_modules" / one).is_dir() for one in packages):
        _missing(f"Node.js or one of {', '.join(packages)} is missing; scripts/web.sh installs them")
    return found


def need_peer(module: str) -> Path:
    """The Python of the model servers' environment, where it has `module`."""
    found = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"
    probe = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    if not found.exists() or subprocess.run([str(found), "-c", probe], check=False).returncode != 0:
        _missing(f"the model server {module} is missing; scripts/peers.sh installs it")
    return found
