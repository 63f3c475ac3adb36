"""The tour of the REST API, run as it is against real gateways."""

import csv
import os
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from gateway.sessions.keys import Keyring
from gateway.stores.keyfile import save
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import ROOT, GatewayProcess
from tests.needs import need_command, need_module

TOUR = ROOT / "docs" / "examples" / "tour.sh"
SECONDS = 4


def recording(folder: Path) -> Path:
    """Some seconds of a real reader."""
    path = folder / "reading.wav"
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(16_000)
        target.writeframes(pcm(speech()[: SECONDS * 16_000]))
    return path


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Where `undertone` is this checkout's."""
    command = folder / "undertone"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    path = os.pathsep.join((str(folder), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **more}


@pytest.mark.parametrize("keyed", [False, True])
def test_the_tour_goes_all_the_way(
    launch: Callable[..., GatewayProcess], tmp_path: Path, keyed: bool
) -> None:
    """A session is made, streamed into, watched, exported, reported and deleted; with a key, too."""
    need_command("curl")
    need_module("pocketsphinx")
    settings, given = {"TRANSCRIBER": "pocketsphinx"}, {}
    if keyed:
        ring, key = Keyring().with_key("tour", time.time())
        save(tmp_path / "namespaces.toml", ring)
        settings["NAMESPACES_FILE"] = str(tmp_path / "namespaces.toml")
        given["KEY"] = key.bearer
    running = launch(**settings)
    results = tmp_path / "results"
    results.mkdir()
    ran = subprocess.run(
        [str(TOUR), str(recording(tmp_path)), str(results)],
        env=environment(tmp_path, GATEWAY=running.url, **given),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    check(results)
    session = ran.stdout.split(maxsplit=2)[1]
    with httpx.Client(base_url=running.url, trust_env=False) as client:
        headers = {"authorization": f"Bearer {given['KEY']}"} if keyed else {}
        assert client.get(f"/api/v1/sessions/{session}", headers=headers).status_code == 404


def check(results: Path) -> None:
    """What the tour leaves is what it says."""
    found = {one.name: one.read_text(encoding="utf-8") for one in results.iterdir()}
    assert set(found) == {"events.txt", "talk.vtt", "talk.csv", "talk.html"}
    assert "event: welcome" in found["events.txt"]
    assert "event: summary" in found["events.txt"]
    assert found["talk.vtt"].startswith("WEBVTT")
    rows = list(csv.DictReader(found["talk.csv"].splitlines()))
    assert {"tone", "transcript"} <= {row["type"] for row in rows}
    assert found["talk.html"].startswith("<!DOCTYPE html>")
