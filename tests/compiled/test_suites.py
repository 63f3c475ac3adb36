"""The compiled build passes the tests of what is compiled, and of what they make up together."""

import ast
import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.needs import need_compiled

ROOT = Path(__file__).parents[2]
HOOK = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
    "hooks"
]
MODULES: list[str] = [path.strip("/") for path in HOOK["mypyc"]["include"]]
SUITES = {
    "protocol": ["tests/protocol"],
    "audio": ["tests/gateway/audio", "tests/gateway/annotate"],
    "live": ["tests/gateway/live"],
    "classify": [
        *(f"tests/gateway/classify/test_{name}.py" for name in ("lanes", "queue", "scheduler")),
        "tests/gateway/classify/http1",
        "tests/gateway/classify/remote/test_bad_answers.py",
        "tests/gateway/classify/sidecar",
    ],
    "stores": ["tests/gateway/stores/test_memory.py", "tests/gateway/telemetry/test_metrics.py"],
    "sessions": ["tests/gateway/sessions"],
    "api": ["tests/gateway/api/test_conversation.py", "tests/gateway/api/test_resume_machine.py"],
    "server": [
        *(
            f"tests/gateway/server/test_{name}.py"
            for name in ("budget", "frames", "keepalive", "lane", "parser")
        ),
        "tests/gateway/server/test_websocket.py",
    ],
    "conformance": ["tests/conformance", "-k", "not portable and not hypercorn"],
}
"""What each run is given, as arguments of pytest. The slowest are left out."""


def _run(python: Path, arguments: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """In `folder`, without anything that leads to the sources of the gateway."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PY"))}
    return subprocess.run(
        [python, "-P", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("path", MODULES)
def test_what_is_listed_is_there(path: str) -> None:
    """The build hook passes over a path that names nothing."""
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("path", MODULES)
def test_no_coroutine_is_compiled(path: str) -> None:
    """Only what ports declare may be one."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    classes = [one for one in ast.walk(tree) if isinstance(one, ast.ClassDef)]
    ports = [one for one in classes if "Protocol" in map(ast.unparse, one.bases)]
    declared = {one for port in ports for one in ast.walk(port)}
    coroutines = {one for one in ast.walk(tree) if isinstance(one, ast.AsyncFunctionDef)}
    assert coroutines <= declared


def test_the_listed_modules_are_compiled(tmp_path: Path) -> None:
    """Each is a shared object of the environment, and no other module is."""
    python = need_compiled()
    names = [path.removesuffix(".py").replace("/", ".") for path in MODULES]
    told = _run(
        python,
        [
            "-c",
            "import importlib, sys\n"
            f"for name in {names!r}: print(importlib.import_module(name).__file__)\n"
            "from gateway.build import compiled; print(compiled())",
        ],
        tmp_path,
    ).stdout.split()
    site = python.parents[1] / "lib"
    assert told.pop() == "True", told
    assert len(told) == len(MODULES)
    assert all(one.endswith(".so") and Path(one).is_relative_to(site) for one in told), told


@pytest.mark.timeout(200)
@pytest.mark.parametrize("suite", SUITES)
def test_suite(suite: str, tmp_path: Path) -> None:
    """The same tests, with the gateway as it was installed: the sources are out of their reach."""
    python = need_compiled()
    for name in ("benchmarks", "docs", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    done = _run(python, ["-m", "pytest", "-q", "-p", "no:cacheprovider", *SUITES[suite]], tmp_path)
    assert done.returncode == 0, done.stdout[-6_000:]
