"""The process: how it starts, how it stops, what it refuses."""

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from protocol.audio import AudioFormat
from protocol.client import Client, ConnectionLost, connect
from protocol.events import Drain, Error, Event, Summary, UnknownEvent
from tests.e2e.conftest import ROOT, GatewayProcess, start_gateway


def test_it_stops_at_once_whoever_is_connected() -> None:
    """SIGTERM: sockets are told and closed with 1012, streams end, and the exit status is 0."""
    running = start_gateway(TRANSCRIBER="none")
    lines: list[str] = []

    def observe(session: str) -> None:
        url = f"{running.url}/api/v1/sessions/{session}/events"
        with httpx.Client(trust_env=False, timeout=30) as client, client.stream("GET", url) as answer:
            lines.extend(answer.iter_lines())

    async def main() -> None:
        audio = AudioFormat(sample_rate=8_000)  # a live resampler has native state to let go of
        async with connect(running.ws_url, audio=audio, resume=False) as client:
            watcher = threading.Thread(target=observe, args=(client.welcome.session_id,))
            watcher.start()
            await client.send(bytes(3_200))
            await asyncio.to_thread(observer_arrived, running)
            started = time.monotonic()
            status = await asyncio.to_thread(running.stop)
            assert status == 0
            assert time.monotonic() - started < 9, "it waited for its grace period"
            seen = await everything(client)
            assert client.close_code == 1012
            assert any(isinstance(event, Drain) for event in seen)
            watcher.join(timeout=10)

    asyncio.run(main())
    assert "event: welcome" in lines
    assert not [line for line in running.log if not line.startswith("{")], "something else than log lines"


async def everything(client: Client) -> list[Event | UnknownEvent]:
    """What is still to be read, however it ends."""
    seen: list[Event | UnknownEvent] = []
    with contextlib.suppress(ConnectionLost):
        async for event in client:
            seen.append(event)  # noqa: PERF401 - what came before an error counts too
    return seen


def observer_arrived(running: GatewayProcess) -> None:
    """Wait for the observer, as the metrics see it."""
    for _ in range(500):
        text = httpx.get(f"{running.url}/metrics", trust_env=False).text
        if 'undertone_readers{role="observer"} 1.0' in text:
            return
        time.sleep(0.02)
    pytest.fail("the observer did not arrive")


def serve(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `undertone serve` to its end, which must be soon."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", "serve", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_taken_port_is_one_clear_line(gateway: GatewayProcess) -> None:
    """No traceback, and what to do about it."""
    done = serve("--port", gateway.url.rpartition(":")[2])
    assert done.returncode == 2
    assert "Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"UNDERTONE_PORT": "eighty"}, "UNDERTONE_PORT"),
        ({"UNDERTONE_PROT": "80"}, "UNDERTONE_PORT"),
        ({"UNDERTONE_HOST": "0.0.0.0"}, "UNDERTONE_ALLOW_PUBLIC_BIND"),
        ({"UNDERTONE_PROCESSES": "2"}, "UNDERTONE_PROCESSES"),
    ],
)
def test_settings_that_can_not_be_are_explained(environment: dict[str, str], told: str) -> None:
    """Before anything is opened, naming the setting."""
    done = serve(**environment)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_lost_owner_may_come_back(launch: Callable[..., GatewayProcess]) -> None:
    """Cut without a word, the session waits, and goes on at the sample and the event where it was."""
    running = launch(TRANSCRIBER="none")

    async def main() -> None:
        async with asyncio.timeout(20), connect(running.ws_url, resume=False) as first:
            await first.send(bytes(40_000))
            await anext(aiter(first))
            welcome, last = first.welcome, first.connection.last_seq
            first.drop()
        async with connect(
            running.ws_url,
            session_id=welcome.session_id,
            epoch=welcome.epoch,
            after=last,
            ticket=welcome.resume_token,
        ) as second:
            assert second.welcome.recovered
            assert second.welcome.next_sample == 20_000
            assert second.welcome.resume_token != welcome.resume_token
            await second.send(bytes(8_000))
            summary = await second.end()
            assert (summary.received_samples, summary.gap_samples) == (24_000, 0)

    asyncio.run(main())


def test_an_idle_session_is_ended_with_its_account(launch: Callable[..., GatewayProcess]) -> None:
    """Nothing heard for too long: told why, closed in order, and what was pending was classified."""
    running = launch(TRANSCRIBER="none", SESSION_IDLE_TTL_S="1.5", HEARTBEAT_S="1")

    async def main() -> None:
        async with asyncio.timeout(20), connect(running.ws_url, resume=False) as client:
            await client.send(bytes(3_200))
            seen = await everything(client)
            summary = next(event for event in seen if isinstance(event, Summary))
            error = next(event for event in seen if isinstance(event, Error))
            assert (summary.classified_samples, summary.gap_samples) == (1_600, 0)
            assert (error.code, error.fatal, client.close_code) == ("idle_timeout", True, 4004)

    asyncio.run(main())


def test_a_session_nobody_comes_back_to_expires_with_its_account(
    launch: Callable[..., GatewayProcess],
) -> None:
    """Cut and left alone, it ends; its summary and statistics can still be read."""
    running = launch(TRANSCRIBER="none", SESSION_DETACHED_TTL_S="0.5")

    async def main() -> str:
        async with asyncio.timeout(20), connect(running.ws_url, resume=False) as client:
            await client.send(bytes(3_200))
            await client.ping()
            await anext(aiter(client))
            client.drop()
            return client.welcome.session_id

    session = asyncio.run(main())
    path = f"{running.url}/api/v1/sessions/{session}"
    with httpx.Client(trust_env=False) as client:
        for _ in range(200):
            stats = client.get(f"{path}/stats").json()
            if stats["status"] == "expired" and not stats["pending_samples"]:
                break
            time.sleep(0.05)
        assert (stats["status"], stats["classified_samples"], stats["gap_samples"]) == ("expired", 1_600, 0)
        assert client.get(f"{path}/history").json()["events"][-1]["type"] == "summary"
