"""The commands we print work where they are pasted."""

import sys
from pathlib import Path

import pytest

from gateway.commands import invocation


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with an environment of its own, which is where we are and what runs us; PATH is empty."""
    for name in ("python", "undertone"):
        executable(tmp_path / ".venv" / "bin" / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.setattr(sys, "argv", [".venv/bin/undertone", "demo"])
    return tmp_path


def executable(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def test_not_on_path(clone: Path) -> None:
    """Where the shell would not find `undertone`, its path from here is told."""
    assert invocation.undertone("serve") == ".venv/bin/undertone serve"


def test_on_path(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the shell finds us, also by a link, the name is enough."""
    monkeypatch.setenv("PATH", str(clone / ".venv/bin"))
    assert invocation.undertone("serve") == "undertone serve"
    links = clone / "links"
    links.mkdir()
    (links / "undertone").symlink_to(clone / ".venv/bin/undertone")
    monkeypatch.setenv("PATH", str(links))
    assert invocation.undertone() == "undertone"


def test_another_on_path(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger of the same name is not what we tell people to run."""
    executable(clone / "other/undertone")
    monkeypatch.setenv("PATH", str(clone / "other"))
    assert invocation.undertone() == ".venv/bin/undertone"


def test_from_elsewhere(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of the clone the whole path is told, quoted where it must be."""
    elsewhere = clone / "else where"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(sys, "argv", [str(clone / ".venv/bin/undertone")])
    assert invocation.undertone() == f"{clone}/.venv/bin/undertone"
    executable(elsewhere / "undertone")
    monkeypatch.setattr(sys, "argv", ["undertone"])
    assert invocation.undertone() == "./undertone"
    monkeypatch.chdir(clone)
    monkeypatch.setattr(sys, "argv", [str(elsewhere / "undertone")])
    assert invocation.undertone() == "'else where/undertone'"


def test_as_a_module(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m gateway` has the script beside its interpreter, or tells its own way."""
    monkeypatch.setattr(sys, "argv", [str(clone / "gateway/__main__.py")])
    assert invocation.undertone("demo") == ".venv/bin/undertone demo"
    (clone / ".venv/bin/undertone").unlink()
    assert invocation.undertone("demo") == ".venv/bin/python -m gateway demo"


def test_extras_are_installed_from_the_clone(clone: Path) -> None:
    """Never by the project's name, which is somebody else's on the public index."""
    assert invocation.install("mic") == ".venv/bin/python -m pip install '.[mic]'"
