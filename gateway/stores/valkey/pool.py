"""The connections to one server: bounded, made when needed, kept for the next one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from libvalkey import pack_command
from valkey.asyncio.connection import AbstractConnection, Connection, SSLConnection
from valkey.exceptions import ResponseError, ValkeyError

from gateway.stores.valkey.errors import translated
from gateway.stores.valkey.url import Address, Target

Command: TypeAlias = tuple[bytes, ...]
"""A command and its arguments."""


class Pool:
    """Connections to one server, at most `limit`; whoever finds none free waits for one."""

    def __init__(
        self, make: Callable[[], AbstractConnection], where: str, limit: int, timeout_s: float
    ) -> None:
        self._make = make
        self._where = where
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(limit)
        self._idle: list[AbstractConnection] = []
        self._closed = False

    async def exchange(self, commands: Sequence[Command], wait_s: float = 0.0) -> list[Any]:
        """The replies to all of them, sent at once; an error that the server answered is among them.

        Nothing is sent twice: what became of commands after an error that is raised here isn't known.

        Args:
            commands: what to send.
            wait_s: seconds that the server may take beyond the timeout, for commands that block.

        Raises:
            StoreUnavailable: the server can't be reached, or didn't answer in time.
            StoreUnsuitable: it refuses the user, the password or the database, or its certificate is bad.
        """
        packed = b"".join(map(pack_command, commands))
        try:
            async with asyncio.timeout(self._timeout_s + wait_s), self._connection() as connection:
                # One timeout around all of it: the driver's own takes a task for each write.
                await connection.send_packed_command(packed, check_health=False)
                return [await _reply(connection) for _ in commands]
        except (ValkeyError, OSError) as error:  # a timeout is an OSError, too
            raise translated(error, self._where) from None

    async def close(self) -> None:
        """Close what is idle, and what is not when it is given back."""
        self._closed = True
        await self.drop()

    async def drop(self) -> None:
        """Close what is idle: the server is no longer what it was."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AbstractConnection]:
        async with self._turns:
            connection = self._idle.pop() if self._idle else self._make()
            try:
                await _ready(connection)
                yield connection
            except BaseException:
                # Who knows what is still on its way.
                await connection.disconnect(nowait=True)
                raise
            if self._closed:
                await connection.disconnect(nowait=True)
            else:
                self._idle.append(connection)


def pool_of(target: Target, address: Address, limit: int) -> Pool:
    """A pool of connections to a server of `target`."""
    login = (target.user, target.password)
    return Pool(
        lambda: _connection(target, address, login, target.db), _name(address), limit, target.timeout_s
    )


def sentinel_pool_of(target: Target, address: Address) -> Pool:
    """A pool of connections to one of the sentinels of `target`."""
    login = (target.sentinel_user, target.sentinel_password)
    return Pool(lambda: _connection(target, address, login, 0), _name(address), 1, target.timeout_s)


def _name(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _connection(
    target: Target, address: Address, login: tuple[str | None, str | None], db: int
) -> AbstractConnection:
    given: dict[str, Any] = {
        "host": address[0],
        "port": address[1],
        "db": db,
        "username": login[0],
        "password": login[1],
        "socket_timeout": None,
        "socket_connect_timeout": target.timeout_s,
        "socket_keepalive": True,
        "lib_name": None,
        "lib_version": None,
    }
    if not target.tls:
        return Connection(**given)
    return SSLConnection(
        ssl_ca_certs=target.ca_file,
        ssl_certfile=target.cert_file,
        ssl_keyfile=target.key_file,
        ssl_check_hostname=True,
        **given,
    )


async def _ready(connection: AbstractConnection) -> None:
    """Connect, unless it is there still."""
    if connection.is_connected:
        reader = connection._reader
        # All replies were read, so what the event loop has seen since is its end or nothing. The driver's own
        # look takes a timer and two turns of the loop, as much as all else of a round trip.
        if reader is not None and reader.exception() is None and not reader.at_eof():
            return
        await connection.disconnect(nowait=True)
    await connection.connect()  # type: ignore[no-untyped-call]


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
