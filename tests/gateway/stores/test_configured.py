"""How the stores of several nodes are put together."""

from types import SimpleNamespace
from typing import Any, cast

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.sessions.clusterclock import ClusterClock
from gateway.stores import configured
from gateway.stores.memory import MemorySessionStore, MemoryTicketStore
from gateway.telemetry.sharing import SharingCounts
from tests.gateway.sessions.kit import run
from tests.streams import FakeStreamStore


class Away:
    """An audit trail that can't be reached."""

    async def recover(self, session_id: str) -> Any:
        raise StoreUnavailable("by hand")


def test_a_trail_that_is_away_keeps_nobody_from_beginning() -> None:
    """A session begins as if the trail knew nothing of it."""

    async def scenario() -> None:
        clock = ManualClock()
        settings = SimpleNamespace(
            store="valkey://127.0.0.1",
            event_history=False,
            event_log_events=512,
            event_log_bytes=2**18,
            event_log_seconds=120.0,
            record_bytes=2**22,
            node_name="a",
        )
        behind = SimpleNamespace(
            sessions=MemorySessionStore(),
            tickets=MemoryTicketStore(),
            tasks=None,
            streams=FakeStreamStore(clock),
            nodes=None,
            start=None,
        )
        stores = configured._hybrid(
            cast("Any", settings),
            ClusterClock(clock),
            SharingCounts(),
            cast("Any", behind),
            cast("Any", SimpleNamespace(audit=Away(), start=None)),
        )
        assert stores.shared is not None
        held = await stores.shared.events.claim("s", 1)
        assert held.snapshot is None
        assert stores.shared.sessions.is_writer("s")

    run(scenario())
