"""The image: what goes into it, how it runs, and how it is asked whether it is well."""

import fnmatch
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.deploy.files import DEPLOY, ROOT, command_of, lines
from tests.e2e.conftest import start_gateway
from tests.needs import need_file

FILE = DEPLOY / "container" / "Containerfile"
TEXT = FILE.read_text(encoding="utf-8")
LAST = TEXT.rpartition("FROM ")[2]


def one(instruction: str, text: str = LAST) -> str:
    """The argument of the one such instruction of the image, on one line."""
    joined = text.replace("\\\n", " ")
    (found,) = re.findall(rf"^{instruction} +(.+)$", joined, re.MULTILINE)
    return re.sub(r"\s+", " ", found)


def test_hadolint_finds_nothing() -> None:
    """Not even something of style, but for what the file says itself."""
    hadolint = need_file(Path(sysconfig.get_path("scripts")) / "hadolint")
    checked = subprocess.run([hadolint, "--no-color", str(FILE)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def kept(path: str) -> bool:
    """Whether the last rule of `.dockerignore` about `path`, or about a folder of it, lets it in."""
    parts = path.split("/")
    above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    inside = True
    for rule in lines((ROOT / ".dockerignore").read_text(encoding="utf-8")):
        pattern = rule.removeprefix("!")
        names = (*above, *parts) if pattern.startswith("**/") else above
        if any(fnmatch.fnmatchcase(name, pattern.removeprefix("**/")) for name in names):
            inside = rule.startswith("!")
    return inside


def test_what_is_copied_is_there_and_not_ignored() -> None:
    """Everything that COPY names, and nothing private beside it."""
    copied = [line.split()[1:-1] for line in lines(TEXT) if line.startswith("COPY ") and "--from" not in line]
    sources = [source for group in copied for source in group]
    assert {"gateway", "protocol", "pyproject.toml", "scripts/wheel.sh"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists()
        assert kept(source)
    assert kept("gateway/web/index.html")
    for private in (
        ".git",
        ".venv",
        "deploy/secrets/undertone.toml",
        "gateway/__pycache__",
        "tests",
        "scripts/web.py",
    ):
        assert not kept(private)


def test_it_has_what_nodes_need_to_share() -> None:
    """The extras exist, and so does what the build calls."""
    extras = re.search(r"\[([a-z,]+)\]", TEXT)
    assert extras is not None
    assert set(extras[1].split(",")) == {"embedded", "valkey", "postgres"}
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in extras[1].split(","):
        assert re.search(rf"^{extra} = \[", declared, re.MULTILINE)
    assert os.access(ROOT / "scripts" / "wheel.sh", os.X_OK)


def test_it_runs_as_nobody_special_and_stops_in_order() -> None:
    """A number as user, SIGTERM, the port, and `serve` where nothing else is said."""
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", one("USER"))
    assert one("STOPSIGNAL") == "SIGTERM"
    assert one("EXPOSE") == "8522"
    assert json.loads(one("ENTRYPOINT")) == ["undertone"]
    assert command_of(json.loads(one("CMD"))) == "serve"
    assert set(re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)) == {"python:${PYTHON}-slim"}
    assert one("ARG", TEXT) == "PYTHON=3.12"


def test_its_healthcheck_tells_a_gateway_from_none() -> None:
    """Really run: 0 while the gateway is there, else something else."""
    running = start_gateway(TRANSCRIBER="none")
    command = json.loads(one("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "python"
    environment = {**os.environ, "UNDERTONE_PORT": str(running.port)}

    def asked() -> int:
        return subprocess.run(
            [sys.executable, *command[1:]], env=environment, capture_output=True, check=False, timeout=20
        ).returncode

    try:
        assert asked() == 0
    finally:
        running.stop()
    assert asked() != 0
