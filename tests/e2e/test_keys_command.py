"""`undertone keys` beside a gateway that runs, and the other commands with a key."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import GatewayProcess
from tests.gateway.commands.wavs import s16, simple, sine

SESSIONS = "/api/v1/sessions"


def undertone(*arguments: str) -> str:
    """The command's standard output."""
    command = [sys.executable, "-m", "gateway", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def until_told(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    """Wait, within a bound, until a request with `headers` gets `status`."""
    deadline = time.monotonic() + 10
    while client.get(SESSIONS, headers=headers).status_code != status:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["namespaces.toml", "namespaces.json"])
def test_keys_from_the_command_line_work_without_a_restart(
    tmp_path: Path, launch: Callable[..., GatewayProcess], name: str
) -> None:
    """Made, rotated and revoked beside a gateway that runs, which listens to everybody."""
    path = str(tmp_path / name)
    first = json.loads(undertone("keys", "create", "acme", "--json", "--file", path))
    running = launch(
        TRANSCRIBER="none", NAMESPACES_FILE=path, HOST="0.0.0.0", LOG_LEVEL="debug", LOG_FORMAT="json"
    )
    old = {"authorization": f"Bearer {first['key']}"}
    with httpx.Client(base_url=running.url, trust_env=False) as client:
        body = {"namespace_id": "acme", "key_hash": first["key_hash"]}
        assert client.post(SESSIONS, json=body).json()["namespace_id"] == "acme"
        assert client.get(SESSIONS, headers=old).status_code == 200
        second = json.loads(undertone("keys", "rotate", "acme", "--overlap", "0s", "--json", "--file", path))
        new = {"authorization": f"Bearer {second['key']}"}
        until_told(client, new, 200)
        assert client.get(SESSIONS, headers=old).status_code == 401
        undertone("keys", "revoke", second["key"].partition(".")[0], "--file", path)
        until_told(client, new, 401)
        metrics = client.get("/metrics").text
    assert running.stop() == 0
    assert 'undertone_refusals_total{code="unauthorized"}' in metrics
    written = "".join(running.log) + metrics + undertone("keys", "list", "--file", path)
    for made in (first, second):
        assert made["key"].partition(".")[2] not in written
        assert made["key_hash"] not in written
        assert made["key_hash"] not in Path(path).read_text()


def test_the_command_line_streams_with_a_key(launch: Callable[..., GatewayProcess], tmp_path: Path) -> None:
    """Out of a file, also under load; without one it is told what is missing."""
    path, key, talk = tmp_path / "namespaces.toml", tmp_path / "key", tmp_path / "talk.wav"
    key.write_text(
        json.loads(undertone("keys", "create", "acme", "--json", "--file", str(path)))["key"] + "\n"
    )
    talk.write_bytes(simple(s16(sine(16_000, 1.0))))
    url = launch(TRANSCRIBER="none", NAMESPACES_FILE=str(path)).url
    told = undertone("stream", str(talk), "--fast", "--json", "--url", url, "--key-file", str(key))
    assert json.loads(told.splitlines()[-1])["type"] == "summary"
    load = ("load", "--sessions", "2", "--duration", "2", "--expect", "failed=0")
    undertone(*load, "--url", url, "--key-file", str(key))
    with pytest.raises(subprocess.CalledProcessError) as refused:
        undertone("stream", str(talk), "--url", url)
    assert "unauthorized" in refused.value.stderr


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"NAMESPACES_FILE": "/nowhere/namespaces.toml"}, "can't be read"),
        ({"HOST": "0.0.0.0"}, "unless UNDERTONE_NAMESPACES_FILE"),
        ({"LEGACY_NAMESPACE": "acme"}, "without UNDERTONE_NAMESPACES_FILE"),
    ],
)
def test_a_gateway_that_would_let_in_the_wrong_ones_does_not_start(
    launch: Callable[..., GatewayProcess], settings: dict[str, str], told: str
) -> None:
    """It says what is missing."""
    with pytest.raises(AssertionError, match="did not start") as refused:
        launch(TRANSCRIBER="none", **settings)
    assert told in str(refused.value)
