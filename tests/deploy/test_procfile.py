"""The Procfile: its processes are commands of ours, and each listens where the process manager says."""

import re

import pytest

from tests.deploy.files import ROOT, command_of

PROCESSES = dict(
    line.split(": ", 1) for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines() if line
)


def test_it_has_these_processes() -> None:
    """A process manager runs `release` once before the others, and then as many of those as it is told."""
    assert list(PROCESSES) == ["web", "classify", "release"]


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_is_a_command(name: str) -> None:
    """Out of the environment that `make` made, where there is one; and in place of the shell."""
    found = re.fullmatch(r'PATH="\.venv/bin:\$PATH" exec undertone (.+)', PROCESSES[name])
    assert found is not None
    said = re.sub(r'"\$\{\w+:-(\d+)\}"', r"\1", found[1]).split()
    assert command_of(said) == {"web": "serve", "classify": "classify", "release": "migrate"}[name]


def test_what_the_readme_starts_goes_on() -> None:
    """A process manager ends all of them as soon as one ends, as `release` does at once."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    started = re.findall(r"honcho start (.+?)(?:`| +#|$)", readme, re.MULTILINE)
    assert [set(one.split()) for one in started] == [set(PROCESSES) - {"release"}]
