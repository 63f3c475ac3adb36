"""Tickets while the store comes and goes: each is good once."""

from gateway.errors import StoreUnavailable
from gateway.sessions.ports import TicketGrant
from gateway.sessions.tickets import Role
from gateway.stores.hybrid.tickets import HybridTicketStore
from gateway.stores.memory import MemoryTicketStore
from tests.gateway.sessions.kit import run

GRANT = TicketGrant("s", Role.OWNER, 2_000.0)


class Shared(MemoryTicketStore):
    """A store that is away, or whose answers get lost."""

    away = False
    unanswered = False

    async def issue(self, ticket_hash: str, grant: TicketGrant) -> None:
        if not self.away:
            await super().issue(ticket_hash, grant)
        if self.away or self.unanswered:
            raise StoreUnavailable("by hand")

    async def redeem(self, ticket_hash: str, now: float) -> TicketGrant | None:
        if self.away:
            raise StoreUnavailable("by hand")
        return await super().redeem(ticket_hash, now)


def test_a_ticket_is_good_once_wherever_it_is() -> None:
    """In the store, in this node's memory, or in both, where an answer got lost."""

    async def scenario() -> None:
        shared = Shared()
        store = HybridTicketStore(shared, MemoryTicketStore())
        await store.issue("there", GRANT)
        shared.unanswered = True
        await store.issue("both", GRANT)
        shared.away = True
        await store.issue("here", GRANT)
        assert await store.redeem("here", 1_000.0) == GRANT
        shared.away = False
        for ticket in ("there", "both"):
            assert await store.redeem(ticket, 1_000.0) == GRANT
        for ticket in ("there", "both", "here"):
            assert await store.redeem(ticket, 1_000.0) is None

    run(scenario())


def test_revoking_and_purging_reach_both() -> None:
    """Whichever has them."""

    async def scenario() -> None:
        shared = Shared()
        store = HybridTicketStore(shared, MemoryTicketStore())
        for purging in (False, True):
            shared.away = False
            await store.issue("there", GRANT)
            shared.away = True
            await store.issue("here", GRANT)
            shared.away = False
            if purging:
                assert await store.purge(3_000.0) == 2
            else:
                await store.revoke("s")
            assert await store.redeem("there", 1_000.0) is await store.redeem("here", 1_000.0) is None

    run(scenario())
