"""`make cluster`, a part of its story: real servers, a proxy, two gateways, and parts that go away."""

import shutil
import subprocess
import sys

import pytest

from tests.e2e.conftest import ROOT
from tests.needs import need_command, need_module


@pytest.mark.parametrize("proxy", ["own", "nginx"])
def test_nothing_is_lost_silently(proxy: str) -> None:
    """Every session's ledger adds up, and no process is left behind."""
    need_module("valkey")
    need_module("asyncpg")
    if shutil.which("valkey-server") is None:
        need_command("redis-server")
    if proxy == "nginx" and shutil.which("nginx", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("nginx is not installed; the other proxy is tried in any case")
    command = [sys.executable, "-m", "scripts.cluster", "--short", "--sessions", "2", "--proxy", proxy]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "nothing was lost silently, nothing came twice" in done.stdout
    assert done.stdout.count("is back, at event") >= 2
