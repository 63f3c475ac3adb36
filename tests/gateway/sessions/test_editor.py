"""Changing sessions that others change too."""

import asyncio
from dataclasses import replace

import pytest

from gateway.clock import ManualClock
from gateway.errors import Conflict, NotFound
from gateway.sessions.editor import Editor
from gateway.sessions.lifecycle import IllegalTransition, Input
from gateway.sessions.model import Session, Status
from gateway.stores.memory import MemorySessionStore
from tests.gateway.sessions.kit import YieldingSessionStore, in_status, run, session


class RefusingStore(MemorySessionStore):
    """A store in which somebody else always writes first."""

    async def update(self, session: Session, expected_version: int) -> Session:
        raise Conflict("too late")


def test_no_simultaneous_change_is_lost() -> None:
    """Fifty changes of the same session, each based on what was read, all count."""

    async def scenario() -> None:
        store = YieldingSessionStore()
        editor = Editor(store, ManualClock())
        one = session(attaches=0)
        await store.create(one)

        def count(read: Session) -> Session:
            return replace(read, attaches=read.attaches + 1)

        await asyncio.gather(*(editor.change(one.id, count) for _ in range(50)))
        kept = await store.get(one.id)
        assert kept is not None
        assert (kept.attaches, kept.version) == (50, one.version + 50)

    run(scenario())


def test_no_change_is_no_write() -> None:
    """Returning what was given leaves the version alone."""

    async def scenario() -> None:
        store = MemorySessionStore()
        one = session()
        await store.create(one)
        assert await Editor(store, ManualClock()).change(one.id, lambda read: read) is one

    run(scenario())


def test_what_is_not_there_can_not_be_changed() -> None:
    """It is an error to those who asked for it, and nothing to those who only tidy up."""

    async def scenario() -> None:
        editor = Editor(MemorySessionStore(), ManualClock())
        with pytest.raises(NotFound):
            await editor.change("gone", lambda read: read)
        assert await editor.change_if_there("gone", lambda read: read) is None

    run(scenario())


def test_endless_conflict_ends() -> None:
    """A defective store gets an error, not a busy loop."""

    async def scenario() -> None:
        store = RefusingStore()
        one = session()
        await store.create(one)
        with pytest.raises(Conflict, match="too many"):
            await Editor(store, ManualClock()).change(one.id, lambda read: replace(read, user_id="u"))

    run(scenario())


def test_trying_to_advance_fails_where_the_session_has_changed() -> None:
    """A decision about what was read is dropped when that is not what is there."""

    async def scenario() -> None:
        store = MemorySessionStore()
        editor = Editor(store, ManualClock())
        read = in_status(Status.LIVE)
        await store.create(read)
        await editor.change(read.id, lambda one: replace(one, user_id="u"))
        assert await editor.try_advance(read, Input.IDLE) is None
        kept = await store.get(read.id)
        assert kept is not None
        assert kept.status is Status.LIVE
        assert (await editor.try_advance(kept, Input.IDLE)) is not None

    run(scenario())


def test_if_able_leaves_a_session_alone_that_has_no_place_for_the_input() -> None:
    """Where `advance` would raise, nothing happens."""
    editor = Editor(MemorySessionStore(), ManualClock())
    closed = in_status(Status.CLOSED)
    with pytest.raises(IllegalTransition):
        editor.advance(closed, Input.END)
    assert editor.if_able(Input.END)(closed) is closed
    assert editor.if_able(Input.END)(in_status(Status.LIVE)).status is Status.DRAINING
