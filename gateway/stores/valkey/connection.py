"""One connection to the store for all adapters: finds servers, loads functions, translates errors."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from gateway.errors import BadDocument, StoreUnavailable, StoreUnsuitable, UndertoneError
from gateway.stores.pem import check_pem
from gateway.stores.valkey import library, suitability
from gateway.stores.valkey.errors import code, translated
from gateway.stores.valkey.keys import Keys
from gateway.stores.valkey.pool import Command, Pool, pool_of
from gateway.stores.valkey.topology import by_server, redirection, topology_of
from gateway.stores.valkey.url import Address, Kind, Target, parse

logger = logging.getLogger(__name__)

Request: TypeAlias = tuple[bytes, Command]
"""The key that says which server is meant, and the command."""

_ATTEMPTS: Final = 4
"""Of a request that was not executed: its function wasn't there, or its slot had moved."""
_WAITERS: Final = 8
"""Connections to each server for requests that wait."""
_NOT_FOUND: Final = "Function not found"
_MISTYPED: Final = "WRONGTYPE"


def request(name: str, keys: Sequence[bytes], *args: bytes, read: bool = False) -> Request:
    """A call of the function `name`; all `keys` have the same hash tag. `read`: it changes nothing."""
    verb = b"FCALL_RO" if read else b"FCALL"
    return keys[0], (verb, library.function(name), b"%d" % len(keys), *keys, *args)


class ValkeyConnection:
    """Everything that speaks with the store goes through here. Belongs to one event loop."""

    def __init__(self, target: Target | str) -> None:
        self._target = parse(target) if isinstance(target, str) else target
        self._topology = topology_of(self._target)
        self._pools: dict[Address, Pool] = {}
        self._waiting: dict[Address, Pool] = {}
        self._suspect = True
        self._looking = asyncio.Lock()
        self.keys = Keys(self._target.prefix)

    def __repr__(self) -> str:
        return f"ValkeyConnection({self._target})"

    @property
    def clustered(self) -> bool:
        """Whether keys are on many servers, so that no command spans two hash tags."""
        return self._target.kind is Kind.CLUSTER

    async def start(self) -> None:
        """Find the servers, see whether they will do, and load the functions.

        Raises:
            StoreUnavailable: they can't be reached, or are not ready.
            StoreUnsuitable: they will not do.
        """
        target = self._target
        check_pem(
            "the store's URL",
            ("ca_file", target.ca_file),
            ("cert_file", target.cert_file),
            ("key_file", target.key_file),
        )
        try:
            await self._look()
            infos = [(one, await self._pool(one).exchange([(b"INFO",)])) for one in self._topology.masters()]
        except StoreUnavailable:
            if not target.tls:
                await self._look_for_tls()
            raise
        for address, (info,) in infos:
            where = _name(address)
            if not isinstance(info, Exception):
                suitability.check(suitability.parse_info(info), where, self._target.kind)
            elif code(info) == "NOPERM":
                logger.warning("the store at %s doesn't let its user see INFO: nothing is checked", where)
            else:
                raise translated(info, where)
            await self._load(address)

    async def close(self) -> None:
        """Close every connection; nothing can be asked any more."""
        for pool in (*self._pools.values(), *self._waiting.values()):
            await pool.close()
        await self._topology.close()

    async def call(self, name: str, keys: Sequence[bytes], *args: bytes, read: bool = False) -> Any:
        """The reply of a function; see `request`."""
        (reply,) = await self.many([request(name, keys, *args, read=read)])
        return reply

    async def many(self, requests: Sequence[Request], *, apart: bool = False) -> list[Any]:
        """The replies, in order, with one round trip to each server.

        Nothing that could have been executed is sent again: after an error it isn't known which of them were.
        With `apart` a key of another type than the request is for concerns that request alone, and its reply
        is a BadDocument.

        Raises:
            StoreUnavailable, StoreUnsuitable: one of them couldn't be executed.
        """
        replies: list[Any] = [None] * len(requests)
        todo = dict(enumerate(requests))
        for _ in range(_ATTEMPTS):
            if not todo:
                return replies
            await self._sure()
            shares = by_server(self._topology, {number: key for number, (key, _) in todo.items()})
            again = await self._shares(shares, requests, replies, apart)
            todo = {number: requests[number] for number in again}
        if todo:
            raise StoreUnavailable("the store's nodes are moving data around")
        return replies

    async def of_one(self, name: str, key: bytes, *args: bytes) -> Any:
        """The reply of a function that concerns nothing but `key`; see `request`.

        Raises:
            BadDocument: the key has another type.
            StoreUnavailable, StoreUnsuitable: as `many`.
        """
        (reply,) = await self.many([request(name, [key], *args)], apart=True)
        if isinstance(reply, BadDocument):
            raise reply
        return reply

    async def wait(self, requests: Sequence[Request], wait_s: float) -> list[Any]:
        """The replies of requests for one server that may block for `wait_s` seconds, on a connection of
        their own. Raises as `many`."""
        await self._sure()
        address = self._topology.address_of(requests[0][0])
        if address not in self._waiting:
            self._waiting[address] = pool_of(self._target, address, _WAITERS)
        replies = await self._exchange(self._waiting[address], [one for _, one in requests], wait_s)
        for reply in replies:
            if isinstance(reply, Exception):
                raise self._failed(reply, address)
        return replies

    async def _shares(
        self,
        shares: Mapping[Address, Sequence[int]],
        requests: Sequence[Request],
        replies: list[Any],
        apart: bool,
    ) -> Sequence[int]:
        """Get the replies of several servers, each as of `_share`."""
        work = [self._share(where, numbers, requests, replies, apart) for where, numbers in shares.items()]
        if len(work) == 1:
            return await work[0]  # without a task of its own
        done = await asyncio.gather(*work, return_exceptions=True)
        for one in done:
            if isinstance(one, BaseException):
                raise one
        return [number for one in done if not isinstance(one, BaseException) for number in one]

    async def _share(
        self,
        address: Address,
        numbers: Sequence[int],
        requests: Sequence[Request],
        replies: list[Any],
        apart: bool,
    ) -> Sequence[int]:
        """Get one server's replies; returns which requests are to be sent once more."""
        found = await self._exchange(self._pool(address), [requests[one][1] for one in numbers])
        again: list[int] = []
        missing = False
        for number, reply in zip(numbers, found, strict=True):
            if not isinstance(reply, Exception):
                replies[number] = reply
            elif _NOT_FOUND in str(reply):
                missing = True
                again.append(number)
            elif (word := code(reply)) == "MOVED":
                self._topology.moved(*redirection(reply))
                again.append(number)
            elif word == "ASK":
                replies[number] = await self._ask(redirection(reply)[1], requests[number][1])
            elif apart and word == _MISTYPED:
                replies[number] = BadDocument("what the store has under this key is of another type")
            else:
                raise self._failed(reply, address)
        if missing:
            # Lost with a restart, a failover or a flush.
            await self._load(address)
        return again

    async def _ask(self, address: Address, command: Command) -> Any:
        for _ in range(2):
            _, reply = await self._exchange(self._pool(address), [(b"ASKING",), command])
            if not isinstance(reply, Exception):
                return reply
            if _NOT_FOUND not in str(reply):
                break
            await self._load(address)
        raise self._failed(reply, address)

    async def _exchange(self, pool: Pool, commands: Sequence[Command], wait_s: float = 0.0) -> list[Any]:
        try:
            return await pool.exchange(commands, wait_s)
        except UndertoneError:
            self._suspect = True
            raise

    def _failed(self, reply: Exception, address: Address) -> UndertoneError:
        error = translated(reply, _name(address))
        if isinstance(error, StoreUnavailable):
            self._suspect = True
        return error

    async def _load(self, address: Address) -> None:
        pool, where = self._pool(address), _name(address)
        there = (b"FCALL_RO", library.function("there"), b"0")
        (reply,) = await self._exchange(pool, [there])
        if not isinstance(reply, Exception):
            return
        if _NOT_FOUND not in str(reply):
            raise self._failed(reply, address)
        (reply,) = await self._exchange(pool, [(b"FUNCTION", b"LOAD", b"REPLACE", library.source())])
        if isinstance(reply, Exception):
            raise self._failed(reply, address)
        logger.info("loaded the functions of version %s into the store at %s", library.version(), where)

    async def _sure(self) -> None:
        if self._suspect:
            await self._look()

    async def _look(self) -> None:
        """Find out where the servers are, once for all who want to know."""
        async with self._looking:
            if not self._suspect:
                return
            before = self._known()
            await self._topology.refresh()
            self._suspect = False
            for gone in before - self._known():
                for pools in (self._pools, self._waiting):
                    if gone in pools:
                        await pools.pop(gone).close()

    async def _look_for_tls(self) -> None:
        """Raises StoreUnsuitable where a server that doesn't answer waits for TLS."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is told to it
        for host, port in self._target.addresses:
            with contextlib.suppress(OSError):
                async with asyncio.timeout(self._target.timeout_s):
                    _, writer = await asyncio.open_connection(host, port, ssl=context)
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
                where = _name((host, port))
                raise StoreUnsuitable(f"the store at {where} speaks TLS: its URL must begin with valkeys")

    def _known(self) -> set[Address]:
        with contextlib.suppress(StoreUnavailable):
            return set(self._topology.masters())
        return set()

    def _pool(self, address: Address) -> Pool:
        if address not in self._pools:
            self._pools[address] = pool_of(self._target, address, self._target.connections)
        return self._pools[address]


def _name(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
