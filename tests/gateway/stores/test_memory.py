"""What the memory stores do beyond the contracts: counters, and no memory left behind."""

from gateway.clock import ManualClock
from gateway.sessions.model import Status
from gateway.sessions.ports import Quota, TicketGrant
from gateway.sessions.tickets import Role
from gateway.stores.memory import MemoryEventStore, MemorySessionStore, MemoryTicketStore
from protocol.version import Encoding
from tests.gateway.sessions.kit import entry, in_status, run, session


def test_evicted_tickets_are_counted_and_replaced_ones_are_not() -> None:
    """The counter tells how often the bound was hit."""

    async def scenario() -> None:
        store = MemoryTicketStore(capacity=2)
        for ticket in ("a", "b", "b"):
            await store.issue(ticket, TicketGrant("s", Role.OWNER, 1.0))
        assert (len(store), store.evicted) == (2, 0)
        await store.issue("c", TicketGrant("s", Role.OWNER, 1.0))
        assert (len(store), store.evicted) == (2, 1)

    run(scenario())


def test_nothing_of_a_session_is_left_behind() -> None:
    """After churn the stores are as empty as before: indexes go with what they point at."""

    async def scenario() -> None:
        sessions, tickets, events = MemorySessionStore(), MemoryTicketStore(), MemoryEventStore(ManualClock())
        for number in range(50):
            one = session(user_id=f"user {number}")
            await sessions.create(one, Quota(None, f"user {number}", 1))
            await tickets.issue(str(number), TicketGrant(one.id, Role.OWNER, 1.0))
            events.open(one.id, lambda _: None)
            events.append(one.id, entry(1))
            if number % 2:
                await sessions.update(in_status(Status.CLOSED, id=one.id, user_id=one.user_id), 1)
                await tickets.redeem(str(number), 0.0)
            await sessions.delete(one.id)
            await tickets.revoke(one.id)
            await events.purge(one.id)
        held = [value for store in (sessions, tickets, events) for value in vars(store).values()]
        assert not [value for value in held if isinstance(value, dict) and value]

    run(scenario())


def test_a_record_shares_its_bytes_with_the_log() -> None:
    """An event that is in both is held once in msgpack."""

    async def scenario() -> None:
        store = MemoryEventStore(ManualClock())
        store.open("s", lambda _: None)
        one = entry(1)
        store.append("s", one)
        page = await store.record("s")
        assert page.entries[0].data is one.encoded(Encoding.MSGPACK)

    run(scenario())
