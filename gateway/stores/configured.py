"""The stores that the settings name. Drivers are imported where they are needed: they are extras."""

import importlib.util
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock
from gateway.config.options import variable
from gateway.config.problems import shown
from gateway.config.stores import MEMORY, POSTGRES
from gateway.errors import StoreUnavailable
from gateway.machine import host_name
from gateway.sessions.clusterclock import ClusterClock
from gateway.sessions.ports import Entry, EventStore, SessionStore, TicketStore
from gateway.sessions.shared import (
    AuditStore,
    EventRow,
    NodeStore,
    SnapshotRow,
    StreamBounds,
    StreamStore,
)
from gateway.settings import Problem, Settings, SettingsError
from gateway.stores.hybrid.events import HybridEventStore
from gateway.stores.hybrid.outbox import Own
from gateway.stores.hybrid.prompt import PromptAudit
from gateway.stores.hybrid.sessions import HybridSessionStore
from gateway.stores.hybrid.tickets import HybridTicketStore
from gateway.stores.hybrid.trail import Trail
from gateway.stores.memory import MemoryEventStore, MemorySessionStore, MemoryTicketStore
from gateway.tasks.tickets import TaskTickets
from gateway.telemetry.sharing import SharingCounts

_TRAILED_S: Final = 10.0
"""Between two snapshots of a session in the audit trail: there they are for a store that lost everything."""
_FREE_S: Final = 86_400.0
"""What is kept of a session in Valkey goes this long after it was last written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What several nodes have in common."""

    events: HybridEventStore
    nodes: NodeStore
    clock: ClusterClock
    node_id: str
    node_name: str
    audit: AuditStore | None
    trail: Trail | None
    sessions: HybridSessionStore
    streams: StreamStore
    tasks: TaskTickets
    start: Callable[[], Awaitable[None]]
    """Connect to the store, and check whether it will do.

    Raises:
        StoreUnavailable, StoreUnsuitable: see `gateway.errors`.
    """
    start_trail: Callable[[], Awaitable[None]] | None
    """The same for the audit trail; None where there is none, or it is where the store is."""
    close: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where sessions, tickets and events are kept."""

    clock: Clock
    """Its monotonic time is what stamps are taken from."""
    sessions: SessionStore
    tickets: TicketStore
    events: EventStore
    shared: Shared | None = None
    """None where all is in this process's memory."""


@dataclass(frozen=True, slots=True)
class _Behind:
    """What stands behind the hybrid store."""

    sessions: SessionStore
    tickets: TicketStore
    streams: StreamStore
    nodes: NodeStore
    tasks: TaskTickets
    start: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


def configured_stores(settings: Settings, clock: Clock, counts: SharingCounts) -> Stores:
    """The stores for these settings; nothing is connected yet.

    Raises:
        SettingsError: a driver is missing, or an address can't be.
    """
    if settings.store == MEMORY:
        return _in_memory(settings, clock)
    cluster = ClusterClock(clock)
    bounds = _bounds(settings)
    database = _Database(settings) if settings.database_url is not None else None
    if settings.store == POSTGRES:
        assert database is not None  # a rule of the settings
        behind = database.behind(cluster, bounds)
    else:
        behind = _valkey(settings, cluster, bounds)
    return _hybrid(settings, cluster, counts, behind, database)


def _in_memory(settings: Settings, clock: Clock) -> Stores:
    events = MemoryEventStore(
        clock,
        record_bytes=settings.record_bytes,
        tail_events=settings.event_log_events,
        tail_bytes=settings.event_log_bytes,
        tail_s=settings.event_log_seconds,
    )
    return Stores(clock=clock, sessions=MemorySessionStore(), tickets=MemoryTicketStore(), events=events)


def _hybrid(
    settings: Settings,
    clock: ClusterClock,
    counts: SharingCounts,
    behind: _Behind,
    database: "_Database | None",
) -> Stores:
    node_id = secrets.token_urlsafe(12)
    audit = database.audit if database is not None else None
    trail = Trail(audit, on_dropped=counts.dropped_rows) if audit is not None else None
    # Where the database is the store itself, it has the sessions already.
    beside = trail if settings.store != POSTGRES else None
    prompt = PromptAudit(audit, clock) if audit is not None and beside is not None else None

    def stored(own: Own, entries: Sequence[Entry], snapshot: bytes | None) -> None:
        if trail is None:
            return
        now = clock.monotonic()
        if snapshot is not None and beside is not None and now >= own.trail_due:
            own.trail_due = now + _TRAILED_S
            trail.record(SnapshotRow(own.session_id, own.gen, own.stored, snapshot))
        if settings.event_history:
            for entry in entries:
                if entry.final:
                    trail.record(EventRow(own.session_id, entry))

    events = HybridEventStore(
        behind.streams,
        node_id,
        clock,
        counts,
        bounds=_bounds(settings),
        on_stored=stored,
    )
    sessions = HybridSessionStore(
        behind.sessions,
        node_id,
        clock,
        audit=prompt,
        record=beside.record if beside is not None else lambda _: None,
    )

    async def recall(session_id: str) -> bytes | None:
        if prompt is None:
            return None
        try:
            found = await prompt.recover(session_id)
        except StoreUnavailable:
            return None  # a trail that is away keeps nobody from beginning
        return None if found is None or found.snapshot is None else found.snapshot.snapshot

    sessions.is_away = lambda: events.is_away
    sessions.is_writer, sessions.on_missing = events.owns, events.progress
    events.restore, events.recall = sessions.restore, recall

    async def close() -> None:
        await behind.close()
        if database is not None:
            await database.close()

    shared = Shared(
        events=events,
        nodes=behind.nodes,
        clock=clock,
        node_id=node_id,
        node_name=settings.node_name or f"{host_name()}-{os.getpid()}",
        audit=audit,
        trail=trail,
        sessions=sessions,
        streams=behind.streams,
        tasks=behind.tasks,
        start=behind.start,
        start_trail=database.start if database is not None and beside is not None else None,
        close=close,
    )
    tickets = HybridTicketStore(behind.tickets, MemoryTicketStore())
    return Stores(clock=clock, sessions=sessions, tickets=tickets, events=events, shared=shared)


class _Database:
    """PostgreSQL, in whatever part."""

    def __init__(self, settings: Settings) -> None:
        _need("asyncpg", "postgres", "database_url", settings.database_url)
        from gateway.stores.postgres.audit import PostgresAuditStore
        from gateway.stores.postgres.connection import Database

        assert settings.database_url is not None
        self._settings = settings
        self._database = Database(
            settings.database_url, schema=settings.database_schema, pooler=settings.database_pooler
        )
        self.start = self._database.start
        self.close = self._database.close
        self.audit: AuditStore = PostgresAuditStore(self._database)

    def behind(self, clock: Clock, bounds: StreamBounds) -> _Behind:
        """PostgreSQL alone."""
        from gateway.stores.postgres.nodes import PostgresNodeStore
        from gateway.stores.postgres.sessions import PostgresSessionStore
        from gateway.stores.postgres.streams import PostgresStreamStore
        from gateway.stores.postgres.tasks import PostgresTaskTickets
        from gateway.stores.postgres.tickets import PostgresTicketStore

        streams = PostgresStreamStore(self._database, clock, bounds=bounds)
        return _Behind(
            sessions=PostgresSessionStore(self._database),
            tickets=PostgresTicketStore(self._database),
            streams=streams,
            nodes=PostgresNodeStore(self._database, self._settings.node_lease_s),
            tasks=PostgresTaskTickets(self._database),
            start=self._database.start,
            close=streams.close,
        )


def _valkey(settings: Settings, clock: Clock, bounds: StreamBounds) -> _Behind:
    _need("valkey", "valkey", "store", settings.store)
    from gateway.stores.valkey.connection import ValkeyConnection
    from gateway.stores.valkey.nodes import ValkeyNodes
    from gateway.stores.valkey.sessions import ValkeySessionStore
    from gateway.stores.valkey.streams import ValkeyStreamStore
    from gateway.stores.valkey.tasks import ValkeyTaskTickets
    from gateway.stores.valkey.tickets import ValkeyTicketStore

    try:
        connection = ValkeyConnection(settings.store)
    except ValueError as error:
        raise SettingsError([Problem(variable("store"), shown(settings.store), str(error))]) from None
    return _Behind(
        sessions=ValkeySessionStore(connection, ttl_s=_FREE_S),
        tickets=ValkeyTicketStore(connection),
        streams=ValkeyStreamStore(connection, clock, bounds=bounds, ttl_s=_FREE_S),
        nodes=ValkeyNodes(connection, lease_s=settings.node_lease_s),
        tasks=ValkeyTaskTickets(connection, ttl_s=_FREE_S),
        start=connection.start,
        close=connection.close,
    )


def _bounds(settings: Settings) -> StreamBounds:
    return StreamBounds(
        events=settings.event_log_events,
        bytes=settings.event_log_bytes,
        seconds=settings.event_log_seconds,
        record_bytes=settings.record_bytes,
    )


def _need(module: str, extra: str, name: str, value: object) -> None:
    """Raises SettingsError where the Python package is missing."""
    if importlib.util.find_spec(module) is None:
        told = f"needs the Python package {module}, which is not installed"
        hint = f"install the gateway with the extra: undertone[{extra}]"
        raise SettingsError([Problem(variable(name), shown(value), told, hint)])
