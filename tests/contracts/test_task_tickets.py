"""What every store of tasks' tickets must do. A new adapter adds a factory to `STORES`, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from gateway.errors import NotFound
from gateway.sessions.model import Status
from gateway.sessions.ports import SessionStore
from gateway.stores.valkey.sessions import ValkeySessionStore
from gateway.stores.valkey.tasks import ValkeyTaskTickets
from gateway.tasks.model import State
from gateway.tasks.recipes import recipe
from gateway.tasks.tickets import Basis, TaskTicket, TaskTickets, Told
from protocol.control import SessionConfig
from tests.contracts import postgres
from tests.gateway.sessions.kit import run, session
from tests.stores import connected

Stage: TypeAlias = tuple[SessionStore, TaskTickets]
Factory: TypeAlias = Callable[[], AbstractAsyncContextManager[Stage]]
Scenario: TypeAlias = Callable[[TaskTickets], Awaitable[None]]
Play: TypeAlias = Callable[[Scenario], None]

HOSTILE = ["", "nobody", "a b", "}:x{", "../..", "\n", "\0", "x" * 5_000, "{s:s}:doc", "🙂", "\udc80"]


@asynccontextmanager
async def valkey() -> AsyncIterator[Stage]:
    async with connected() as connection:
        yield ValkeySessionStore(connection), ValkeyTaskTickets(connection)


STORES: dict[str, Factory] = {"valkey": valkey, "postgres": postgres.tasks}


@pytest.fixture(params=STORES.values(), ids=list(STORES), scope="module")
def play(request: pytest.FixtureRequest) -> Play:
    """Plays a scenario on a store with two sessions, `s` and `other`, and no tasks."""

    def play(scenario: Scenario) -> None:
        async def on_stage() -> None:
            async with request.param() as (sessions, tickets):
                for session_id in ("s", "other"):
                    await sessions.create(session(id=session_id))
                await scenario(tickets)

        run(on_stage())

    return play


BASIS = Basis(17, True, Status.LIVE, SessionConfig(language="de", min_confidence=0.25), {"next_sample": 5})


def ticket(task_id: str = "t", session_id: str = "s", **given: Any) -> TaskTicket:
    """A ticket."""
    wanted = recipe("export", {"format": "vtt"})
    return TaskTicket(
        **{
            "id": task_id,
            "session_id": session_id,
            "namespace_id": "acme | ü",
            "type": wanted.type,
            "options": dict(wanted.options),
            "basis": BASIS,
            "created_at": 1_700_000_000.125,
            "updated_at": 1_700_000_000.25,
            "node": "n1",
            **given,
        }
    )


def test_a_ticket_comes_back_as_it_was(play: Play) -> None:
    """To the bit, by its id and in the list of its session."""

    async def scenario(store: TaskTickets) -> None:
        given = ticket()
        assert await store.add(given, 8)
        assert await store.get("t") == given
        assert list(await store.list("s")) == [given]
        assert list(await store.list("other")) == []

    play(scenario)


def test_a_session_that_is_not_there_has_no_tasks(play: Play) -> None:
    """Nothing is kept that nobody would ever delete."""

    async def scenario(store: TaskTickets) -> None:
        for session_id in HOSTILE:
            with pytest.raises(NotFound):
                await store.add(ticket(session_id=session_id), 8)
        assert await store.get("t") is None

    play(scenario)


def test_ids_that_nobody_gave_are_of_nothing(play: Play) -> None:
    """Whatever a path said: there is no such task."""

    async def scenario(store: TaskTickets) -> None:
        await store.add(ticket(), 8)
        for one in HOSTILE:
            assert await store.get(one) is None
            assert list(await store.list(one)) == []
            assert not await store.remove("s", one)
            await store.discard(one)
        assert await store.there(["s", *HOSTILE]) == await store.there(["s", *HOSTILE])
        assert (await store.there(["s", *HOSTILE]))["s"] == {"t"}

    play(scenario)


def test_of_a_crowd_as_many_are_let_in_as_may(play: Play) -> None:
    """Counting and keeping are one step; another session has its own bound."""

    async def scenario(store: TaskTickets) -> None:
        many = [store.add(ticket(f"t{number}", node=f"n{number % 3}"), 5) for number in range(20)]
        assert sum(await asyncio.gather(*many)) == 5
        assert len(await store.list("s")) == 5
        assert await store.add(ticket("theirs", "other"), 5)
        refused = [f"t{number}" for number in range(20) if await store.get(f"t{number}") is None]
        assert len(refused) == 15

    play(scenario)


def test_the_oldest_useless_ticket_makes_room(play: Play) -> None:
    """One that failed or was cancelled; those that are ready, or under way, stay, in their order."""

    async def scenario(store: TaskTickets) -> None:
        for name, state in (("a", State.READY), ("b", State.FAILED), ("c", State.CANCELLED)):
            await store.add(ticket(name), 3)
            assert await store.move("s", name, "n1", state, 2.0, None) is Told.DONE
        assert await store.add(ticket("d"), 3)
        assert [one.id for one in await store.list("s")] == ["a", "c", "d"]
        assert await store.get("b") is None
        assert await store.add(ticket("e"), 3)
        assert not await store.add(ticket("f"), 3)
        assert [one.id for one in await store.list("s")] == ["a", "d", "e"]
        assert await store.get("f") is None

    play(scenario)


def test_only_its_node_says_how_a_task_stands(play: Play) -> None:
    """What it says is there for all; a message may hold anything."""

    async def scenario(store: TaskTickets) -> None:
        await store.add(ticket(), 8)
        assert await store.move("s", "t", "n2", State.READY, 3.0, None) is Told.OTHERS
        assert await store.get("t") == ticket()
        message = "it | broke:\n‘why’ 100 %"
        assert await store.move("s", "t", "n1", State.FAILED, 3.5, message) is Told.DONE
        assert await store.get("t") == ticket(state=State.FAILED, updated_at=3.5, error_message=message)
        assert await store.move("s", "never", "n1", State.READY, 3.0, None) is Told.GONE

    play(scenario)


def test_of_many_who_adopt_a_task_one_has_it(play: Play) -> None:
    """Who had it before is told so; and whoever looked too early adopts nothing."""

    async def scenario(store: TaskTickets) -> None:
        await store.add(ticket(), 8)
        await store.move("s", "t", "n1", State.RUNNING, 2.0, None)
        assert not await store.adopt(ticket(), "n9", 3.0)  # it was queued then
        seen = await store.get("t")
        assert seen is not None
        won = await asyncio.gather(*(store.adopt(seen, f"n{number}", 4.0) for number in range(2, 12)))
        assert sum(won) == 1
        now = await store.get("t")
        assert now == replace(ticket(), node=f"n{won.index(True) + 2}", updated_at=4.0)
        assert await store.move("s", "t", "n1", State.READY, 5.0, None) is Told.OTHERS
        assert not await store.adopt(ticket("never"), "n2", 4.0)

    play(scenario)


def test_a_removed_ticket_is_gone(play: Play) -> None:
    """Once; the session's others stay."""

    async def scenario(store: TaskTickets) -> None:
        for name in ("a", "b"):
            await store.add(ticket(name), 8)
        assert not await store.remove("other", "a")
        assert await store.get("a") == ticket("a")
        assert await store.remove("s", "a")
        assert not await store.remove("s", "a")
        assert await store.get("a") is None
        assert [one.id for one in await store.list("s")] == ["b"]
        assert await store.move("s", "a", "n1", State.READY, 3.0, None) is Told.GONE

    play(scenario)


def test_a_sessions_tickets_go_together(play: Play) -> None:
    """And it says of many sessions at once what is there."""

    async def scenario(store: TaskTickets) -> None:
        for name, session_id in (("a", "s"), ("b", "s"), ("c", "other")):
            await store.add(ticket(name, session_id), 8)
        assert await store.there(["s", "other"]) == {"s": {"a", "b"}, "other": {"c"}}
        await store.discard("s")
        await store.discard("s")
        assert [await store.get(one) is None for one in "abc"] == [True, True, False]
        there = await store.there(["s", "other"])
        assert not there.get("s")
        assert there["other"] == {"c"}

    play(scenario)
