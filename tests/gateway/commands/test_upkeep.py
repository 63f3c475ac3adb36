"""`undertone erase` and `undertone migrate` as they speak with people."""

import argparse
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.parsers import parse
from gateway.commands.upkeep import run_erase, run_migrate, try_stores
from gateway.errors import StoreUnavailable, StoreUnsuitable
from gateway.settings import Settings
from gateway.stores.upkeep import Whom

STORE = {"UNDERTONE_STORE": "valkey://127.0.0.1:6379"}
DATABASE = {
    "UNDERTONE_STORE": "postgres",
    "UNDERTONE_DATABASE_URL": "postgresql://undertone@127.0.0.1/undertone",
}


class Terminal(io.StringIO):
    """Somebody who answers."""

    def isatty(self) -> bool:
        """There is."""
        return True


class FakeEraser:
    """Finds two sessions, and erases three: another one came."""

    audit = object()

    def __init__(self) -> None:
        self.erased: list[Whom] = []

    async def found(self, _: Whom) -> list[str]:
        """What is there."""
        return ["canary-one", "canary-two"]

    async def erase(self, whom: Whom) -> int:
        """How many went."""
        self.erased.append(whom)
        return 3


def erase(
    *words: str, answer: io.StringIO | None = None, environ: Mapping[str, str] = STORE
) -> tuple[ExitCode, str, list[Whom]]:
    """Exit code, what was printed, and who was erased."""
    eraser = FakeEraser()

    @asynccontextmanager
    async def connect(_: Settings) -> AsyncIterator[Any]:
        yield eraser

    out = io.StringIO()
    arguments = parse(["erase", *words])
    status = run_erase(arguments, environ, connect, answer or io.StringIO(), out)
    return status, out.getvalue(), eraser.erased


def test_what_goes_is_said_before_and_after() -> None:
    """Numbers only: no id, and no name of a user."""
    status, told, erased = erase("--namespace", "acme", "--user", "ann", "--yes")
    assert status is ExitCode.OK
    assert told == (
        "2 sessions in the store and all that the database has of one user of namespace acme\n"
        "erased 3 sessions\n"
    )
    assert erased == [Whom("acme", "ann")]


@pytest.mark.parametrize(
    ("answer", "agreed"), [("y\n", True), ("Yes\n", True), ("\n", False), ("no\n", False), ("", False)]
)
def test_somebody_at_a_terminal_is_asked(answer: str, agreed: bool) -> None:
    """And nothing but a yes is one."""
    status, told, erased = erase("--namespace", "acme", answer=Terminal(answer))
    assert "[y/N]" in told
    assert erased == ([Whom("acme")] if agreed else [])
    assert (status is ExitCode.OK) is agreed
    assert ("nothing was erased" in told) is not agreed


@pytest.mark.parametrize(
    ("words", "environ", "told"),
    [
        (("--yes",), STORE, "--namespace, --user or both"),
        (("--namespace", "acme"), STORE, "nobody to ask"),
        (("--namespace", "acme", "--yes"), {"UNDERTONE_STORE": "memory"}, "outside a gateway's memory"),
        (("--namespace", "acme", "--yes"), {"UNDERTONE_PORT": "x"}, "UNDERTONE_PORT"),
    ],
)
def test_what_can_not_be_erased(words: tuple[str, ...], environ: dict[str, str], told: str) -> None:
    """Is refused before anything is connected."""
    with pytest.raises(CommandError, match=told):
        erase(*words, environ=environ)


@pytest.mark.parametrize(
    ("versions", "told"),
    [
        ((0, 3), "the schema undertone was made: version 3\n"),
        ((1, 3), "the schema undertone went from version 1 to 3\n"),
        ((3, 3), "the schema undertone is up to date: version 3\n"),
    ],
)
def test_migrating_says_what_it_did(versions: tuple[int, int], told: str) -> None:
    """From which version to which."""

    async def migrate(_: Settings) -> tuple[int, int]:
        return versions

    out = io.StringIO()
    assert run_migrate(parse(["migrate"]), DATABASE, migrate, out) is ExitCode.OK
    assert out.getvalue() == told


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreUnavailable("it is away"), ExitCode.UNREACHABLE),
        (StoreUnsuitable("it is too old"), ExitCode.USAGE),
    ],
)
def test_a_store_that_fails_is_told_in_a_line(error: Exception, code: ExitCode) -> None:
    """With what to do about it, and with its own exit code."""

    async def migrate(_: Settings) -> tuple[int, int]:
        raise error

    def connect(_: Settings) -> AbstractAsyncContextManager[Any]:
        raise error

    with pytest.raises(CommandError) as migrating:
        run_migrate(parse(["migrate"]), DATABASE, migrate, io.StringIO())
    with pytest.raises(CommandError) as trying:
        try_stores(Settings.load(STORE), connect, io.StringIO())
    for failed in (migrating.value, trying.value):
        assert (failed.message, failed.code) == (str(error), code)
        assert failed.hint is not None
        assert "UNDERTONE_DATABASE_URL" in failed.hint


def test_there_is_nothing_to_try_in_memory() -> None:
    """And that is said."""
    out = io.StringIO()

    def connect(_: Settings) -> Any:
        raise AssertionError

    try_stores(Settings(), connect, out)
    assert "no store" in out.getvalue()


async def untouched(_: Settings) -> tuple[int, int]:
    """Nothing is to be migrated."""
    raise AssertionError


@pytest.mark.parametrize("store", [{}, {"UNDERTONE_STORE": "memory"}, STORE, {"UNDERTONE_PROCESSES": "2"}])
def test_migrating_needs_the_database_only(store: dict[str, str]) -> None:
    """Wherever a node keeps its sessions, and whether it could start so."""
    seen: list[Settings] = []

    async def migrate(settings: Settings) -> tuple[int, int]:
        seen.append(settings)
        return 3, 3

    environ = {
        "UNDERTONE_DATABASE_URL": DATABASE["UNDERTONE_DATABASE_URL"],
        "UNDERTONE_DATABASE_SCHEMA": "other",
        **store,
    }
    assert run_migrate(parse(["migrate"]), environ, migrate, io.StringIO()) is ExitCode.OK
    assert [(one.database_url, one.database_schema) for one in seen] == [
        (DATABASE["UNDERTONE_DATABASE_URL"], "other")
    ]


def test_valkey_alone_needs_no_migrating() -> None:
    """That is said, and nothing is wrong with it."""
    out = io.StringIO()
    assert run_migrate(argparse.Namespace(config=None), STORE, untouched, out) is ExitCode.OK
    assert "nothing to migrate" in out.getvalue()


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, "no database"),
        ({"UNDERTONE_STORE": "memory"}, "no database"),
        ({"UNDERTONE_STORE": "postgres"}, "without UNDERTONE_DATABASE_URL"),
        ({"UNDERTONE_DATABASE_URL": "postgresql://"}, "names no host"),
    ],
)
def test_migrating_needs_to_know_where(environ: dict[str, str], told: str) -> None:
    """Without a database there is nothing to do."""
    with pytest.raises(CommandError, match=told):
        run_migrate(argparse.Namespace(config=None), environ, untouched, io.StringIO())
