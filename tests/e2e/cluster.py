"""Gateways that share their sessions, what they share them in, and a balancer before them.

What is shared can be taken away: a store that is `frozen` answers nobody and refuses nobody, one that is
`down` refuses everybody, and Valkey comes back from that with nothing.
"""

import asyncio
import atexit
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from protocol.client import Client, connect
from protocol.events import DurableEvent, Summary, Welcome
from scripts.cluster.balancer import Address
from tests import postgres, stores
from tests.chaos.callers import Account, Call, Speaker
from tests.chaos.history import Said
from tests.e2e.conftest import GatewayProcess, start_gateway

PLAIN = {"TRANSCRIBER": "none", "CLASSIFY_WORKER_KIND": "thread", "NODE_LEASE_S": "3"}
"""What most nodes of these tests are like: no worker processes, of which each node would have its own."""
VALKEY, POSTGRES, BOTH = "valkey", "postgres", "both"
"""Valkey alone, PostgreSQL alone, and Valkey with an audit trail in PostgreSQL."""
AT_LENGTH = os.environ.get("UNDERTONE_TEST_LONG") == "1"
"""Whether there is time for more of the same."""
KINDS = (VALKEY, POSTGRES, BOTH) if AT_LENGTH else (VALKEY, POSTGRES)

_schemas = count(1)


def scale(name: str, default: float) -> float:
    """How long or how many, where the environment asks for more than a test run has time for."""
    return float(os.environ.get(f"UNDERTONE_TEST_{name}", default))


def address(node: GatewayProcess) -> Address:
    """Where a node listens."""
    host, _, port = node.url.removeprefix("http://").partition(":")
    return host, int(port)


# What is shared --------------------------------------------------------------------------------------------


@cache
def database() -> postgres.Server:
    """A PostgreSQL server that these tests may stop: no others are at it."""
    made = postgres.Server()
    atexit.register(made.close)
    made.start()
    return made


@dataclass
class Backing:
    """A place for sessions that is a cluster's own."""

    kind: str
    valkey: stores.Server | None
    database: postgres.Server | None
    settings: dict[str, str]

    @classmethod
    def of(cls, kind: str, folder: Path, *before: str) -> "Backing":
        """A new one; `before` goes before the command of Valkey's server."""
        valkey = stores.start(folder, before=before) if kind != POSTGRES else None
        server = database() if kind != VALKEY else None
        settings = {"STORE": valkey.url if valkey is not None else "postgres"}
        if server is not None:
            schema = f"cluster_{next(_schemas)}"
            settings |= {"DATABASE_URL": server.url(), "DATABASE_SCHEMA": schema}
        return cls(kind, valkey, server, settings)

    def close(self) -> None:
        """The end."""
        if self.valkey is not None:
            self.valkey.stop()

    @property
    def processes(self) -> list[int]:
        """Of all servers."""
        found = [] if self.valkey is None else [self.valkey.process.pid]
        return found if self.database is None else found + self.database.processes

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Nobody is answered, and no connection ends."""
        stopped = self.processes
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Killed, and started again at the same address: Valkey with nothing, PostgreSQL with what it had."""
        if self.valkey is not None:
            self.valkey.stop()
        if self.database is not None:
            self.database.stop()
        try:
            yield
        finally:
            if self.database is not None:
                self.database.start()
            if self.valkey is not None:
                self.valkey = stores.start(self.valkey.folder, port=self.valkey.port)


# The nodes -------------------------------------------------------------------------------------------------


class Cluster:
    """Nodes that share a `Backing`; those that are gone can be replaced."""

    def __init__(self, backing: Backing, nodes: int, **settings: str) -> None:
        self.backing = backing
        self.settings = PLAIN | backing.settings | settings
        self.started: list[GatewayProcess] = []
        """Every one there was."""
        self.nodes: list[GatewayProcess] = []
        """Those that serve."""
        with ThreadPoolExecutor(nodes) as pool:
            for made in [pool.submit(self.add) for _ in range(nodes)]:
                made.result()

    def add(self, *before: str) -> GatewayProcess:
        """One more; `before` goes before its command."""
        made = start_gateway(before=before, **self.settings)
        self.started.append(made)
        self.nodes.append(made)
        return made

    def remove(self, node: GatewayProcess) -> None:
        """It serves no more."""
        self.nodes.remove(node)

    def kill(self, node: GatewayProcess) -> None:
        """SIGKILL; its port refuses from then on."""
        self.remove(node)
        node.process.kill()
        node.process.wait()

    def complete(self, nodes: int) -> None:
        """Start as many as are missing."""
        while len(self.nodes) < nodes:
            self.add()

    @property
    def addresses(self) -> list[Address]:
        """Where those listen that serve."""
        return [address(node) for node in self.nodes]

    def owner(self, session_id: str) -> GatewayProcess:
        """Who claimed the session last."""
        found = [(at, node) for node in self.started for at in _claims(node, session_id)]
        assert found, "nobody has claimed it"
        return max(found, key=lambda one: one[0])[1]

    def others(self, node: GatewayProcess) -> list[GatewayProcess]:
        """All that serve but `node`."""
        return [one for one in self.nodes if one is not node]

    def close(self) -> None:
        """End all; no log may tell of a defect."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(GatewayProcess.stop, self.started))
        self.check_logs()

    def check_logs(self) -> None:
        """No node says anything of a defect of its own."""
        bad = [line for node in self.started for line in node.log if "Traceback" in line]
        bad = [line for line in bad if '"logger":"asyncpg' not in line]  # the driver's, of its server
        assert not bad, bad[0]


def _claims(node: GatewayProcess, session_id: str) -> Iterator[str]:
    for record in node.records():
        if record["message"] == "claimed" and session_id.startswith(str(record["session_id"])):
            yield str(record["time"])


@contextlib.contextmanager
def cluster(kind: str, nodes: int, *before: str, **settings: str) -> Iterator[Cluster]:
    """One of a test's own."""
    with tempfile.TemporaryDirectory(prefix="undertone-") as folder:
        backing = Backing.of(kind, Path(folder), *before)
        try:
            made = Cluster(backing, nodes, **settings)
            try:
                yield made
            finally:
                made.close()
        finally:
            backing.close()


# The way there ---------------------------------------------------------------------------------------------


# Who uses them ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mover(Speaker):
    """A caller whose session may move, and who notes when it was welcomed again."""

    moves: bool = True
    clients: list[Client] = field(default_factory=list)
    welcomed: list[float] = field(default_factory=list)
    """The loop's time of each resumption."""
    said: list[Said] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends the speech before its time."""

    def heard(self, event: Said) -> None:
        self.said.append(event)
        if isinstance(event, Welcome):
            self.welcomed.append(asyncio.get_running_loop().time())

    async def _converse(self, client: Client) -> None:
        self.clients.append(client)
        await Speaker._converse(self, client)

    async def _speak(self, client: Client) -> None:
        speaking = asyncio.ensure_future(Speaker._speak(self, client))
        stopping = asyncio.ensure_future(self.enough.wait())
        try:
            await asyncio.wait((speaking, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not speaking.done():
                speaking.cancel()
        await asyncio.gather(speaking, stopping, return_exceptions=True)

    @property
    def session_id(self) -> str:
        """Known once it is connected."""
        return self.clients[0].welcome.session_id

    def away_s(self, since: float) -> float | None:
        """Seconds from `since` until it was welcomed again; None where it was not."""
        return next((at - since for at in self.welcomed if at > since), None)


@dataclass
class Watcher:
    """Somebody who only reads, and comes back where the connection is lost."""

    url: str
    session_id: str
    said: list[Said] = field(default_factory=list)
    resumes: int = 0

    async def watch(self) -> None:
        """Until the session is over."""
        async with connect(self.url, session_id=self.session_id, role="observer") as client:
            async for event in client:
                self.said.append(event)
            self.resumes = client.resumes

    @property
    def seqs(self) -> list[int]:
        """What was heard, in the order in which it came."""
        return [event.seq for event in self.said if isinstance(event, DurableEvent)]

    @property
    def faults(self) -> list[str]:
        """What did not go as it should: every event once and in order, up to the summary."""
        if self.seqs != list(range(1, len(self.seqs) + 1)):
            return [f"an observer heard {self.seqs}"]
        told = [event for event in self.said if isinstance(event, DurableEvent)]
        if not told or not isinstance(told[-1], Summary):
            return ["an observer heard no summary"]
        return []


def check(calls: Iterable[Call], watchers: Iterable[Watcher] = ()) -> Account:
    """Every promise is kept, every session has come to its end, and nobody misses anything."""
    account = Account.of(list(calls))
    assert account.faults == (), account
    assert (account.refused, account.gone, account.missed) == (0, 0, 0), account
    assert account.whole == account.calls
    assert account.unrecovered == account.calls, "only a session's first welcome recovers nothing"
    for one in watchers:
        assert one.faults == []
    return account


async def asked(url: str, method: str = "GET", **options: Any) -> httpx.Response:
    """One request over a connection of its own."""
    async with httpx.AsyncClient(trust_env=False, timeout=options.pop("timeout", 15)) as client:
        return await client.request(method, url, **options)


async def eventually(condition: Callable[[], Any], within_s: float, what: str) -> float:
    """Wait until `condition()`, awaited where it can be, holds; returns how long it took."""
    began = time.monotonic()
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return time.monotonic() - began
        assert time.monotonic() - began < within_s, f"{what} took longer than {within_s} s"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def in_background(*work: Any) -> AsyncIterator[list["asyncio.Task[Any]"]]:
    """Tasks that are ended with the block, where they have not ended by themselves."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
