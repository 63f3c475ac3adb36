"""Which server has a key: one for all, whichever the sentinels name, or a cluster's node for its slot."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from valkey.crc import key_slot

from gateway.errors import StoreUnavailable, StoreUnsuitable, UndertoneError
from gateway.stores.valkey.errors import code, translated
from gateway.stores.valkey.pool import Pool, pool_of, sentinel_pool_of
from gateway.stores.valkey.url import Address, Kind, Target

logger = logging.getLogger(__name__)

SLOTS: Final = 16_384


class Topology(Protocol):
    """Finds servers."""

    def address_of(self, key: bytes) -> Address:
        """The server that has the key, as far as is known."""
        ...

    def masters(self) -> Sequence[Address]:
        """Every server that keys are on."""
        ...

    async def refresh(self) -> None:
        """Look again where they are.

        Raises:
            StoreUnavailable: nobody who knows can be reached, or nobody knows.
            StoreUnsuitable: the wrong kind of server answers, or it refuses the password.
        """
        ...

    def moved(self, slot: int, address: Address) -> None:
        """A node says who has a slot now."""
        ...

    async def close(self) -> None:
        """Close what was opened for looking."""
        ...


def topology_of(target: Target) -> Topology:
    """How the servers of `target` are found."""
    match target.kind:
        case Kind.SINGLE:
            return Single(target)
        case Kind.SENTINEL:
            return Sentinels(target)
        case Kind.CLUSTER:
            return Cluster(target)


class Single:
    """One server, always the same."""

    def __init__(self, target: Target) -> None:
        self._address = target.addresses[0]

    def address_of(self, key: bytes) -> Address:
        return self._address

    def masters(self) -> Sequence[Address]:
        return [self._address]

    async def refresh(self) -> None:
        pass

    def moved(self, slot: int, address: Address) -> None:
        raise StoreUnsuitable("the store is a node of a cluster: its URL must begin with valkey+cluster://")

    async def close(self) -> None:
        pass


class Sentinels:
    """The master of a service, as the first sentinel says that can be asked."""

    def __init__(self, target: Target) -> None:
        self._service = (target.service or "").encode()
        self._pools = {one: sentinel_pool_of(target, one) for one in target.addresses}
        self._master: Address | None = None

    def address_of(self, key: bytes) -> Address:
        if self._master is None:
            raise StoreUnavailable("the sentinels have named no master yet")
        return self._master

    def masters(self) -> Sequence[Address]:
        return [self.address_of(b"")]

    async def refresh(self) -> None:
        failed: UndertoneError = StoreUnavailable("no sentinel can be reached")
        for address, pool in tuple(self._pools.items()):
            try:
                ask = (b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self._service)
                (said,) = await pool.exchange([ask])
            except UndertoneError as error:
                failed = error
                continue
            if isinstance(said, Exception):
                failed = translated(said, f"{address[0]}:{address[1]}")
            elif said is None:
                failed = StoreUnsuitable("the sentinels know no service of the name in the store's URL")
            else:
                self._master = (said[0].decode(), int(said[1]))
                # Ask this one first from now on.
                self._pools = {address: pool, **self._pools}
                return
        raise failed

    def moved(self, slot: int, address: Address) -> None:
        raise StoreUnsuitable("the store is a node of a cluster: its URL must begin with valkey+cluster://")

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.close()


class Cluster:
    """The node of a key's slot, as any node says."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._slots: dict[int, Address] = {}

    def address_of(self, key: bytes) -> Address:
        try:
            return self._slots[key_slot(key)]
        except KeyError:
            raise StoreUnavailable("no node of the cluster has the slot of a key") from None

    def masters(self) -> Sequence[Address]:
        return list(dict.fromkeys(self._slots.values()))

    async def refresh(self) -> None:
        failed: UndertoneError = StoreUnavailable("no node of the cluster can be reached")
        for address in dict.fromkeys([*self.masters(), *self._target.addresses]):
            pool = pool_of(self._target, address, 1)
            try:
                self._slots = await _slots(pool, address)
                return
            except UndertoneError as error:
                failed = error
            finally:
                await pool.close()
        raise failed

    def moved(self, slot: int, address: Address) -> None:
        self._slots[slot] = address

    async def close(self) -> None:
        pass


async def _slots(pool: Pool, asked: Address) -> dict[int, Address]:
    (ranges,) = await pool.exchange([(b"CLUSTER", b"SLOTS")])
    if isinstance(ranges, Exception):
        if code(ranges) == "ERR":
            raise StoreUnsuitable("the store is no cluster: its URL must not begin with valkey+cluster://")
        raise translated(ranges, f"{asked[0]}:{asked[1]}")
    found: dict[int, Address] = {}
    for first, last, master, *_ in ranges:
        host = (master[0] or b"").decode()
        address = (host if host not in {"", "?"} else asked[0], int(master[1]))
        found.update(dict.fromkeys(range(first, last + 1), address))
    if not found:
        raise StoreUnavailable("the nodes of the cluster have no slots yet")
    return found


def redirection(error: Exception) -> tuple[int, Address]:
    """Slot and address that `MOVED` or `ASK` names."""
    _, slot, where = str(error).split(" ")[:3]
    host, _, port = where.rpartition(":")
    return int(slot), (host, int(port))


def by_server(topology: Topology, keys: Mapping[int, bytes]) -> dict[Address, list[int]]:
    """Which of the numbered keys each server has."""
    found: dict[Address, list[int]] = {}
    for number, key in keys.items():
        found.setdefault(topology.address_of(key), []).append(number)
    return found
