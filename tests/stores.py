"""Real servers for the tests of stores: Redis, which speaks Valkey's protocol; gone at the end."""

import asyncio
import atexit
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path

from gateway.stores.valkey.connection import ValkeyConnection
from gateway.stores.valkey.url import parse
from tests.needs import need_command
from tests.peers import free_port

PATIENCE_S = 20.0
QUICK = ("--repl-diskless-sync-delay", "0")
"""Replicas get their data at once."""

_numbers = count()


def until(done: Callable[[], bool], what: str) -> None:
    """Wait for another process to be as far."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} took too long")
        time.sleep(0.02)


@dataclass(frozen=True)
class Server:
    """A server process."""

    port: int
    process: subprocess.Popen[bytes]
    folder: Path
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}"

    def cli(self, *words: str, timeout_s: float = 20.0) -> str:
        """What redis-cli says."""
        command = [need_command("redis-cli"), "-p", str(self.port), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
        return done.stdout + done.stderr

    def stop(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


def start(
    folder: Path, *options: str, port: int | None = None, tls: bool = False, before: Sequence[str] = ()
) -> Server:
    """A server that keeps nothing on a disk; ready to be asked, unless it is TLS only.

    Args:
        before: a command that runs the command after it in its own process.
    """
    port = port or free_port()
    listening = ["--port", "0", "--tls-port", str(port)] if tls else ["--port", str(port)]
    command = [
        *before,
        need_command("redis-server"),
        *options,
        *listening,
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
    ]
    if "--sentinel" not in options:
        command += ["--save", "", "--appendonly", "no"]
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    server = Server(port, process, folder, options)
    try:
        until(lambda: process.poll() is not None or _listens(port), "starting the server")
        assert process.poll() is None, (folder / f"{port}.log").read_text()
    except BaseException:
        server.stop()
        raise
    return server


def _listens(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1.0)
        return one.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def server(folder: Path, *options: str, tls: bool = False) -> Iterator[Server]:
    """A server of one's own."""
    one = start(folder, *options, tls=tls)
    try:
        yield one
    finally:
        one.stop()


@cache
def shared() -> Server:
    """One for all tests that keep to keys of their own."""
    folder = Path(tempfile.mkdtemp(prefix="undertone-"))
    one = start(folder)

    def end() -> None:
        one.stop()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return one


@asynccontextmanager
async def connected(url: str | None = None, prefix: str | None = None) -> AsyncIterator[ValkeyConnection]:
    """A connection that was started, to the shared server unless told otherwise, with keys of its own."""
    target = replace(parse(url or shared().url), prefix=prefix or f"test-{next(_numbers)}", timeout_s=10.0)
    one = ValkeyConnection(target)
    try:
        await one.start()
        yield one
    finally:
        await one.close()
        await asyncio.sleep(0)
