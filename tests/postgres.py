"""A PostgreSQL server for the tests: of their own, in a temporary folder, gone when they are over."""

import asyncio
import atexit
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from tests.needs import need_command, need_module, need_postgres
from tests.peers import free_port

_READY_S = 30.0
_PR_SET_PDEATHSIG = 1
_TABLES = (
    "sessions, tickets, cluster, nodes, losses, streams, forgotten, entries, snapshots, history,"
    " tasks, task_tickets, erased"
)
_numbers = count(1)


class Server:
    """One server, on a port and a socket of its own; trusts whoever reaches it."""

    def __init__(self, *settings: str, made: bool = True) -> None:
        self._given = settings
        self._programs = need_postgres()
        need_module("asyncpg")
        self.folder = Path(tempfile.mkdtemp(prefix="undertone-postgres-"))
        self.port = free_port()
        # PostgreSQL refuses to run as root.
        self.user = _somebody() if os.geteuid() == 0 else None
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        self._settings = (
            *("fsync=off", "full_page_writes=off", "listen_addresses=127.0.0.1", f"port={self.port}"),
            *(f"unix_socket_directories={self.folder}", "shared_buffers=32MB", "max_connections=60"),
            *settings,
        )
        self._process: subprocess.Popen[bytes] | None = None
        if made:
            how = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
            self.run("initdb", "-D", f"{self.data}", *how)

    def certify(self) -> None:
        """Give it a certificate of its own for localhost, in `server.crt`."""
        command = [need_command("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        files = {"-keyout": self.data / "server.key", "-out": self.data / "server.crt"}
        for option, path in files.items():
            command += [option, str(path)]
        subprocess.run(command, check=True, capture_output=True)
        for path in files.values():
            path.chmod(0o600)
            if self.user is not None:
                shutil.chown(path, self.user)

    def copied(self) -> "Server":
        """A replica of it, started."""
        made = Server(*self._given, made=False)
        made.run("pg_basebackup", "-R", "-X", "stream", "-c", "fast", "-d", self.url(), "-D", f"{made.data}")
        made.start()
        return made

    @property
    def data(self) -> Path:
        """Where its data is."""
        return self.folder / "data"

    def url(self, database: str = "postgres", user: str = "postgres", port: int | None = None) -> str:
        """Where it is."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def run(self, program: str, *args: str) -> None:
        """Run one of PostgreSQL's programs as the server's user."""
        command = [str(self._programs / program), *args]
        subprocess.run(command, user=self.user, cwd=self.folder, check=True, capture_output=True)

    def start(self) -> None:
        """Start it, and return once it answers."""
        settings = [word for one in self._settings for word in ("-c", one)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", f"{self.data}", *settings],
                user=self.user,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                self.run("pg_isready", "-h", "127.0.0.1", "-p", f"{self.port}", "-t", "1")
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise AssertionError((self.folder / "log").read_text()) from None
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it; the data stay. By default as in a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    @property
    def processes(self) -> list[int]:
        """The server's, then those that serve its clients."""
        assert self._process is not None, "it is not started"
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def close(self) -> None:
        """Stop it and leave nothing."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def server() -> Server:
    """The one that all tests share."""
    made = Server()
    atexit.register(made.close)
    made.start()
    return made


@asynccontextmanager
async def database(schema: str | None = None, url: str | None = None, **options: Any) -> AsyncIterator[Any]:
    """A started `Database` in a schema of its own."""
    from gateway.stores.postgres.connection import Database

    made = Database(url or server().url(), schema=schema or fresh_schema(), **options)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def emptied(**options: Any) -> AsyncIterator[Any]:
    """A started `Database` in a schema that others have used, and nothing in it: quicker than a new one."""
    async with database("emptied", **options) as made:
        tables = ", ".join(f"{made.schema}.{one}" for one in _TABLES.split(", "))
        await made.run(lambda connection: connection.execute(f"TRUNCATE {tables} RESTART IDENTITY"))
        yield made


def fresh_schema() -> str:
    """A name that no test has used."""
    return f"test_{next(_numbers)}"


async def settled(condition: Any, within_s: float = 10.0) -> None:
    """Return once the awaited `condition()` holds."""
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110 - somebody else's server
            await asyncio.sleep(0.01)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _somebody() -> str:
    known = {one.pw_name for one in pwd.getpwall()}
    return next(one for one in ("postgres", "nobody") if one in known)
