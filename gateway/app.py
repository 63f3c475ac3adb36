"""The composition root: the only place that names concrete adapters and connects them."""

import asyncio
import importlib.util
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from gateway.api.context import Gateway, Readiness
from gateway.api.origin import OriginPolicy
from gateway.api.routes import build
from gateway.classify.acoustic.classifier import AcousticClassifier
from gateway.classify.acoustic.configured import configured_acoustic
from gateway.classify.acoustic.speaking import speaking
from gateway.classify.blend import BlendedClassifier
from gateway.classify.kserve.classifier import KServeClassifier
from gateway.classify.kserve.model import read_spec
from gateway.classify.onnx.configured import configured_onnx
from gateway.classify.orchestrator.classifier import OrchestratedClassifier
from gateway.classify.orchestrator.client import OrchestratorClient
from gateway.classify.orchestrator.grant import Sidecar
from gateway.classify.port import Classifier, Health, HealthStatus
from gateway.classify.remote.access import Access, AccessError
from gateway.classify.remote.classifier import RemoteClassifier
from gateway.classify.remote.grumble import Grumbler
from gateway.classify.scheduler import Scheduler
from gateway.clock import Clock, SystemClock
from gateway.cluster import Cluster
from gateway.config.options import variable
from gateway.errors import StoreUnavailable, StoreUnsuitable
from gateway.live.backends import Backends, Chosen, tell_death
from gateway.live.bulletin import NoticeBoard
from gateway.live.census import Census
from gateway.live.drain import NodeDrain
from gateway.live.registry import LiveRegistry, LogBounds
from gateway.live.session import ENDED, Farewell
from gateway.sessions.keys import Choice, Keyring
from gateway.sessions.lifecycle import Activity, Input
from gateway.sessions.model import Session, Timers
from gateway.sessions.reaper import OnDecision, Reaper
from gateway.sessions.service import SessionService
from gateway.sessions.shared import TaskRow, Whose
from gateway.settings import (
    ClassifierKind,
    OrchScope,
    Problem,
    Settings,
    SettingsError,
    TranscriberKind,
)
from gateway.stores.configured import Shared, configured_stores
from gateway.stores.keyfile import KeyFile, configured_keys
from gateway.tasks.archive import Archive
from gateway.tasks.desk import LocalDesk
from gateway.tasks.model import Task
from gateway.tasks.service import TaskBounds, TaskService
from gateway.tasks.teller import Teller
from gateway.telemetry.metrics import Telemetry
from gateway.transcribe.pocketsphinx import PocketSphinxTranscriber
from gateway.transcribe.port import Transcriber, TranscriberUnavailable
from gateway.transcribe.whisper.configured import configured_whisper, prepare_whisper
from protocol.errors import ErrorCode, ProtocolError

log = logging.getLogger(__name__)

_NOBODY = Keyring()
_MANY_SIDECARS = 8
"""As many as are asked at the same time where each session has its own."""


@dataclass(slots=True)
class _Parts:
    """What the lifespan starts and ends."""

    backends: Backends
    board: NoticeBoard
    reaper: Reaper
    live: LiveRegistry
    tasks: TaskService
    drain: NodeDrain
    running: set[asyncio.Task[None]]
    cluster: Cluster | None

    def run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` for as long as the node does; its end by itself is a defect, and told."""
        task = asyncio.create_task(work, name=name)
        self.running.add(task)
        task.add_done_callback(tell_death)


def create_app(settings: Settings | None = None, *, classifier: Classifier | None = None) -> Starlette:
    """The gateway as an ASGI application; settings come from the environment unless given.

    Args:
        classifier: what listens to the windows by default, in place of what the settings name.

    Raises:
        SettingsError: the environment asks for something that can't be.
    """
    settings = settings or Settings.load(os.environ)
    telemetry = Telemetry()
    telemetry.node = settings.node_name
    stores = configured_stores(settings, SystemClock(), telemetry.sharing)
    clock, shared = stores.clock, stores.shared
    prepare_whisper(settings)
    key_file = configured_keys(settings, clock)
    choices = _Choices(settings, key_file)
    makers = _Makers(settings, clock, telemetry, make_access(settings), classifier)
    # Backends and live sessions know each other: who has a part, and what a session has.
    board = NoticeBoard(lambda notices: live.bulletins(notices), clock, telemetry.notice)
    backends = Backends(makers, choices.of, choices.all, lambda part: board.watch(part.notices))
    if key_file is not None:
        key_file.on_read = backends.renew
    bounds = LogBounds(settings.event_log_events, settings.event_log_bytes, settings.event_log_seconds)
    events = stores.events
    timers = _timers(settings)

    def activity(session_id: str) -> Activity | None:
        return live.activity(session_id)

    service = SessionService(
        stores.sessions,
        stores.tickets,
        events,
        clock,
        timers,
        max_sessions_per_user=settings.max_sessions_per_user,
        activity=activity,
        node=shared.node_id if shared is not None else None,
    )
    live = LiveRegistry(
        backends=backends,
        events=events,
        clock=clock,
        telemetry=telemetry,
        bounds=bounds,
        drain_s=settings.drain_grace_s,
        on_finished=service.end,
        max_sessions=settings.max_sessions,
        connect_deadline_s=settings.connect_deadline_s,
        shared=shared.events if shared is not None else None,
    )
    board.watch(live.notices)
    herald = _herald(live, shared)
    teller = Teller(shared.tasks, shared.node_id, herald) if shared is not None else None
    tasks = TaskService(
        Archive(service, events, live.counts).read,
        teller.moved if teller is not None else herald,
        clock,
        _task_bounds(settings),
        telemetry,
    )

    def purged(session_id: str) -> None:
        live.discard(session_id)
        desk.discard(session_id)

    cluster = None
    if shared is not None and teller is not None:
        cluster = Cluster.of(shared, service, live, tasks, teller, telemetry.sharing, settings)
    desk = cluster.desk if cluster is not None else LocalDesk(tasks)
    reaper = Reaper(
        service,
        clock,
        timers,
        activity=activity,
        on_decision=_ender(live),
        on_purged=purged,
        whose=cluster.presence.whose if cluster is not None else lambda _: Whose.OURS,
        held=cluster.held if cluster is not None else lambda: None,
    )
    census = Census(service, live, backends, tasks, clock, cluster)
    telemetry.watch(census.snapshot)
    drain = NodeDrain(live, clock, grace_s=settings.drain_grace_s, reconnect_url=settings.reconnect_url)
    parts = _Parts(backends, board, reaper, live, tasks, drain, set(), cluster)
    gateway = Gateway(
        settings=settings,
        clock=clock,
        service=service,
        events=events,
        live=live,
        tasks=tasks,
        desk=desk,
        telemetry=telemetry,
        origins=OriginPolicy(settings.allowed_origins, settings.trusted_proxies),
        readiness=lambda: _readiness(parts),
        census=census.take,
        lateness=lambda: backends.late_for(clock.monotonic()),
        lateness_of=lambda namespace: backends.late_for_namespace(namespace, clock.monotonic()),
        draining=lambda: drain.draining,
        keys=key_file.current if key_file is not None else None,
    )
    app = build(gateway, lambda app: _lifespan(app, parts))
    app.state.cutoff = telemetry.cutoff
    app.state.drain = drain
    return app


@asynccontextmanager
async def _lifespan(app: Starlette, parts: _Parts) -> AsyncIterator[None]:
    """Raises StoreUnavailable or StoreUnsuitable, and leaves it in `app.state.cannot_start`."""
    try:
        if parts.cluster is not None:
            try:
                await parts.cluster.start(parts.run)
            except (StoreUnavailable, StoreUnsuitable) as error:
                app.state.cannot_start = error
                raise
        await parts.backends.start()
        parts.run("notices", parts.board.run())
        parts.run("reaper", parts.reaper.run())
        yield
    finally:
        for task in parts.running:
            task.cancel()
        await asyncio.gather(*parts.running, return_exceptions=True)
        await parts.backends.stop()
        await parts.tasks.aclose()
        await parts.live.aclose()
        await parts.backends.aclose()
        if parts.cluster is not None:
            await parts.cluster.aclose()


def _readiness(parts: _Parts) -> Readiness:
    """A node is ready while any of its classifiers can answer; one that can't is its sessions' trouble."""
    backends = parts.backends
    dispatchers = backends.dispatchers()
    tasks = (*dispatchers.values(), *parts.running)
    checks = {task.get_name(): "stopped" if task.done() else "ok" for task in tasks}
    for ear in backends.ears:
        name = "classifier" if ear is backends.default else f"classifier:{ear.kind}"
        checks[name] = _told(ear.classifier.name, ear.health())
    if not backends.transcribers:
        checks["transcriber"] = "none"
    for kind, transcriber in backends.transcribers.items():
        name = "transcriber" if len(backends.transcribers) == 1 else f"transcriber:{kind}"
        checks[name] = _told(HealthStatus.READY, transcriber.health())
    if parts.drain.draining:
        checks["node"] = "draining"
    if parts.cluster is not None:
        checks |= parts.cluster.checks()
    well = not {"stopped", "draining", "waiting"} & set(checks.values())
    return Readiness(bool(parts.running) and well and backends.answers, checks)


def _told(name: str, health: Health) -> str:
    return name if health.status is HealthStatus.READY else health.detail or health.status


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


def _herald(live: LiveRegistry, shared: Shared | None) -> Callable[[Task], None]:
    """Tells of tasks in their sessions' logs, and in the audit trail."""
    trail = shared.trail if shared is not None else None

    def announce(task: Task) -> None:
        if trail is not None:
            trail.record(TaskRow(task.session_id, task.id, task.recipe.type, task.state, time.time()))
        live.announce_task(task.session_id, task.id, task.recipe.type, task.state)

    return announce


@dataclass(frozen=True, slots=True)
class _Choices:
    """What is to listen to whose sessions: as the namespace chose, else as the settings say."""

    settings: Settings
    key_file: KeyFile | None

    def of(self, namespace: str | None) -> Chosen:
        """What listens to that namespace's new sessions, now."""
        return self._resolved(self._ring.choice(namespace))

    def all(self) -> tuple[Chosen, ...]:
        """The default, then what else is chosen."""
        others = (self._resolved(choice) for choice in self._ring.choices)
        return tuple(dict.fromkeys((self._resolved(Choice()), *others)))

    @property
    def _ring(self) -> Keyring:
        return self.key_file.ring if self.key_file is not None else _NOBODY

    def _resolved(self, choice: Choice) -> Chosen:
        kind = self.settings.resolved(choice.classifier or self.settings.classifier)
        return Chosen(kind.value, choice.transcriber or self.settings.transcriber.value)


@dataclass(frozen=True, slots=True)
class _Makers:
    """The adapters, by the kinds of the settings. What needs an extra is imported where it is made."""

    settings: Settings
    clock: Clock
    telemetry: Telemetry
    access: Access
    given: Classifier | None = None
    """In place of the default one."""

    def classifier(self, kind: str) -> Classifier:
        if self.given is not None and kind == self.settings.resolved(self.settings.classifier):
            return self.given
        return make_classifier(ClassifierKind(kind), self.settings, self.clock, self.telemetry, self.access)

    def scheduler(self, kind: str, classifier: Classifier) -> Scheduler:
        settings = self.settings
        return Scheduler(
            classifier,
            self.clock,
            batch_size=settings.most_in_a_batch,
            linger_s=settings.classify_linger_ms / 1_000,
            capacity=settings.classify_queue,
            deadline_s=settings.dispatch_deadline_s,
            call_s=settings.classify_timeout_s,
            concurrency=_concurrency(ClassifierKind(kind), settings),
            observer=self.telemetry.listener(kind),
        )

    def transcriber(self, kind: str) -> Transcriber:
        return make_transcriber(TranscriberKind(kind), self.settings)

    def embedded(self) -> str:
        return _embedded_transcriber()


@cache
def _embedded_transcriber() -> str:
    """What `auto` is where the classifier hears no words."""
    if importlib.util.find_spec("pocketsphinx") is None:
        log.warning("no transcripts: the Python module pocketsphinx is missing (extra: embedded)")
        return TranscriberKind.NONE
    return TranscriberKind.POCKETSPHINX


def make_access(settings: Settings) -> Access:
    """What sidecars, model servers and orchestrators want to see, and whom to trust among them.

    Read once, before anything runs: reading certificates takes longer than a turn of the event loop, and a
    namespace may choose a classifier that needs them at any time.

    Raises:
        SettingsError: a file can't be used.
    """
    urls = settings.classifier_url
    allocated = not urls and settings.orch_url is not None
    asked = settings.resolved(settings.classifier) in (ClassifierKind.REMOTE, ClassifierKind.KSERVE)
    if not (urls or allocated) or not (asked or settings.namespaces_file):
        return Access()
    # What an orchestrator allocates may speak TLS, whatever the orchestrator itself speaks.
    tls = allocated or any(url.startswith("https:") for url in urls)
    try:
        return Access.load(
            tls=tls, ca_file=settings.classifier_ca_file, token_file=settings.classifier_token_file
        )
    except AccessError as error:
        raise SettingsError([Problem(variable(error.setting), error.path, error.message)]) from None


def make_classifier(
    kind: ClassifierKind, settings: Settings, clock: Clock, telemetry: Telemetry, access: Access
) -> Classifier:
    """A new classifier of that kind, not started; `auto` is what it is for these settings.

    Args:
        access: as of `make_access`.

    Raises:
        Exception: it can't be had, and why.
    """
    match settings.resolved(kind):
        case ClassifierKind.REMOTE if settings.classifier_url:
            return _remote(settings.classifier_url, access, settings, clock, telemetry)
        case ClassifierKind.REMOTE:
            return _orchestrated(access, settings, clock, telemetry)
        case ClassifierKind.KSERVE:
            return _kserve(access, settings, clock)
        case ClassifierKind.ONNX:
            tones = configured_onnx(settings, clock, speaking)
            return BlendedClassifier(tones, configured_acoustic(settings, clock))
        case _:
            return configured_acoustic(settings, clock)


def _kserve(access: Access, settings: Settings, clock: Clock) -> Classifier:
    """A model server; what its model doesn't say, the embedded classifier does."""
    assert settings.kserve_model_file is not None  # a rule of the settings
    spec = read_spec(Path(settings.kserve_model_file), most_s=settings.classify_timeout_s)
    (url,) = settings.classifier_url
    asked = KServeClassifier(spec, url, clock, trust=access.trust, token=access.token, talking=speaking)
    if spec.events is not None:
        return asked
    return BlendedClassifier(asked, configured_acoustic(settings, clock))


def _remote(
    urls: Sequence[str],
    access: Access,
    settings: Settings,
    clock: Clock,
    telemetry: Telemetry,
    grumbler: Grumbler | None = None,
) -> Classifier:
    """The sidecars at `urls`, replicas of one."""
    return RemoteClassifier(
        urls,
        access=access,
        deadline_s=settings.classifier_deadline_s,
        calls=settings.classifier_calls,
        clock=clock,
        observer=telemetry.sidecars,
        grumbler=grumbler,
    )


def _orchestrated(access: Access, settings: Settings, clock: Clock, telemetry: Telemetry) -> Classifier:
    """Sidecars as an orchestrator allocates them, and the embedded classifier while there is none: in
    threads, as processes would mostly wait for nothing."""
    assert settings.orch_url is not None
    grumbler = Grumbler(clock)  # each allocation would begin its minute anew

    def connect(sidecar: Sidecar) -> Classifier:
        let_in = access if sidecar.token is None else replace(access, token=sidecar.token)
        return _remote((sidecar.url,), let_in, settings, clock, telemetry, grumbler)

    return OrchestratedClassifier(
        OrchestratorClient(settings.orch_url, settings.orch_timeout_s, access.trust),
        connect,
        AcousticClassifier(workers=settings.side_by_side),
        clock,
        per_session=settings.orch_scope is OrchScope.SESSION,
        ttl_s=settings.orch_ttl_s,
        on_outcome=telemetry.allocation,
    )


def _concurrency(kind: ClassifierKind, settings: Settings) -> int:
    """Batches at a classifier of that kind at the same time."""
    if kind is ClassifierKind.KSERVE:
        return settings.classifier_calls
    if kind is not ClassifierKind.REMOTE:
        return settings.side_by_side
    if settings.classifier_url:
        return settings.classifier_calls * len(settings.classifier_url)
    # A batch waits for the slowest sidecar of its sessions; others must not wait with it.
    each = settings.orch_scope is OrchScope.SESSION
    return settings.classifier_calls * (_MANY_SIDECARS if each else 1)


def make_transcriber(kind: TranscriberKind, settings: Settings) -> Transcriber:
    """A new transcriber of that kind, neither `auto` nor `none`; not started.

    Raises:
        TranscriberUnavailable: it can't be had here.
    """
    match kind:
        case TranscriberKind.POCKETSPHINX:
            return PocketSphinxTranscriber(decoders=settings.transcribe_decoders)
        case TranscriberKind.WHISPER:
            return configured_whisper(settings)
        case _:
            raise TranscriberUnavailable(f"{kind} is no transcriber")


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
