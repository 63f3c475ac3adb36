"""Nodes, clients and the store on machines of their own, between which nothing gets through for a while."""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from protocol.events import Service, ServiceStatus
from scripts.cluster.balancer import Balancer
from tests.chaos.callers import Account, Voice, crowd
from tests.e2e.cluster import PLAIN, Mover, Watcher, address, check, in_background, scale
from tests.e2e.conftest import GatewayProcess, start_gateway
from tests.e2e.wire import run
from tests.namespaces import Cable, Machine, network
from tests.needs import need_command

SESSIONS = round(scale("SESSIONS", 16))
CUT_S = 5.0
BACK_S = 5.0
"""From the end of a partition to the last resumption."""
STORE = "10.255.0.1"
HEARTBEAT_S = "1"


@dataclass
class Office:
    """Two nodes, each with a cable to the clients and one to the store."""

    nodes: list[GatewayProcess]
    to_clients: list[Cable]
    to_store: list[Cable]


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """Two nodes, a store, and this machine for the clients."""
    with network() as net, ExitStack() as stack:
        here, store = Machine(""), net.machine()
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="undertone-"))
        ip_of_store = (*store.before, "ip", "addr", "add", f"{STORE}/32", "dev", "lo")
        subprocess.run(ip_of_store, check=True)
        machines = [net.machine(), net.machine()]
        to_clients = [net.connect(here, one) for one in machines]
        to_store = [net.connect(one, store) for one in machines]
        for one, cable in zip(machines, to_store, strict=True):
            route = ("ip", "route", "add", STORE, "via", cable.addresses[1])
            subprocess.run([*one.before, *route], check=True)
        command = [*store.before, need_command("redis-server"), "--bind", STORE, "--protected-mode", "no"]
        command += ["--save", "", "--appendonly", "no", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        stack.callback(server.wait)
        stack.callback(server.kill)
        answers = [*store.before, need_command("redis-cli"), "-h", STORE, "ping"]
        until = time.monotonic() + 20
        while subprocess.run(answers, capture_output=True, check=False).stdout != b"PONG\n":
            assert time.monotonic() < until, "the store doesn't start"
            time.sleep(0.05)
        nodes = []
        for one, cable in zip(machines, to_clients, strict=True):
            settings = PLAIN | {"STORE": f"valkey://{STORE}:6379", "HEARTBEAT_S": HEARTBEAT_S}
            settings |= {"HOST": cable.addresses[1], "ALLOW_PUBLIC_BIND": "true"}
            nodes.append(start_gateway(before=one.before, **settings))
            stack.callback(nodes[-1].stop)
        yield Office(nodes, to_clients, to_store)
    bad = [line for node in nodes for line in node.log if "Traceback" in line]
    assert not bad, bad[0]


async def play(
    office: Office, *cables: Cable, watch_at: GatewayProcess | None = None
) -> tuple[Account, list[Mover], float]:
    """Callers at both nodes, and a cut of these cables; returns when it was over, too, in the loop's time."""
    enough, voice = asyncio.Event(), Voice()
    async with Balancer(lambda: [address(node) for node in office.nodes]) as balancer:
        callers = [Mover(balancer.ws_url, 300.0, voice, enough=enough) for _ in range(SESSIONS)]
        calling = asyncio.create_task(crowd(callers, 1.0))
        await asyncio.sleep(2.5)
        url = balancer.ws_url if watch_at is None else watch_at.ws_url
        watchers = [Watcher(url, one.session_id) for one in callers[:4]]
        async with in_background(*(one.watch() for one in watchers)) as watching:
            await asyncio.sleep(0.5)
            with ExitStack() as cuts:
                for cable in cables:
                    cuts.enter_context(cable.cut())
                await asyncio.sleep(CUT_S)
            healed = asyncio.get_running_loop().time()
            await asyncio.sleep(BACK_S)
            enough.set()
            calls = await calling
            await asyncio.wait(watching, timeout=10)
    account = check(calls, watchers)
    print(f"cut for {CUT_S:.0f} s: {account}")
    return account, callers, healed


def test_clients_can_reach_only_one_node(office: Office) -> None:
    """Those of the other one are heard of no more there, and go on at the one that is left."""

    async def main() -> None:
        account, _, _ = await play(office, office.to_clients[0])
        assert account.resumes >= SESSIONS // 3
        assert account.gap_s.keys() <= {"client", "failover"}  # where finding out took too long

    run(main(), 90)


def test_clients_can_reach_no_node(office: Office) -> None:
    """All come back soon after it is over. What they could not keep meanwhile is declared."""

    async def main() -> None:
        account, callers, healed = await play(office, *office.to_clients)
        assert account.resumes >= SESSIONS
        back = [max(one.welcomed) - healed for one in callers]
        print(f"back after {max(back):.1f} s")
        assert max(back) <= BACK_S
        assert account.gap_s.keys() <= {"client", "failover"}
        assert sum(account.gap_s.values()) < SESSIONS * 3

    run(main(), 90)


def test_a_node_can_not_reach_the_store(office: Office) -> None:
    """Its sessions go on where they are, say so, and are known elsewhere again afterwards."""

    async def main() -> None:
        account, callers, _ = await play(office, office.to_store[0], watch_at=office.nodes[1])
        assert (account.resumes, account.gap_s) == (0, {})
        warned = [
            [event.status for event in one.said if isinstance(event, Service)]
            for one in callers
            if any(isinstance(event, Service) for event in one.said)
        ]
        assert len(warned) >= SESSIONS // 3
        assert all(told == [ServiceStatus.WARNING, ServiceStatus.READY] for told in warned)

    run(main(), 90)


def test_lines_that_delay_and_lose(office: Office) -> None:
    """100 ms and every fiftieth packet, to clients and to the store: nothing is lost to anybody."""
    if not all(cable.impair("delay", "50ms", "10ms", "loss", "2%") for cable in _all(office)):
        pytest.skip("this kernel has no netem")

    async def main() -> None:
        account, _, _ = await play(office)
        assert account.gap_s == {}

    try:
        run(main(), 90)
    finally:
        for cable in _all(office):
            cable.impair("delay", "0ms")


def _all(office: Office) -> list[Cable]:
    return [*office.to_clients, *office.to_store]
