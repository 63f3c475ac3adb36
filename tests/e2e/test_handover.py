"""A restart that nobody notices: the next process takes over the listening socket."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from protocol.close import CloseCode
from protocol.events import Drain, Welcome
from tests.e2e.conftest import ROOT, GatewayProcess, start_gateway
from tests.e2e.wire import dial, hear, only, rest, run, welcomed

FRAME = bytes(3_200)
HANDOVERS = 10


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where they meet."""
    return str(tmp_path / "handover")


@pytest.fixture
def succeed(path: str) -> Iterator[Callable[..., GatewayProcess]]:
    """Starts one gateway after the other."""
    started: list[GatewayProcess] = []

    def start(**settings: str) -> GatewayProcess:
        started.append(start_gateway(TRANSCRIBER="none", HANDOVER=path, **settings))
        return started[-1]

    yield start
    for running in started:
        running.stop()


def refused(*arguments: str, **environment: str) -> str:
    """What a gateway says that doesn't start."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "--port", "0", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "UNDERTONE_TRANSCRIBER": "none", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    return done.stderr


async def ask(url: str) -> str:
    """One request over a connection of its own."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return str((await client.get(f"{url}/healthz")).status_code)


async def ask_slowly(url: str) -> str:
    """The same in two pieces, on a connection that has been silent first."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for piece in (b"GET /healthz HTTP/1.1\r\nHost: 127", b".0.0.1\r\n\r\n"):
        await asyncio.sleep(0.02)
        writer.write(piece)
    status = (await reader.readline()).split()[1].decode()
    writer.close()
    await writer.wait_closed()
    return status


async def open_session(gateway: GatewayProcess) -> str:
    """One WebSocket, up to its welcome."""
    async with dial(gateway) as opened:
        return type(await hear(opened)).__name__


@pytest.mark.timeout(300)
def test_ten_restarts_under_load_refuse_nobody(succeed: Callable[..., GatewayProcess]) -> None:
    """Requests on new and kept-alive connections, slow ones, and WebSockets, all the time: each is answered
    by a process that is ready. The old ones end with status 0."""
    first = succeed()
    over = asyncio.Event()
    outcomes: Counter[str] = Counter()

    async def over_and_over(what: Callable[[], Coroutine[Any, Any, str]]) -> None:
        while not over.is_set():
            try:
                outcomes[await what()] += 1
            except Exception as error:
                outcomes[repr(error)] += 1
            await asyncio.sleep(0.005)

    async def main() -> None:
        async with httpx.AsyncClient(trust_env=False) as kept, asyncio.TaskGroup() as load:

            async def ask_again() -> str:
                return str((await kept.get(f"{first.url}/readyz")).status_code)

            for what in (
                lambda: ask(first.url),
                lambda: ask_slowly(first.url),
                ask_again,
                lambda: open_session(first),
                lambda: open_session(first),
            ):
                load.create_task(over_and_over(what))
            running = first
            for _ in range(HANDOVERS):
                following = await asyncio.to_thread(succeed)
                assert following.url == first.url
                assert await asyncio.to_thread(running.process.wait, 15) == 0
                running = following
            over.set()

    run(main(), 180)
    print(f"{HANDOVERS} restarts: {dict(outcomes)}")
    assert set(outcomes) == {"200", "Welcome"}, outcomes
    assert outcomes["200"] > 100
    assert outcomes["Welcome"] > 100


def test_live_sessions_are_drained(succeed: Callable[..., GatewayProcess]) -> None:
    """They are told and closed with 1012 by the old process. The new one, which has a memory of its own,
    doesn't know them: whoever comes back hears so."""
    old = succeed()

    async def main() -> None:
        async with dial(old) as opened:
            welcome = await welcomed(opened)
            await opened.send(FRAME * 3)
            await asyncio.to_thread(succeed)
            heard, code = await rest(opened)
            assert code == CloseCode.SERVICE_RESTART
            only(heard, Drain)
        async with dial(old, {"session_id": welcome.session_id, "after": 0}) as back:
            _, code = await rest(back)
            assert code == CloseCode.NOT_FOUND
        async with dial(old) as fresh:
            assert isinstance(await hear(fresh), Welcome)

    run(main())
    assert old.process.wait(10) == 0


def test_a_next_process_that_fails_changes_nothing(succeed: Callable[..., GatewayProcess], path: str) -> None:
    """It is killed while it starts, or wants another address: the first one goes on, and the next can try."""
    running = succeed()
    port = running.url.rpartition(":")[2]
    told = refused("--port", "1", UNDERTONE_HANDOVER=path)
    assert f"listens on 127.0.0.1 port {port}" in told
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "--port", port, "--handover", path],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as killed:
        wait_for(running, "is starting with the listening socket", 2)
        killed.kill()
    wait_for(running, "came to nothing", 2)
    assert run(ask(running.url)) == "200"
    assert succeed().url == running.url
    assert running.process.wait(10) == 0


def wait_for(running: GatewayProcess, told: str, times: int) -> None:
    """Until the log has said so, so many times."""
    for _ in range(500):
        if sum(told in line for line in running.log) >= times:
            return
        threading.Event().wait(0.02)
    pytest.fail(f"it never said {told!r}")


def test_what_is_in_the_way_is_said(path: str) -> None:
    """A file at the path, or a directory that isn't there: one line, and what to do."""
    Path(path).write_text("mine")
    assert "is no socket" in refused(UNDERTONE_HANDOVER=path)
    assert "No such file" in refused(UNDERTONE_HANDOVER=f"{path}-none/handover")
    assert "UNDERTONE_HANDOVER" in refused(UNDERTONE_HANDOVER="handover")


def test_a_dead_processs_place_is_taken(succeed: Callable[..., GatewayProcess], path: str) -> None:
    """It was killed and left its path; an orderly end leaves none."""
    dead = succeed()
    dead.process.kill()
    dead.process.wait()
    alive = succeed()
    assert alive.stop() == 0
    assert not os.path.lexists(path)


def test_systemd_may_hold_the_socket(launch: Callable[..., GatewayProcess]) -> None:
    """Descriptor 3 is used instead of binding: what came before anybody listened is answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code = "import os, sys; os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n"
        code += "os.execv(sys.executable, [sys.executable, '-m', 'gateway', 'serve', '--port', '1'])"
        with subprocess.Popen(
            ["/bin/sh", "-c", 'exec "$0" -c "$1" 3<&0', sys.executable, code],
            cwd=ROOT,
            stdin=listener.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "UNDERTONE_TRANSCRIBER": "none"},
        ) as running:
            with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as early:
                early.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                assert early.recv(4_096).startswith(b"HTTP/1.1 200")
            running.send_signal(signal.SIGTERM)
            assert running.wait(10) == 0
