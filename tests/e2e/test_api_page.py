"""docs/api.md is true: its commands run, in their order, and what comes back looks as it is shown."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gateway.sessions.keys import Keyring
from gateway.stores.keyfile import save
from tests.e2e.conftest import ROOT, GatewayProcess
from tests.e2e.test_tour import environment, recording
from tests.needs import need_command, need_module

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:8522"
MARK = "-- the next block --"
WITH_KEYS = "## With keys"
BLOCK = re.compile(r"```(sh|json)\n(.*?)```", re.DOTALL)
CHANCE = re.compile(r"(^|_)(id|ticket|at|url|sample|state|progress)$")
"""Fields whose values differ each time; their types don't."""


def blocks(text: str) -> list[tuple[str, str | None]]:
    """Each command, and the JSON that is shown right after it."""
    found = BLOCK.findall(text)
    return [
        (body, found[at + 1][1] if at + 1 < len(found) and found[at + 1][0] == "json" else None)
        for at, (kind, body) in enumerate(found)
        if kind == "sh"
    ]


def outputs(commands: Sequence[str], folder: Path, url: str, **more: str) -> list[str]:
    """What each command printed, all run by one shell."""
    script = "".join(f"{one}\necho\necho '{MARK}'\n" for one in commands)
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace(ADDRESS, url.removeprefix("http://"))],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.split(MARK)[:-1]


def alike(shown: Any, got: Any, name: str = "") -> bool:
    """Whether both have the same keys, and the same values where chance has no part in them."""
    if isinstance(shown, dict) and isinstance(got, dict):
        return shown.keys() == got.keys() and all(alike(shown[key], got[key], key) for key in shown)
    if isinstance(shown, list) and isinstance(got, list):
        return len(shown) == len(got) and all(map(alike, shown, got))
    return type(shown) is type(got) and (shown == got or bool(CHANCE.search(name)))


def check(text: str, folder: Path, url: str, **more: str) -> None:
    """Run what stands in `text`, and compare."""
    recording(folder).rename(folder / "talk.wav")
    wanted = blocks(text)
    for (command, shown), printed in zip(
        wanted, outputs([command for command, _ in wanted], folder, url, **more), strict=True
    ):
        if shown is not None:
            assert alike(json.loads(shown), json.loads(printed)), f"{command}\n{printed}"


def test_the_commands_do_what_the_page_says(launch: Callable[..., GatewayProcess], tmp_path: Path) -> None:
    """From the first to the last, on a gateway without keys."""
    need_command("curl")
    need_module("pocketsphinx")
    check(PAGE.partition(WITH_KEYS)[0], tmp_path, launch(TRANSCRIBER="pocketsphinx").url)
    assert (tmp_path / "talk.vtt").read_text(encoding="utf-8").startswith("WEBVTT")
    assert (tmp_path / "talk.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_commands_with_keys_do_too(launch: Callable[..., GatewayProcess], tmp_path: Path) -> None:
    """On a gateway that needs them."""
    need_command("curl")
    ring, key = Keyring().with_key("acme", time.time())
    save(tmp_path / "namespaces.toml", ring)
    running = launch(TRANSCRIBER="none", NAMESPACES_FILE=str(tmp_path / "namespaces.toml"))
    head, _, tail = PAGE.partition(WITH_KEYS)
    setting_up = BLOCK.findall(head)[0][1]
    check(f"```sh\n{setting_up}```\n{tail}", tmp_path, running.url, KEY=key.bearer)
