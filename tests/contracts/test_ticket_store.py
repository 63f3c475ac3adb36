"""What every ticket store must do. A new adapter adds a factory to `STORES`, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import pytest

from gateway.sessions.ports import TicketGrant, TicketStore
from gateway.sessions.tickets import Role
from gateway.stores.memory import MemoryTicketStore
from gateway.stores.valkey.tickets import ValkeyTicketStore
from tests.contracts import postgres
from tests.gateway.sessions.kit import run
from tests.stores import connected

Factory: TypeAlias = Callable[[], AbstractAsyncContextManager[TicketStore]]
Scenario: TypeAlias = Callable[[TicketStore], Awaitable[None]]
Play: TypeAlias = Callable[[Scenario], None]

CAPACITY = 10
PER_SESSION = 6


@asynccontextmanager
async def memory() -> AsyncIterator[TicketStore]:
    yield MemoryTicketStore(capacity=CAPACITY, per_session=PER_SESSION)


@asynccontextmanager
async def valkey() -> AsyncIterator[TicketStore]:
    async with connected() as connection:
        yield ValkeyTicketStore(connection, capacity=CAPACITY, per_session=PER_SESSION)


STORES: dict[str, Factory] = {
    "memory": memory,
    "valkey": valkey,
    "postgres": lambda: postgres.tickets(CAPACITY, PER_SESSION),
}
"""Each holds ten tickets, six of one session."""


@pytest.fixture(params=STORES.values(), ids=list(STORES), scope="module")
def play(request: pytest.FixtureRequest) -> Play:
    """Plays a scenario on a fresh store."""

    def play(scenario: Scenario) -> None:
        async def on_stage() -> None:
            async with request.param() as store:
                await scenario(store)

        run(on_stage())

    return play


def grant(session_id: str = "s", expires: float = 1_030.0, role: Role = Role.OWNER) -> TicketGrant:
    return TicketGrant(session_id, role, expires)


def test_a_ticket_gets_its_grant_once(play: Play) -> None:
    """The second use, and one that was never issued, get nothing."""

    async def scenario(store: TicketStore) -> None:
        await store.issue("t", grant(role=Role.OBSERVER))
        assert await store.redeem("other", 1_000.0) is None
        assert await store.redeem("t", 1_000.0) == grant(role=Role.OBSERVER)
        assert await store.redeem("t", 1_000.0) is None

    play(scenario)


def test_of_a_hundred_simultaneous_uses_one_wins(play: Play) -> None:
    """Single use holds under concurrency."""

    async def scenario(store: TicketStore) -> None:
        await store.issue("t", grant())
        results = await asyncio.gather(*(store.redeem("t", 1_000.0) for _ in range(100)))
        assert sum(result is not None for result in results) == 1

    play(scenario)


@pytest.mark.parametrize(("now", "good"), [(1_029.999, True), (1_030.0, False), (2_000.0, False)])
def test_a_ticket_is_worth_nothing_from_its_expiry_on(play: Play, now: float, good: bool) -> None:
    """Expiry does not wait for a purge."""

    async def scenario(store: TicketStore) -> None:
        await store.issue("t", grant(expires=1_030.0))
        assert (await store.redeem("t", now) is not None) == good

    play(scenario)


def test_revoking_takes_all_tickets_of_one_session(play: Play) -> None:
    """Another session's tickets stay good; revoking where there are none is nothing."""

    async def scenario(store: TicketStore) -> None:
        for ticket in ("a", "b"):
            await store.issue(ticket, grant("s"))
        await store.issue("c", grant("other"))
        await store.revoke("s")
        await store.revoke("s")
        assert [await store.redeem(one, 1_000.0) is not None for one in "abc"] == [False, False, True]

    play(scenario)


def test_purging_forgets_what_has_expired(play: Play) -> None:
    """It says how many, and what is still good stays, in whatever order they were issued."""

    async def scenario(store: TicketStore) -> None:
        for ticket, expires in (("a", 1_030.0), ("b", 1_010.0), ("c", 1_020.0)):
            await store.issue(ticket, grant(expires=expires))
        assert await store.purge(1_020.0) == 2
        assert await store.purge(1_020.0) == 0
        assert [await store.redeem(one, 1_000.0) is not None for one in "abc"] == [True, False, False]

    play(scenario)


def test_at_the_bound_the_oldest_ticket_goes(play: Play) -> None:
    """The store never grows past its bound, and a new ticket is always good."""

    async def scenario(store: TicketStore) -> None:
        for number in range(CAPACITY + 2):
            await store.issue(str(number), grant(str(number % 3)))
        good = [await store.redeem(str(number), 1_000.0) is not None for number in range(CAPACITY + 2)]
        assert good == [False, False] + [True] * CAPACITY

    play(scenario)


def test_a_session_with_too_many_tickets_loses_its_own_oldest(play: Play) -> None:
    """Whoever mints without end takes nothing from others."""

    async def scenario(store: TicketStore) -> None:
        await store.issue("theirs", grant("other"))
        for number in range(PER_SESSION + 2):
            await store.issue(str(number), grant("s"))
        assert await store.redeem("theirs", 1_000.0) is not None
        good = [await store.redeem(str(number), 1_000.0) is not None for number in range(PER_SESSION + 2)]
        assert good == [False, False] + [True] * PER_SESSION

    play(scenario)
