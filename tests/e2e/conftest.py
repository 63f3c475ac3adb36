"""A real gateway in a process of its own, on a free port of the loopback interface."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START_S = 30.0


@dataclass
class GatewayProcess:
    """A running gateway: where it is, and what it logged so far."""

    process: subprocess.Popen[str]
    url: str = ""
    log: list[str] = field(default_factory=list)
    readers: list[threading.Thread] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws/voice"

    def records(self) -> list[dict[str, object]]:
        """The structured log so far."""
        return [json.loads(line) for line in self.log if line.startswith("{")]

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=20)
        for thread in self.readers:
            thread.join(timeout=5)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return status


SERVE = ("gateway", "serve")
"""`undertone serve`, as arguments of `python -m`."""


def start_gateway(*command: str, before: Sequence[str] = (), **settings: str) -> GatewayProcess:
    """Start a gateway on a free port with `settings` (names without their prefix).

    Args:
        command: what to run instead of `undertone serve`, as arguments of `python -m`: a launcher with the
            options and the output of `serve`, such as `tests.chaos.slow_gateway`.
        before: a command that runs the command after it in its own process, such as `ip netns exec NAME`.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UNDERTONE_")}
    environment |= {f"UNDERTONE_{name}": value for name, value in settings.items()}
    process = subprocess.Popen(
        [*before, sys.executable, "-m", *(command or SERVE), "--port", "0"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    gateway = GatewayProcess(process)
    assert process.stderr is not None
    assert process.stdout is not None
    gateway.readers.append(threading.Thread(target=gateway.log.extend, args=(process.stderr,)))
    gateway.readers[0].start()
    watchdog = threading.Timer(START_S, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            found = re.search(r"http://[\d.]+:\d+", line)
            if found:
                gateway.url = found.group()
                break
        else:
            gateway.readers.append(threading.Thread(target=process.stdout.read))
            gateway.readers[-1].start()
            gateway.stop()
            raise AssertionError("the gateway did not start:\n" + "".join(gateway.log))
    finally:
        watchdog.cancel()
    gateway.readers.append(threading.Thread(target=process.stdout.read))
    gateway.readers[-1].start()
    return gateway


@pytest.fixture(scope="session")
def gateway() -> Iterator[GatewayProcess]:
    """The gateway most tests share: as it comes, without words (they have a gateway of their own)."""
    running = start_gateway(TRANSCRIBER="none")
    yield running
    assert running.stop() == 0
    assert not [line for line in running.log if "Traceback" in line]


@pytest.fixture
def launch() -> Iterator[Callable[..., GatewayProcess]]:
    """Starts gateways with settings of the test's own, and ends them."""
    started: list[GatewayProcess] = []

    def start(*command: str, **settings: str) -> GatewayProcess:
        running = start_gateway(*command, **settings)
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()


LONG = "test_page_long.py"
_LONG_STREAM = pytest.StashKey["subprocess.Popen[str]"]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The five minutes of the live page begin with the first test of this folder, if they are wanted."""
    session = item.session
    if _LONG_STREAM in session.stash or Path(__file__).parent not in item.path.parents:
        return
    if any(one.path.name == LONG for one in session.items):
        session.stash[_LONG_STREAM] = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.long_stream"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nobody speaks to nobody."""
    process = session.stash.get(_LONG_STREAM, None)
    if process is not None and process.poll() is None:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def long_stream(request: pytest.FixtureRequest) -> "subprocess.Popen[str]":
    """The process of `tests.e2e.long_stream`, which began some time ago."""
    return request.session.stash[_LONG_STREAM]
