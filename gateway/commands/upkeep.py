"""`undertone migrate` and `undertone erase`: what is done to the stores beside the nodes that run.

Nothing of anybody's is printed: no id, no word that was said, only how much there was.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TextIO, TypeVar

from gateway.commands.exits import CommandError, ExitCode
from gateway.config.options import variable
from gateway.config.stores import MEMORY, POSTGRES
from gateway.errors import StoreUnavailable, StoreUnsuitable
from gateway.settings import Settings, SettingsError, explain
from gateway.stores.upkeep import Eraser, Whom

T = TypeVar("T")

STORE_HINT = "UNDERTONE_STORE and UNDERTONE_DATABASE_URL say where it is."

Migrate = Callable[[Settings], Awaitable[tuple[int, int]]]
Connect = Callable[[Settings], AbstractAsyncContextManager[Eraser]]


class Terminal(Protocol):
    """Who is asked."""

    def isatty(self) -> bool:
        """Whether there is anybody."""
        ...

    def readline(self) -> str:
        """The answer."""
        ...


def run_migrate(
    arguments: argparse.Namespace, environ: Mapping[str, str], migrate: Migrate, out: TextIO
) -> ExitCode:
    """Do it, and say from where to where. Raises CommandError."""
    settings = _of_the_database(arguments, environ)
    if settings.database_url is None:
        if settings.store != MEMORY:
            out.write("there is nothing to migrate: no database, and Valkey has no schema\n")
            return ExitCode.OK
        raise CommandError(
            "there is no database to bring up to date",
            hint="Name it: UNDERTONE_DATABASE_URL=postgresql://undertone@127.0.0.1/undertone",
        )

    async def work() -> tuple[int, int]:
        return await migrate(settings)

    before, after = _run(work)
    schema = settings.database_schema
    if before == after:
        out.write(f"the schema {schema} is up to date: version {after}\n")
    elif before:
        out.write(f"the schema {schema} went from version {before} to {after}\n")
    else:
        out.write(f"the schema {schema} was made: version {after}\n")
    return ExitCode.OK


def run_erase(
    arguments: argparse.Namespace,
    environ: Mapping[str, str],
    connect: Connect,
    terminal: Terminal,
    out: TextIO,
) -> ExitCode:
    """Ask, and do it. Raises CommandError."""
    if arguments.namespace is None and arguments.user is None:
        raise CommandError("it has to be said whose: --namespace, --user or both")
    if not arguments.yes and not terminal.isatty():
        raise CommandError("there is nobody to ask", hint="--yes erases without asking.")
    settings = loaded(arguments, environ)
    if settings.store == MEMORY:
        raise CommandError(
            "nothing is kept outside a gateway's memory (UNDERTONE_STORE=memory)",
            hint="DELETE /api/v1/sessions/{id} deletes a session there; its end deletes all.",
        )
    whom = Whom(arguments.namespace, arguments.user)

    async def work() -> int | None:
        async with connect(settings) as eraser:
            there = len(await eraser.found(whom))
            also = " and all that the database has" if eraser.audit is not None else ""
            out.write(f"{_sessions(there)} in the store{also} of {_named(whom)}\n")
            out.flush()
            if not arguments.yes and not await asyncio.to_thread(_agreed, terminal, out):
                return None
            return await eraser.erase(whom)

    number = _run(work)
    if number is None:
        out.write("nothing was erased\n")
        return ExitCode.INTERRUPTED
    out.write(f"erased {_sessions(number)}\n")
    return ExitCode.OK


def try_stores(settings: Settings, connect: Connect, out: TextIO) -> None:
    """Connect to the stores, and let go again. Raises CommandError."""
    if settings.store == MEMORY:
        out.write("\n# there is no store to connect to: UNDERTONE_STORE=memory\n")
        return

    async def work() -> None:
        async with connect(settings):
            pass

    _run(work)
    out.write("\n# the stores answer, and will do\n")


def store_error(error: Exception) -> CommandError:
    """What to say of a store that fails."""
    if isinstance(error, StoreUnavailable):
        return CommandError(str(error), hint=f"Is it running? {STORE_HINT}", code=ExitCode.UNREACHABLE)
    return CommandError(str(error), hint=f"Change it there, or name another: {STORE_HINT}")


def loaded(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """The settings. Raises CommandError."""
    try:
        return Settings.load(environ, arguments.config)
    except SettingsError as error:
        raise CommandError("the settings can't be used:\n" + explain(error.problems)) from None


def _of_the_database(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """The settings, wherever else they keep sessions: only the database matters here. Raises CommandError."""
    try:
        return Settings.load({**environ, variable("store"): POSTGRES}, arguments.config)
    except SettingsError:  # where there is no database, what was given says whether one is wanted
        return loaded(arguments, environ)


def _run(work: Callable[[], Awaitable[T]]) -> T:
    async def all_of_it() -> T:
        return await work()

    try:
        return asyncio.run(all_of_it())
    except (StoreUnavailable, StoreUnsuitable) as error:
        raise store_error(error) from None
    except SettingsError as error:
        raise CommandError("the settings can't be used:\n" + explain(error.problems)) from None


def _agreed(terminal: Terminal, out: TextIO) -> bool:
    out.write("Erase it for good? [y/N] ")
    out.flush()
    return terminal.readline().strip().lower() in ("y", "yes")


def _sessions(number: int) -> str:
    return f"{number} session" if number == 1 else f"{number} sessions"


def _named(whom: Whom) -> str:
    owner = "no namespace" if whom.namespace is None else f"namespace {whom.namespace}"
    return owner if whom.user is None else f"one user of {owner}"
