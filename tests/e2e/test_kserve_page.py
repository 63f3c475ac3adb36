"""The page about model servers: its commands are run as they stand, on other ports."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from gateway.classify.kserve.model import read_spec
from protocol.client import connect
from protocol.events import Tone
from tests.e2e.conftest import ROOT
from tests.e2e.test_kserve import LOUD, window
from tests.gateway.classify.kserve.kit import run
from tests.needs import need_peer
from tests.peers import free_port

PAGE = (ROOT / "docs" / "classifiers" / "kserve.md").read_text(encoding="utf-8")


def block(marker: str) -> str:
    """The fenced block after `<!-- marker -->`."""
    found = re.search(rf"<!-- {marker} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, marker
    return found[1]


@pytest.mark.parametrize("number", range(len(re.findall(r"```toml", PAGE))))
def test_model_files_in_the_page_are_good(tmp_path: Path, number: int) -> None:
    """Each field that is shown is one, and shown with a value that it takes."""
    text = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[number]
    (tmp_path / "labels.txt").write_text("a\nb\n", encoding="utf-8")
    (tmp_path / "model.toml").write_text(text, encoding="utf-8")
    read_spec(tmp_path / "model.toml")


def test_the_reference_shows_every_field(tmp_path: Path) -> None:
    """And what it shows as a default is the default, where it says so by leaving it out."""
    shown = tomllib.loads(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[-1])
    code = (ROOT / "gateway" / "classify" / "kserve" / "model.py").read_text(encoding="utf-8")
    fields = set(re.findall(r'\.take\(\s*"(\w+)"', code)) | set(re.findall(r'\.table\("(\w+)"\)', code))
    told = set(shown) | {field for table in shown.values() if isinstance(table, dict) for field in table}
    assert fields - {"labels"} <= told


def test_the_commands_work(tmp_path: Path) -> None:
    """MLServer's, the model file and the gateway's, from the first line to a tone."""
    need_peer("mlserver")
    server_port, port, others = free_port(), free_port(), (free_port(), free_port())
    undertone = tmp_path / "undertone"
    undertone.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway "$@"\n', encoding="utf-8")
    undertone.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "UNDERTONE_PORT": str(port),
        "UNDERTONE_TRANSCRIBER": "none",
        "MLSERVER_GRPC_PORT": str(others[0]),
        "MLSERVER_METRICS_PORT": str(others[1]),
        "MLSERVER_ENVIRONMENTS_DIR": str(tmp_path / "envs"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    model = tmp_path / "model.toml"
    model.write_text(block("file: model.toml"), encoding="utf-8")
    commands = [
        block("run: mlserver").replace("8080", str(server_port)),
        block("run: gateway").replace("8080", str(server_port)).replace("model.toml", str(model)),
    ]
    # A group of its own each: what the shell started ends with it.
    started = [
        subprocess.Popen(
            ["/bin/sh", "-ec", command],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for command in commands
    ]
    try:
        _answers(f"http://127.0.0.1:{server_port}/v2/models/tone/ready")
        _answers(f"http://127.0.0.1:{port}/health")
        assert run(_first_tone(f"ws://127.0.0.1:{port}/ws/voice"), 60) == "Tense"
    finally:
        for process in started:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, trust_env=False, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{url} never answered")


async def _first_tone(url: str) -> str:
    """The label of the first tone for a loud voice; the server may need a moment."""
    data = window(LOUD).samples.tobytes()
    async with connect(url, config={"delivery": "lossless"}) as client:

        async def talk() -> None:
            while True:
                for at in range(0, len(data), 3_200):
                    await client.send(data[at : at + 3_200])
                await asyncio.sleep(0.3)

        talking = asyncio.create_task(talk())
        try:
            async for event in client:
                if isinstance(event, Tone):
                    return event.label
        finally:
            talking.cancel()
    raise AssertionError("no tone came")
