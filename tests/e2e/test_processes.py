"""`undertone serve --processes`: several nodes on one port."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from protocol.client import connect
from protocol.events import Welcome
from tests.e2e.conftest import GatewayProcess
from tests.e2e.servers import valkey
from tests.e2e.wire import run
from tests.peers import free_port

PROCESSES = 3
FRAME = bytes(3_200)


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """A store that they share."""
    with valkey() as url:
        yield url


def children(gateway: GatewayProcess) -> set[int]:
    """The supervisor's processes."""
    said = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text()
    return {int(pid) for pid in said.split()}


def names(first: int) -> set[str]:
    """What each process calls itself at its own port."""
    found = set()
    for port in range(first, first + PROCESSES):
        told = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        found |= {line.split('"')[1] for line in told.splitlines() if line.startswith("undertone_node_info{")}
    return found


def test_a_session_outlives_its_process(launch: Callable[..., GatewayProcess], store: str) -> None:
    """The one that holds it is killed: the client comes back to another, and nothing is missing. Each tells
    its own metrics; on the port that they share nobody does."""
    metrics = free_port()
    gateway = launch(
        STORE=store,
        PROCESSES=str(PROCESSES),
        METRICS_PORT=str(metrics),
        NODE_NAME="web",
        TRANSCRIBER="none",
        CLASSIFY_WORKER_KIND="thread",
    )
    refused = httpx.get(f"{gateway.url}/metrics", trust_env=False)
    assert refused.status_code == HTTPStatus.MISDIRECTED_REQUEST
    assert refused.json()["code"] == "metrics_of_each"
    assert names(metrics) == {"web-1", "web-2", "web-3"}
    before = children(gateway)
    assert len(before) == PROCESSES

    async def main() -> None:
        async with connect(gateway.ws_url) as client:
            for _ in range(20):
                await client.send(FRAME)
            holder = await asyncio.to_thread(owner, metrics)
            os.kill(pid_of(holder, before), signal.SIGKILL)
            async for event in client:
                if isinstance(event, Welcome):
                    break
            for _ in range(20):
                await client.send(FRAME)
            reading = asyncio.create_task(drained(client))
            summary = await client.end()
            await reading
            assert summary.next_sample == 40 * len(FRAME) // 2
            assert summary.next_sample == summary.classified_samples + summary.gap_samples

    async def drained(client: object) -> None:
        async for _ in client:  # type: ignore[attr-defined]
            pass

    run(main(), 60)
    assert gateway.stop() == 0
    assert {record["node_name"] for record in gateway.records() if "node_name" in record} >= {"web-1"}
    assert not [line for line in gateway.log if "Traceback" in line]


def owner(metrics: int) -> str:
    """The name of the process at which a session is live."""
    for port in range(metrics, metrics + PROCESSES):
        told = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        frames = next(line for line in told.splitlines() if line.startswith("undertone_frames_total"))
        if float(frames.split()[1]):
            return next(
                line.split('"')[1] for line in told.splitlines() if line.startswith("undertone_node_info{")
            )
    raise AssertionError("no process has taken audio in")


def pid_of(name: str, pids: set[int]) -> int:
    """The process of that name."""
    said = {pid: Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in pids}
    return next(pid for pid, seen in said.items() if f"UNDERTONE_NODE_NAME={name}".encode() in seen)
