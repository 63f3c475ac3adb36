"""Sentinels and clusters: real ones, and what becomes of it when a master dies or a slot moves."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable, StoreUnsuitable
from gateway.sessions.model import Status
from gateway.sessions.ports import Quota, QuotaReached, SessionFilter, TicketGrant
from gateway.sessions.shared import Claim, Commit, Committed, Node
from gateway.sessions.tickets import Role
from gateway.stores.valkey.connection import ValkeyConnection
from gateway.stores.valkey.nodes import ValkeyNodes
from gateway.stores.valkey.sessions import ValkeySessionStore
from gateway.stores.valkey.streams import ValkeyStreamStore
from gateway.stores.valkey.tasks import ValkeyTaskTickets
from gateway.stores.valkey.tickets import ValkeyTicketStore
from tests import stores
from tests.contracts.test_task_tickets import ticket
from tests.gateway.sessions.kit import entry, in_status, run, session
from tests.peers import free_port
from tests.stores import Server, connected, server, until

PATIENT_S = 30.0


async def everything(connection: ValkeyConnection) -> None:
    """All the stores do what they are for."""
    sessions, tickets = ValkeySessionStore(connection), ValkeyTicketStore(connection)
    quota = Quota("n", "u", 5)
    made = [session(namespace_id="n", user_id="u") for _ in range(50)]
    results = await asyncio.gather(*(sessions.create(one, quota) for one in made), return_exceptions=True)
    assert sum(isinstance(one, QuotaReached) for one in results) == 45
    kept = [one for one, result in zip(made, results, strict=True) if result is None]
    assert {one.id for one in await sessions.list(SessionFilter(namespace_id="n"))} == {
        one.id for one in kept
    }
    await worked(ValkeyTaskTickets(connection), [one.id for one in kept])
    await sessions.update(in_status(Status.CLOSED, id=kept[0].id, namespace_id="n", user_id="u"), 1)
    await sessions.create(session(namespace_id="n", user_id="u"), quota)
    assert await sessions.count(SessionFilter(status=Status.CREATED)) == 5
    assert await sessions.delete(kept[1].id)
    assert await sessions.count() == 5
    await tickets.issue("t", TicketGrant("s", Role.OWNER, 1.0))
    redeemed = await asyncio.gather(*(tickets.redeem("t", 0.0) for _ in range(20)))
    assert sum(one is not None for one in redeemed) == 1
    nodes = ValkeyNodes(connection)
    await nodes.tell_lost({"a": ["s"], "b": ["s"]})
    assert (await nodes.beat(Node("a", "a"), None)).lost == ["s"]
    await streamed(ValkeyStreamStore(connection, ManualClock()))


async def worked(tasks: ValkeyTaskTickets, ids: list[str]) -> None:
    """Tasks of many sessions are taken on, found, adopted and discarded."""
    for one in ids:
        given = ticket(f"t{one}", one)
        assert await tasks.add(given, 1)
        assert not await tasks.add(ticket(f"u{one}", one), 1)
        assert await tasks.get(given.id) == given
        assert await tasks.adopt(given, "n2", 1.0)
    assert await tasks.there(ids) == {one: {f"t{one}"} for one in ids}
    for one in ids:
        await tasks.discard(one)
    assert await tasks.there(ids) == {one: frozenset() for one in ids}


async def streamed(streams: ValkeyStreamStore) -> None:
    """Many streams are claimed, written in one go, followed and forgotten."""
    ids = [f"s{number}" for number in range(60)]
    claims = [await streams.claim(one, "a") for one in ids]
    waiting = asyncio.create_task(streams.newer(dict.fromkeys(ids, 0), 20.0))
    commits = [
        Commit(one, claim.gen, [entry(1), entry(2)], b"x") for one, claim in zip(ids, claims, strict=True)
    ]
    assert set(await streams.commit(commits)) == {Committed.DONE}
    assert set(await waiting) <= set(ids)
    found = await streams.newer(dict.fromkeys(ids, 1), 20.0)
    assert [one.seq for tail in found.values() if tail for one in tail.entries] == [2] * 60
    assert await streams.newer(dict.fromkeys(ids, 2), 0.05) == {}
    for one in ids:
        await streams.forget(one)


# Sentinel -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _sentinel(folder: Path, master: Server, password: str = "") -> Iterator[Server]:
    lines = [
        f"sentinel monitor main 127.0.0.1 {master.port} 1",
        "sentinel down-after-milliseconds main 300",
        "sentinel failover-timeout main 3000",
        "sentinel parallel-syncs main 1",
        *([f"requirepass {password}"] if password else []),
    ]
    (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
    with server(folder, str(folder / "sentinel.conf"), "--sentinel") as one:
        yield one


def test_a_failover(tmp_path: Path) -> None:
    """The replica is found once the sentinel has promoted it; what was written before is there."""
    for name in ("master", "replica", "sentinel"):
        (tmp_path / name).mkdir()
    with (
        server(tmp_path / "master", *stores.QUICK) as master,
        server(tmp_path / "replica", "--replicaof", "127.0.0.1", str(master.port)) as replica,
        _sentinel(tmp_path / "sentinel", master) as sentinel,
    ):
        until(lambda: "slaves=1" in sentinel.cli("INFO", "sentinel"), "finding the replica")
        until(lambda: "state=online" in master.cli("INFO", "replication"), "replicating")

        async def scenario() -> None:
            # The first of the two isn't there: the next one is asked.
            url = f"valkey+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/main"
            async with connected(url) as connection:
                await everything(connection)
                streams = ValkeyStreamStore(connection, ManualClock())
                claim = await streams.claim("s", "a")
                assert await streams.commit([Commit("s", claim.gen, [entry(1)])]) == [Committed.DONE]
                until(lambda: _offset(master) == _offset(replica), "replicating")
                master.stop()
                again = await _when_it_is_back(streams)
                assert (again.epoch, again.tail.top, again.previous) == (claim.epoch, 1, "a")
            async with connected(url) as connection:
                await everything(connection)
            with pytest.raises(StoreUnsuitable, match="no service"):
                async with connected(f"valkey+sentinel://127.0.0.1:{sentinel.port}/other"):
                    pass

        run(scenario())


def test_a_sentinel_with_a_password(tmp_path: Path) -> None:
    """It has one of its own, and says so where it is missing."""
    with server(tmp_path) as master:
        (tmp_path / "sentinel").mkdir()
        with _sentinel(tmp_path / "sentinel", master, "geheim") as sentinel:

            async def scenario() -> None:
                url = f"valkey+sentinel://127.0.0.1:{sentinel.port}/main"
                async with connected(f"{url}?sentinel_password=geheim"):
                    pass
                with pytest.raises(StoreUnsuitable, match="NOAUTH"):
                    async with connected(url):
                        pass

            run(scenario())


async def _when_it_is_back(streams: ValkeyStreamStore) -> Claim:
    async with asyncio.timeout(PATIENT_S):
        while True:
            try:
                return await streams.claim("s", "b")
            except StoreUnavailable:
                await asyncio.sleep(0.05)


def _offset(one: Server) -> str:
    lines = one.cli("INFO", "replication").splitlines()
    return next(line for line in lines if line.startswith("master_repl_offset"))


# Cluster --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        nodes: list[Server] = []
        for number in range(3):
            (folder / str(number)).mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
            bus = ("--cluster-port", str(free_port()))
            nodes.append(stack.enter_context(server(folder / str(number), *options, *bus)))
        for number, node in enumerate(nodes):
            first, last = number * 16_384 // 3, (number + 1) * 16_384 // 3 - 1
            node.cli("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
            node.cli("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for node in nodes[1:]:
            bus_port = nodes[0].options[-1]
            node.cli("CLUSTER", "MEET", "127.0.0.1", str(nodes[0].port), bus_port)
        until(
            lambda: all("cluster_state:ok" in one.cli("CLUSTER", "INFO") for one in nodes), "making a cluster"
        )
        until(lambda: all(_masters(one) == 3 for one in nodes), "hearing of each other")
        yield nodes


def _masters(one: Server) -> int:
    return sum(
        "master" in line and line.split()[-1] != "-" for line in one.cli("CLUSTER", "NODES").splitlines()
    )


def test_a_cluster(tmp_path: Path) -> None:
    """Nothing spans two slots; slots that move are followed, and a node that is down is told."""
    with _cluster(tmp_path) as nodes:

        async def scenario() -> None:
            url = f"valkey+cluster://127.0.0.1:{free_port()},127.0.0.1:{nodes[1].port}"
            async with connected(url) as connection:
                await everything(connection)
                key = connection.keys.stream("s1")[1]
                _move(nodes, int(nodes[0].cli("CLUSTER", "KEYSLOT", key.decode())))
                await streamed(ValkeyStreamStore(connection, ManualClock()))
                for node in nodes:
                    node.cli("FUNCTION", "FLUSH")
                await streamed(ValkeyStreamStore(connection, ManualClock()))
                nodes[2].stop()
                with pytest.raises(StoreUnavailable):
                    await streamed(ValkeyStreamStore(connection, ManualClock()))
            with pytest.raises(StoreUnsuitable, match="valkey\\+cluster"):
                async with connected(nodes[0].url):
                    pass

        run(scenario())


def _move(nodes: list[Server], slot: int) -> None:
    """Give an empty slot to the next node."""
    names = [one.cli("CLUSTER", "MYID").strip() for one in nodes]
    owner = next(number for number, one in enumerate(nodes) if _has(one, slot))
    target = (owner + 1) % 3
    nodes[target].cli("CLUSTER", "SETSLOT", str(slot), "NODE", names[target])
    nodes[owner].cli("CLUSTER", "SETSLOT", str(slot), "NODE", names[target])


def _has(one: Server, slot: int) -> bool:
    mine = next(line for line in one.cli("CLUSTER", "NODES").splitlines() if "myself" in line)
    ranges = [word.split("-") for word in mine.split()[8:] if not word.startswith("[")]
    return any(int(word[0]) <= slot <= int(word[-1]) for word in ranges)
