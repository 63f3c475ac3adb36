"""A bounded pool of connections to PostgreSQL; what its driver raises is translated here, at the edge.

The URL is the driver's: `postgresql://user@host:5432/database?sslmode=verify-full`, several hosts and
`target_session_attrs=read-write` included. Nothing of it is ever told but hosts and the database's name.
"""

import asyncio
import contextlib
import logging
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, TypeAlias, TypeVar
from urllib.parse import parse_qs, urlsplit

import asyncpg  # type: ignore[import-untyped]

from gateway.errors import StoreUnavailable, StoreUnsuitable
from gateway.stores.pem import check_pem
from gateway.stores.postgres.failures import AGAIN, DRIVER_ERRORS, demoted, translated
from gateway.stores.postgres.migrate import migrate_on

log = logging.getLogger(__name__)
# While the database is away the pool tells of each connection that it can't renew, with a traceback a second.
logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)

OLDEST: Final = 13
"""The oldest major version of PostgreSQL that will do."""
_ATTEMPTS = 5
_BACKOFF_S = 0.02
_CLOSING_S = 5.0
_HOST = r"(?:[\w.-]*|\[[0-9A-Fa-f:.]+\])(?::\d+)?"
# A password that holds what it should have escaped makes the whole unreadable.
_ADDRESS = re.compile(
    rf"postgres(?:ql)?://(?:[^@/?#]*@)?(?P<told>{_HOST}(?:,{_HOST})*(?:/[^@/?#]*)?)(?:\?[^@]*)?"
)
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")

T = TypeVar("T")
Row: TypeAlias = Mapping[str, Any]


class Connection(Protocol):
    """What the stores use of the driver's connection."""

    async def fetch(self, query: str, *args: object) -> Sequence[Row]:
        """All rows."""
        ...

    async def fetchrow(self, query: str, *args: object) -> Row | None:
        """The first row."""
        ...

    async def fetchval(self, query: str, *args: object) -> Any:
        """The first value of the first row."""
        ...

    async def execute(self, query: str, *args: object) -> str:
        """What was done and to how many rows, as `DELETE 3`."""
        ...

    def transaction(self, *, isolation: str | None = None) -> AbstractAsyncContextManager[Any]:
        """All or nothing."""
        ...


class Database:
    """The pool, and the one schema in which everything is kept.

    `pooler` is for a PgBouncer in between that pools transactions: no prepared statements, each call is a
    transaction of its own, and readers look for news instead of being told.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str = "undertone",
        connections: int = 10,
        pooler: bool = False,
        connect_timeout_s: float = 5.0,
        command_timeout_s: float = 10.0,
    ) -> None:
        if not _NAME.fullmatch(schema) or schema.startswith("pg_"):
            raise StoreUnsuitable("a schema's name is a lower-case identifier of at most 40 characters")
        self._url = url
        self._name = schema
        self.schema = f'"{schema}"'
        """Quoted, for SQL."""
        self.channel = f"{schema}_streams"
        """Where commits are told."""
        self.pooler = pooler
        self._connections = connections
        self._timeout_s = connect_timeout_s
        self._command_timeout_s = command_timeout_s
        self._pool: Any = None

    def __repr__(self) -> str:
        return f"Database({self.address}, schema={self._name})"

    @property
    def address(self) -> str:
        """Hosts and the database's name: what may be told of the URL."""
        found = _ADDRESS.fullmatch(self._url)
        return found["told"] if found else "an unreadable URL"

    async def start(self) -> None:
        """Connect, look whether this server will do, and bring the schema up to date.

        Raises:
            StoreUnavailable: it can't be reached, or takes no writes.
            StoreUnsuitable: its version, its encoding, the user's rights, or its schema.
        """
        with self._connecting():
            pool = asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=self._connections,
                reset=_leave_as_it_is,
                **self._options(),
            )
            await pool
        self._pool = pool
        try:
            await self.run(self._prepare)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End every connection; those in use get a moment to finish."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(_CLOSING_S):
                await pool.close()
        except DRIVER_ERRORS:
            pool.terminate()

    async def run(self, work: Callable[[Connection], Awaitable[T]], *, atomic: bool = False) -> T:
        """What `work` makes with a connection, in one transaction where that is asked for.

        Done again where others were in the way and nothing was written.

        Raises:
            StoreUnavailable, StoreUnsuitable: see `gateway.stores.postgres.failures`.
        """
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_BACKOFF_S * attempt * (0.5 + random.random()))
            with contextlib.suppress(*AGAIN), _edge(*AGAIN):
                async with self._acquired() as connection:
                    if not atomic and not self.pooler:
                        return await work(connection)
                    async with connection.transaction(isolation="read_committed"):
                        return await work(connection)
        raise StoreUnavailable("PostgreSQL: too many others wrote the same")

    async def fetch(self, query: str, *args: object) -> Sequence[Row]:
        """All rows of one statement; see `run` for what is raised."""
        return await self.run(lambda connection: connection.fetch(query, *args))

    async def fetchrow(self, query: str, *args: object) -> Row | None:
        """The first row of one statement."""
        return await self.run(lambda connection: connection.fetchrow(query, *args))

    async def fetchval(self, query: str, *args: object) -> Any:
        """The first value of the first row of one statement."""
        return await self.run(lambda connection: connection.fetchval(query, *args))

    async def execute(self, query: str, *args: object) -> int:
        """Do it; to how many rows."""
        told = await self.run(lambda connection: connection.execute(query, *args))
        return int(told.rpartition(" ")[2])

    async def alone(self) -> Any:
        """A connection of the driver's own beside the pool, whose end is the caller's business."""
        with self._connecting():
            return await asyncpg.connect(self._url, **self._options())

    @contextlib.contextmanager
    def _connecting(self) -> Iterator[None]:
        """Nothing of the driver's gets past, and what is wrong with the URL is told as that."""
        _check_files(self._url)
        try:
            yield
        except (*DRIVER_ERRORS, ValueError) as error:
            raise translated(error, connecting=True) from None

    def _options(self) -> dict[str, Any]:
        settings = {"application_name": "undertone"}
        if not self.pooler:  # which refuses what it can't keep apart
            settings["default_transaction_isolation"] = "read committed"
        return {
            "timeout": self._timeout_s,
            "command_timeout": self._command_timeout_s,
            "statement_cache_size": 0 if self.pooler else 200,
            "server_settings": settings,
        }

    @contextlib.asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Connection]:
        pool = self._pool
        if pool is None:
            raise StoreUnavailable("there is no connection to PostgreSQL")
        connection = await pool.acquire(timeout=self._command_timeout_s)
        try:
            yield connection
        except BaseException as error:
            if demoted(error):
                await pool.expire_connections()  # elsewhere there may be a server that takes writes
            raise
        finally:
            await pool.release(connection, timeout=self._command_timeout_s)

    async def _prepare(self, connection: Connection) -> None:
        row = await connection.fetchrow(
            "SELECT current_setting('server_version_num')::int / 10000 AS version,"
            " current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS replica,"
            " current_setting('transaction_read_only') = 'on' AS read_only"
        )
        assert row is not None
        if row["version"] < OLDEST:
            raise StoreUnsuitable(f"PostgreSQL {row['version']} is too old: {OLDEST} or newer is needed")
        if row["encoding"] != "UTF8":
            raise StoreUnsuitable("the database's encoding isn't UTF8")
        if row["replica"] or row["read_only"]:
            what = "is a replica" if row["replica"] else "is read-only"
            raise StoreUnavailable(f"PostgreSQL at {self.address} {what}: it takes no writes")
        await migrate_on(connection, self._name)


async def migrate(url: str, *, schema: str = "undertone") -> None:
    """Bring the schema up to date, and nothing else: for a release that does so before its nodes start.

    Raises:
        StoreUnavailable, StoreUnsuitable: as `Database.start`.
    """
    database = Database(url, schema=schema, connections=1)
    try:
        await database.start()
    finally:
        await database.close()


async def _leave_as_it_is(_: object) -> None:
    """Nothing that lasts is ever set on a pooled connection, so nothing has to be reset by a round trip."""


def _check_files(url: str) -> None:
    with contextlib.suppress(ValueError):  # the driver will say that it can't read it
        given = {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
        if given.get("sslmode", "").replace("_", "-") in ("require", "verify-ca", "verify-full"):
            check_pem(
                "the URL of PostgreSQL",
                ("sslrootcert", given.get("sslrootcert")),
                ("sslcert", given.get("sslcert")),
                ("sslkey", given.get("sslkey")),
                given.get("sslpassword", ""),
            )


@contextlib.contextmanager
def _edge(*passed: type[BaseException]) -> Iterator[None]:
    """Nothing of the driver's gets past, but what is `passed`."""
    try:
        yield
    except passed:
        raise
    except DRIVER_ERRORS as error:
        raise translated(error) from None
