"""The composition root: the only place that names concrete adapters and connects them."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette

from gateway.api.context import Gateway, Readiness
from gateway.api.origin import OriginPolicy
from gateway.api.routes import build
from gateway.classify.acoustic.classifier import AcousticClassifier
from gateway.classify.kserve.classifier import KServeClassifier
from gateway.classify.kserve.model import read_spec
from gateway.classify.port import Classifier, HealthStatus
from gateway.classify.scheduler import Scheduler
from gateway.clock import Clock, SystemClock
from gateway.live.census import Census
from gateway.live.drain import NodeDrain
from gateway.live.registry import LiveRegistry, LogBounds
from gateway.live.session import ENDED, Farewell
from gateway.sessions.lifecycle import Activity, Input
from gateway.sessions.model import Session, Timers
from gateway.sessions.reaper import OnDecision, Reaper
from gateway.sessions.service import SessionService
from gateway.settings import ClassifierKind, Settings
from gateway.stores.keyfile import configured_keys
from gateway.stores.memory import MemoryEventStore, MemorySessionStore, MemoryTicketStore
from gateway.tasks.archive import Archive
from gateway.tasks.model import Task
from gateway.tasks.service import TaskBounds, TaskService
from gateway.telemetry.metrics import Telemetry
from gateway.transcribe.pocketsphinx import PocketSphinxTranscriber
from gateway.transcribe.port import Transcriber, TranscriberUnavailable
from protocol.errors import ErrorCode, ProtocolError

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Parts:
    """What the lifespan starts and ends."""

    scheduler: Scheduler
    reaper: Reaper
    classifier: Classifier
    transcriber: Transcriber | None
    live: LiveRegistry
    tasks: TaskService
    drain: NodeDrain
    running: set[asyncio.Task[None]]


def create_app(settings: Settings | None = None, *, classifier: Classifier | None = None) -> Starlette:
    """The gateway as an ASGI application; settings come from the environment unless given.

    Args:
        classifier: what listens to the windows, in place of the one that the settings name.

    Raises:
        SettingsError: the environment asks for something that can't be.
    """
    settings = settings or Settings.load(os.environ)
    clock, telemetry = SystemClock(), Telemetry()
    key_file = configured_keys(settings, clock)
    bounds = LogBounds(settings.event_log_events, settings.event_log_bytes, settings.event_log_seconds)
    events = MemoryEventStore(
        clock,
        record_bytes=settings.record_bytes,
        tail_events=bounds.events,
        tail_bytes=bounds.bytes,
        tail_s=bounds.seconds,
    )
    timers = _timers(settings)

    def activity(session_id: str) -> Activity | None:
        return live.activity(session_id)

    service = SessionService(
        MemorySessionStore(),
        MemoryTicketStore(),
        events,
        clock,
        timers,
        max_sessions_per_user=settings.max_sessions_per_user,
        activity=activity,
    )
    classifier = classifier or _classifier(settings, clock)
    transcriber = _transcriber(settings)
    scheduler = Scheduler(
        classifier,
        clock,
        batch_size=settings.classify_batch,
        linger_s=settings.classify_linger_ms / 1_000,
        capacity=settings.classify_queue,
        deadline_s=settings.dispatch_deadline_s,
        call_s=settings.classify_timeout_s,
        concurrency=settings.classify_workers,
        observer=telemetry,
    )

    live = LiveRegistry(
        scheduler=scheduler,
        events=events,
        clock=clock,
        telemetry=telemetry,
        transcriber=transcriber,
        bounds=bounds,
        drain_s=settings.drain_grace_s,
        on_finished=service.end,
        max_sessions=settings.max_sessions,
        connect_deadline_s=settings.connect_deadline_s,
    )
    tasks = TaskService(
        Archive(service, events, live.counts).read, _herald(live), clock, _task_bounds(settings), telemetry
    )

    def purged(session_id: str) -> None:
        live.discard(session_id)
        tasks.discard(session_id)

    reaper = Reaper(service, clock, timers, activity=activity, on_decision=_ender(live), on_purged=purged)
    census = Census(service, live, scheduler, transcriber, tasks, clock)
    telemetry.watch(census.snapshot)
    drain = NodeDrain(live, clock, grace_s=settings.drain_grace_s, reconnect_url=settings.reconnect_url)
    parts = _Parts(scheduler, reaper, classifier, transcriber, live, tasks, drain, set())
    gateway = Gateway(
        settings=settings,
        clock=clock,
        service=service,
        events=events,
        live=live,
        tasks=tasks,
        telemetry=telemetry,
        origins=OriginPolicy(settings.allowed_origins, settings.trusted_proxies),
        readiness=lambda: _readiness(parts),
        census=census.take,
        lateness=lambda: scheduler.late_for(clock.monotonic()),
        draining=lambda: drain.draining,
        keys=key_file.current if key_file is not None else None,
    )
    app = build(gateway, lambda _: _lifespan(parts))
    app.state.cutoff = telemetry.cutoff
    app.state.drain = drain
    return app


@asynccontextmanager
async def _lifespan(parts: _Parts) -> AsyncIterator[None]:
    await parts.classifier.start()
    if parts.transcriber is not None:
        await parts.transcriber.start()
    for name, work in (("scheduler", parts.scheduler.run()), ("reaper", parts.reaper.run())):
        task = asyncio.create_task(work, name=name)
        parts.running.add(task)
        task.add_done_callback(_tell_death)
    try:
        yield
    finally:
        for task in parts.running:
            task.cancel()
        await asyncio.gather(*parts.running, return_exceptions=True)
        await parts.tasks.aclose()
        await parts.live.aclose()
        if parts.transcriber is not None:
            await parts.transcriber.aclose()
        await parts.classifier.aclose()


def _tell_death(task: asyncio.Task[None]) -> None:
    """These tasks run as long as the gateway; one that ends by itself is a defect to be seen at once."""
    if not task.cancelled():
        log.critical("the %s stopped", task.get_name(), exc_info=task.exception())


def _readiness(parts: _Parts) -> Readiness:
    checks = {task.get_name(): "stopped" if task.done() else "ok" for task in parts.running}
    checks["classifier"] = "stalled" if parts.scheduler.stalled else parts.classifier.name
    if parts.transcriber is None:
        checks["transcriber"] = "none"
    else:
        health = parts.transcriber.health()
        checks["transcriber"] = health.status if health.status is HealthStatus.READY else health.detail
    if parts.drain.draining:
        checks["node"] = "draining"
    well = not {"stopped", "stalled", "draining"} & set(checks.values())
    return Readiness(bool(parts.running) and well, checks)


def _timers(settings: Settings) -> Timers:
    return Timers(
        connect_deadline_s=settings.connect_deadline_s,
        detached_ttl_s=settings.session_detached_ttl_s,
        idle_ttl_s=settings.session_idle_ttl_s,
        session_ttl_s=settings.session_ttl_hours * 3_600,
        stale_ttl_s=settings.session_stale_hours * 3_600,
        closed_retention_s=settings.closed_retention_s,
    )


def _task_bounds(settings: Settings) -> TaskBounds:
    return TaskBounds(
        workers=settings.task_workers,
        queue=settings.task_queue,
        per_session=settings.tasks_per_session,
        result_bytes=settings.task_result_bytes,
        results_bytes=settings.task_results_bytes,
    )


def _herald(live: LiveRegistry) -> Callable[[Task], None]:
    """Tells of tasks in their sessions' logs."""

    def announce(task: Task) -> None:
        live.announce_task(task.session_id, task.id, task.recipe.type, task.state)

    return announce


def _classifier(settings: Settings, clock: Clock) -> Classifier:
    """What listens to the windows; files that describe models are read here, before anything opens."""
    if settings.classifier is ClassifierKind.KSERVE:
        assert settings.kserve_model_file is not None  # a rule of the settings
        spec = read_spec(Path(settings.kserve_model_file), most_s=settings.classify_timeout_s)
        return KServeClassifier(spec, settings.classifier_url[0], clock)
    return AcousticClassifier(workers=settings.classify_workers)


def _transcriber(settings: Settings) -> Transcriber | None:
    if settings.transcriber == "none":
        return None
    try:
        return PocketSphinxTranscriber(decoders=settings.transcribe_decoders)
    except TranscriberUnavailable as error:
        if settings.transcriber == "auto":
            log.warning("no transcripts: %s", error)
            return None
        raise


_OVER = Farewell.of(ProtocolError(ErrorCode.SESSION_EXPIRED, "the session's time is over", fatal=True))
_FAREWELLS = {
    Input.IDLE: Farewell.of(
        ProtocolError(ErrorCode.IDLE_TIMEOUT, "no audio and no ping for too long", fatal=True)
    ),
    Input.END: ENDED,
}


def _ender(live: LiveRegistry) -> OnDecision:
    """Ends a live session whose time has come, with a word about why."""

    async def end(session: Session, reason: Input) -> None:
        found = live.get(session.id)
        if found is not None:
            await found.finish(_FAREWELLS.get(reason, _OVER))

    return end
