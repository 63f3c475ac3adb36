"""What tickets in Valkey do beyond the contract."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sessions.ports import TicketGrant
from gateway.sessions.tickets import Role
from gateway.stores.memory import MemoryTicketStore
from gateway.stores.valkey.tickets import ValkeyTicketStore
from tests.gateway.sessions.kit import run
from tests.stores import connected

HOSTILE = ["", "{s}", "a b", "a:b", "a\r\nFLUSHALL", "é", "a" * 500]


def test_of_many_gateways_one_redeems() -> None:
    """Single use holds across connections, ticket by ticket."""

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            gateways = [
                ValkeyTicketStore(await stack.enter_async_context(connected(prefix="redeem")))
                for _ in range(3)
            ]
            for number in range(30):
                await gateways[0].issue(f"t{number}", TicketGrant(f"s{number % 3}", Role.OWNER, 10.0))
            tries = [(f"t{number}", one) for number in range(30) for one in gateways * 2]
            results = await asyncio.gather(*(one.redeem(ticket, 1.0) for ticket, one in tries))
            for number in range(30):
                won = [
                    result
                    for (ticket, _), result in zip(tries, results, strict=True)
                    if ticket == f"t{number}"
                ]
                assert [one.session_id for one in won if one] == [f"s{number % 3}"]

    run(scenario())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("irvp"), st.integers(0, 9), st.integers(0, 2), st.integers(0, 5)),
        max_size=40,
    )
)
def test_it_does_what_the_one_in_memory_does(steps: list[tuple[str, int, int, int]]) -> None:
    """Whatever is issued, redeemed, revoked and purged in whatever order; and nothing is left in the end."""

    async def scenario() -> None:
        async with connected() as connection:
            model = MemoryTicketStore(capacity=6, per_session=3)
            store = ValkeyTicketStore(connection, capacity=6, per_session=3)
            for what, ticket, owner, time in steps:
                if what == "i":
                    grant = TicketGrant(f"s{owner}", Role.OBSERVER, float(time))
                    await model.issue(f"t{ticket}", grant)
                    await store.issue(f"t{ticket}", grant)
                    assert store.evicted == model.evicted
                elif what == "r":
                    assert await store.redeem(f"t{ticket}", time) == await model.redeem(f"t{ticket}", time)
                elif what == "v":
                    await model.revoke(f"s{owner}")
                    await store.revoke(f"s{owner}")
                else:
                    assert await store.purge(time) == await model.purge(time)
            assert await store.purge(100.0) == await model.purge(100.0)
            keys = connection.keys
            for key in (keys.grants, keys.issued, keys.expiring, keys.by_session):
                assert await connection.many([(key, (b"EXISTS", key))]) == [0]

    run(scenario())


def test_what_is_no_ticket_is_worth_nothing() -> None:
    """And reaches no key."""

    async def scenario() -> None:
        async with connected() as connection:
            store = ValkeyTicketStore(connection)
            for name in HOSTILE:
                assert await store.redeem(name, 0.0) is None
                await store.revoke(name)
                for ticket, owner in ((name, "s"), ("t", name)):
                    with pytest.raises(ValueError, match="base64url"):
                        await store.issue(ticket, TicketGrant(owner, Role.OWNER, 1.0))

    run(scenario())


def test_a_session_whose_name_begins_alike_is_another() -> None:
    """Revoking one takes nothing from it."""

    async def scenario() -> None:
        async with connected() as connection:
            store = ValkeyTicketStore(connection)
            for owner in ("s", "s-", "sa", "s_", "S"):
                await store.issue(f"t{owner}", TicketGrant(owner, Role.OWNER, 10.0))
            await store.revoke("s")
            good = [
                await store.redeem(f"t{owner}", 1.0) is not None for owner in ("s", "s-", "sa", "s_", "S")
            ]
            assert good == [False, True, True, True, True]

    run(scenario())
