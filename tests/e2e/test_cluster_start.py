"""Starting where there is no store: refused with its reason, or, if that is allowed, waiting for it."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests import stores
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
