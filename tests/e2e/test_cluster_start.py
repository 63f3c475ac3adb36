"""Starting where there is no store: refused with its reason, or, if that is allowed, waiting for it."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests import postgres, stores
from tests.e2e.cluster import PLAIN, asked, eventually
from tests.e2e.conftest import ROOT, start_gateway
from tests.e2e.wire import dial, errors, rest, run, welcomed
from tests.peers import free_port

NOWHERE = {
    "valkey": {"STORE": "valkey://127.0.0.1:{port}"},
    "postgres": {"STORE": "postgres", "DATABASE_URL": "postgresql://somebody:secret-word@127.0.0.1:{port}/d"},
}


@pytest.mark.parametrize("kind", NOWHERE)
def test_without_a_store_it_does_not_start(kind: str) -> None:
    """The log says why; no password is in it."""
    settings = {name: value.format(port=free_port()) for name, value in NOWHERE[kind].items()}
    environment = {f"UNDERTONE_{name}": value for name, value in (PLAIN | settings).items()}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "--port", "0"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode != 0
    assert "can't be reached" in done.stderr
    assert "secret-word" not in done.stderr + done.stdout


def test_a_store_that_comes_later(tmp_path: Path) -> None:
    """With UNDERTONE_STORE_REQUIRED=false a node is alive and not ready; what is asked of it meanwhile is
    refused for now, and soon after the store has come it serves."""
    port = free_port()
    node = start_gateway(**PLAIN, STORE=f"valkey://127.0.0.1:{port}", STORE_REQUIRED="false")

    async def ready() -> bool:
        return (await asked(f"{node.url}/readyz")).status_code == 200

    async def before() -> None:
        assert (await asked(f"{node.url}/healthz")).status_code == 200
        answer = await asked(f"{node.url}/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"]["store"] == "waiting"
        refused = await asked(f"{node.url}/api/v1/sessions", "POST")
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
        async with dial(node) as opened:
            heard, code = await rest(opened)
            assert (errors(heard), code) == (["store_unavailable"], 4102)

    async def after() -> None:
        took = await eventually(ready, 10, "being ready")
        print(f"ready {took:.1f} s after the store")
        async with dial(node) as opened:
            await welcomed(opened)
        assert (await asked(f"{node.url}/api/v1/sessions", "POST")).status_code == 201
        await asyncio.sleep(0)

    try:
        run(before())
        server = stores.start(tmp_path, port=port)
        try:
            run(after())
        finally:
            assert node.stop() == 0
            server.stop()
    finally:
        node.stop()
    assert not [line for line in node.log if "Traceback" in line]


def test_an_audit_trail_that_comes_later(tmp_path: Path) -> None:
    """Where only the audit trail is away, a node that starts joins the others and serves like those that were
    there when it went: nobody takes its sessions for a lost node's. Once it comes it is given what waited."""
    behind = postgres.Server()
    behind.stop()
    valkey = stores.start(tmp_path)
    node = start_gateway(
        **PLAIN,
        STORE=valkey.url,
        DATABASE_URL=behind.url(),
        STORE_REQUIRED="false",
        AUDIT_RETENTION_DAYS="1",
    )

    async def facts() -> tuple[int, str, float, float]:
        answer = await asked(f"{node.url}/readyz")
        told = (await asked(f"{node.url}/metrics")).text
        away = value(told, 'undertone_store_away{part="trail"}')
        return answer.status_code, answer.json()["checks"]["trail"], value(told, "undertone_nodes"), away

    async def joined() -> bool:
        return await facts() == (200, "away", 1.0, 1.0)

    async def found() -> bool:
        return await facts() == (200, "ok", 1.0, 0.0)

    async def scenario() -> None:
        await eventually(joined, 10, "having joined")
        async with dial(node) as opened:
            await welcomed(opened)
        behind.start()
        await eventually(found, 20, "having found the trail")

    try:
        run(scenario())
    finally:
        node.stop()
        valkey.stop()
        behind.close()
    assert not [line for line in node.log if "Traceback" in line]


def value(told: str, name: str) -> float:
    """Of a metric without further labels."""
    (found,) = [line.rpartition(" ")[2] for line in told.splitlines() if line.startswith(f"{name} ")]
    return float(found)
