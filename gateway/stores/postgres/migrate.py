"""The schema's versions: numbered files of SQL, applied once each, by whichever node comes first."""

from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import Any, Final

from gateway.errors import StoreUnsuitable

_PATIENCE_S: Final = 120.0
"""Seconds that one version may take, others' turns included."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One version of the schema."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """What tells that an applied file was changed afterwards."""
        return sha256(self.sql.encode()).hexdigest()


def known() -> tuple[Migration, ...]:
    """The versions that this gateway knows, in order."""
    files = resources.files(__package__).joinpath("migrations").iterdir()
    found = (
        Migration(int(one.name[:4]), one.name.removesuffix(".sql"), one.read_text(encoding="utf-8"))
        for one in files
        if one.name.endswith(".sql")
    )
    return tuple(sorted(found, key=lambda one: one.version))


async def migrate_on(connection: Any, schema: str, migrations: tuple[Migration, ...] | None = None) -> None:
    """Apply what is missing, each version in a transaction, one node at a time.

    Where nothing is missing only reading is needed, and no right to change the schema.

    Raises:
        StoreUnsuitable: the schema is newer than this gateway, or an applied version was changed.
    """
    todo = migrations if migrations is not None else known()
    while await _missing(connection, schema, todo):
        async with connection.transaction(isolation="read_committed"):
            # Of the transaction, not of the connection: a pooler in between may change that.
            lock = int.from_bytes(sha256(f"undertone {schema}".encode()).digest()[:8], "big", signed=True)
            await connection.execute(f"SELECT pg_advisory_xact_lock({lock})", timeout=_PATIENCE_S)
            missing = await _missing(connection, schema, todo)
            if missing:
                await _apply(connection, schema, missing[0])


async def _missing(connection: Any, schema: str, todo: tuple[Migration, ...]) -> tuple[Migration, ...]:
    # Not to_regclass(): it may remember from before the lock that there is none.
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relname = 'versions')",
        schema,
    ):
        return todo
    rows = await connection.fetch(f'SELECT version, checksum FROM "{schema}".versions')
    applied = {row["version"]: row["checksum"] for row in rows}
    newest, here = max(applied, default=0), max((one.version for one in todo), default=0)
    if newest > here:
        raise StoreUnsuitable(
            f"the schema {schema} has version {newest}, this gateway knows {here}: a newer one is needed"
        )
    for one in todo:
        if applied.get(one.version, one.checksum) != one.checksum:
            raise StoreUnsuitable(f"version {one.version} of the schema {schema} is not this gateway's")
    return tuple(one for one in todo if one.version not in applied)


async def _apply(connection: Any, schema: str, one: Migration) -> None:
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema):
        await connection.execute(f'CREATE SCHEMA "{schema}"')
    await connection.execute(
        f'CREATE TABLE IF NOT EXISTS "{schema}".versions (version integer PRIMARY KEY, name text NOT NULL,'
        " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    script = one.sql.replace("@schema@", f'"{schema}"').replace("@channel@", f"{schema}_streams")
    await connection.execute(script, timeout=_PATIENCE_S)
    await connection.execute(
        f'INSERT INTO "{schema}".versions (version, name, checksum) VALUES ($1, $2, $3)',
        one.version,
        one.name,
        one.checksum,
    )
