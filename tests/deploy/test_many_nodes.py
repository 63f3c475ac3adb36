"""Two gateways that share a store, behind each proxy: why no session needs to stick to a node."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from protocol.client import connect
from protocol.events import Summary, Tone
from tests.deploy.test_proxies import RUNS, SESSIONS
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import GatewayProcess, start_gateway
from tests.needs import need_command
from tests.peers import free_port


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    """The URL of a server that both have."""
    port = free_port()
    command = [need_command("redis-server"), "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert any("eady to accept" in line for line in running.stdout)
            yield f"valkey://127.0.0.1:{port}"
        finally:
            running.terminate()
            running.communicate(timeout=20)


@pytest.fixture
def gateways(store: str) -> Iterator[list[GatewayProcess]]:
    """Two of them."""
    running: list[GatewayProcess] = []
    try:
        settings = {"TRANSCRIBER": "none", "TRUSTED_PROXIES": "127.0.0.1", "STORE": store}
        running.extend(start_gateway(**settings) for _ in range(2))
        yield running
    finally:
        for one in running:
            one.stop()


def count(gateway: GatewayProcess, metric: str) -> float:
    """What that node tells of one metric, by its name and label."""
    told = httpx.get(f"{gateway.url}/metrics", trust_env=False, timeout=20).text
    found = re.search(rf"^{re.escape(metric)} (\S+)$", told, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("proxy", RUNS)
def test_a_session_goes_on_at_another_node(
    proxy: str, gateways: list[GatewayProcess], tmp_path: Path
) -> None:
    """Its node is stopped while somebody speaks: the same address leads to the other one; nothing is lost."""
    audio = pcm(speech()[:96_000])

    async def main(url: str) -> tuple[GatewayProcess, Summary]:
        http = httpx.AsyncClient(base_url=url, trust_env=False, timeout=20)
        async with asyncio.timeout(90), http:
            made = (await http.post(SESSIONS, json={})).json()
            async with connect(url, session_id=made["id"], ticket=made["ticket"]) as session:
                await session.send(audio[:64_000])
                async for event in session:
                    if isinstance(event, Tone):
                        break
                (owner,) = [one for one in gateways if count(one, 'undertone_readers{role="owner"}')]
                assert await asyncio.to_thread(owner.stop) == 0
                await session.send(audio[64_000:])
                return owner, await session.end()

    with RUNS[proxy]([f"127.0.0.1:{one.port}" for one in gateways], tmp_path) as url:
        owner, summary = asyncio.run(main(url))
    (other,) = [one for one in gateways if one is not owner]
    assert count(other, 'undertone_sessions_claimed_total{from="taken"}') == 1
    assert (summary.classified_samples, summary.gap_samples) == (96_000, 0)
