"""What is there now, for the metrics: counted when somebody asks, not as it changes."""

import contextlib
from collections.abc import Mapping
from typing import Protocol

from gateway.classify.port import workers_ended_of, workers_of
from gateway.clock import Clock
from gateway.errors import STORE_ERRORS
from gateway.live.backends import Backends
from gateway.live.registry import LiveRegistry
from gateway.sessions.model import Status
from gateway.sessions.ports import SessionFilter
from gateway.sessions.service import SessionService
from gateway.telemetry.metrics import Snapshot


class Backlog(Protocol):
    """Background work, as far as it is counted."""

    @property
    def waiting(self) -> int:
        """Tasks that wait for a worker."""
        ...

    @property
    def running(self) -> int:
        """Workers that are at work."""
        ...

    @property
    def result_bytes(self) -> int:
        """Bytes of the results held."""
        ...


class Peers(Protocol):
    """What is shared with other nodes, as far as it is counted."""

    @property
    def nodes(self) -> int:
        """Nodes that share their sessions, this one included."""
        ...

    @property
    def rows_waiting(self) -> int:
        """Rows that the audit trail does not have yet."""
        ...


class Census:
    """Counts sessions in the store and readers, windows, decoders and tasks on this node."""

    def __init__(
        self,
        service: SessionService,
        live: LiveRegistry,
        backends: Backends,
        tasks: Backlog,
        clock: Clock,
        peers: Peers | None = None,
    ) -> None:
        self._service = service
        self._live = live
        self._backends = backends
        self._tasks = tasks
        self._clock = clock
        self._peers = peers
        self._sessions: Mapping[str, int] = {}

    async def take(self) -> None:
        """Ask the store; what is on this node is looked up when the snapshot is made."""
        # Where it is away, what it said last stands.
        with contextlib.suppress(*STORE_ERRORS):
            self._sessions = {
                status.value: await self._service.count(SessionFilter(status=status)) for status in Status
            }

    def snapshot(self) -> Snapshot:
        """The present state, as far as it is known."""
        owners = sum(live.audience.owner is not None for live in self._live)
        now = self._clock.monotonic()
        ears = tuple(self._backends.ears)
        late = {ear.kind: ear.scheduler.late_for(now) for ear in ears}
        return Snapshot(
            sessions=self._sessions,
            readers={"owner": owners, "observer": sum(len(live.audience.observers) for live in self._live)},
            windows_waiting=sum(ear.scheduler.waiting for ear in ears),
            dispatch_late_s=max(late.values()),
            classifier_sessions={ear.kind: ear.holders for ear in ears},
            classifier_waiting={ear.kind: ear.scheduler.waiting for ear in ears},
            classifier_late_s=late,
            classifier_ready={ear.kind: int(ear.answers) for ear in ears},
            classifier_workers={
                (ear.kind, kind): count for ear in ears for kind, count in workers_of(ear.classifier).items()
            },
            classifier_workers_ended={ear.kind: workers_ended_of(ear.classifier) for ear in ears},
            classifier_batch_limit={ear.kind: ear.scheduler.batch_limit for ear in ears},
            classifier_call_limit={ear.kind: ear.scheduler.call_limit for ear in ears},
            decoders=self._backends.decoders(),
            utterances=self._backends.utterances(),
            tasks={"queued": self._tasks.waiting, "running": self._tasks.running},
            task_result_bytes=self._tasks.result_bytes,
            nodes=self._peers.nodes if self._peers is not None else 0,
            audit_rows_waiting=self._peers.rows_waiting if self._peers is not None else 0,
        )
