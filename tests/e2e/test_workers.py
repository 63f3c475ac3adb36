"""The embedded classifier's worker processes beside a real gateway: who kills what, and what it costs."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from protocol.client import connect
from protocol.events import Event, Gap, Service, Summary, Tone, UnknownEvent
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import run

WAIT_S = 30.0
MODULE = b"gateway.classify.acoustic.worker"
PROCESSES = {"TRANSCRIBER": "none", "CLASSIFY_WORKER_KIND": "process", "LOG_FORMAT": "json"}
"""Of this machine's cores as many as it has: one is enough here."""


def alive(pid: int) -> bool:
    """Whether there is such a process, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers(gateway: GatewayProcess) -> list[int]:
    """Its worker processes."""
    found = []
    for listing in Path(f"/proc/{gateway.pid}/task").glob("*/children"):
        pids = map(int, listing.read_text().split())
        found += [pid for pid in pids if MODULE in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return [pid for pid in found if alive(pid)]


def gauge(gateway: GatewayProcess, pattern: str) -> float:
    """The first sample whose name and labels match."""
    text = httpx.get(f"{gateway.url}/metrics", trust_env=False, timeout=10).text
    return float(next(line for line in text.splitlines() if re.match(pattern, line)).rpartition(" ")[2])


def until(ready: Callable[[], bool]) -> None:
    """Wait for it, within a bound."""
    end = time.monotonic() + WAIT_S
    while not ready():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def at_work(gateway: GatewayProcess) -> bool:
    """Whether processes classify, as many as were chosen."""
    return gauge(gateway, r'undertone_classifier_workers{.*kind="process"') >= 1


async def heard(
    gateway: GatewayProcess, seconds: int, meanwhile: Callable[[int], None]
) -> list[Event | UnknownEvent]:
    """What is said of speech in real time; `meanwhile` is called after each second."""
    sound = 2 * pcm(speech())
    assert len(sound) >= 32_000 * seconds
    events: list[Event | UnknownEvent] = []
    async with connect(gateway.ws_url) as client:

        async def listen() -> None:
            events.extend([event async for event in client])

        listening = asyncio.create_task(listen())
        for second in range(seconds):
            for tenth in range(10):
                at = 32_000 * second + 3_200 * tenth
                await client.send(sound[at : at + 3_200])
                await asyncio.sleep(0.1)
            meanwhile(second)
        await client.end()
        async with asyncio.timeout(WAIT_S):
            await listening
    return events


def test_a_worker_that_is_killed_costs_no_window(launch: Callable[..., GatewayProcess]) -> None:
    """Every second of speech is classified, though every worker was killed twice; it is told and counted."""
    gateway = launch(**PROCESSES)
    until(lambda: at_work(gateway))

    def kill(second: int) -> None:
        if second in (2, 5):
            for pid in workers(gateway):
                os.kill(pid, signal.SIGKILL)

    events = run(heard(gateway, 9, kill))
    assert not [event for event in events if isinstance(event, Gap)]
    assert [event for event in events if isinstance(event, Tone)]
    (summary,) = [event for event in events if isinstance(event, Summary)]
    assert summary.classified_samples == summary.next_sample
    assert any("worker ended" in event.detail for event in events if isinstance(event, Service))
    until(lambda: at_work(gateway))
    assert gauge(gateway, "undertone_classifier_workers_ended_total") >= 2


def test_what_was_chosen_is_told_once(launch: Callable[..., GatewayProcess]) -> None:
    """In the log with its reasons, and in the metrics."""
    gateway = launch(**PROCESSES)
    until(lambda: at_work(gateway))
    (told,) = [one for one in gateway.records() if "was chosen" in str(one["message"])]
    assert told["kind"] == "process"
    assert told["workers"] == len(workers(gateway))
    assert told["batch"] == gauge(gateway, "undertone_classifier_batch_limit")
    assert "ms a window by batch" in str(told["why"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_gateway(launch: Callable[..., GatewayProcess], number: int) -> None:
    """Whether that was asked to end or killed."""
    gateway = launch(**PROCESSES)
    until(lambda: at_work(gateway))
    pids = workers(gateway)
    assert pids
    os.kill(gateway.pid, number)
    until(lambda: not any(map(alive, pids)))
    gateway.process.wait(timeout=WAIT_S)


def test_threads_where_they_are_asked_for(launch: Callable[..., GatewayProcess]) -> None:
    """No process is started then."""
    gateway = launch(TRANSCRIBER="none", CLASSIFY_WORKER_KIND="thread", CLASSIFY_WORKERS="3")
    until(lambda: gauge(gateway, r'undertone_classifier_workers{.*kind="thread"') == 3)
    assert not workers(gateway)
