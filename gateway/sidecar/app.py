"""The sidecar's composition root: the only place here that names classifiers and connects everything."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette

from gateway.api.origin import OriginPolicy
from gateway.classify.acoustic.configured import configured_acoustic
from gateway.classify.acoustic.speaking import speaking
from gateway.classify.blend import BlendedClassifier
from gateway.classify.onnx.configured import configured_onnx
from gateway.classify.port import Classifier
from gateway.classify.scheduler import Scheduler
from gateway.clock import Clock, SystemClock
from gateway.settings import LocalClassifier, Settings
from gateway.sidecar.afresh import Afresh
from gateway.sidecar.body import Room
from gateway.sidecar.desk import Desk
from gateway.sidecar.door import read_token
from gateway.sidecar.drain import SidecarDrain
from gateway.sidecar.health import Wellbeing
from gateway.sidecar.memory import Bounds, Dropped, Keeper
from gateway.sidecar.metrics import Metrics, Now
from gateway.sidecar.routes import Sidecar, build
from gateway.sidecar.service import Service
from gateway.sidecar.states import Found

log = logging.getLogger(__name__)

SWEEP_S = 10.0
"""Seconds from one look for sessions that are too old to the next; those asked for are seen at once."""


def _with_local_model(settings: Settings, clock: Clock) -> Classifier:
    tones = configured_onnx(settings, clock, speaking)
    return BlendedClassifier(tones, configured_acoustic(settings, clock))


CLASSIFIERS: Mapping[LocalClassifier, Callable[[Settings, Clock], Classifier]] = {
    LocalClassifier.ACOUSTIC: configured_acoustic,
    LocalClassifier.ONNX: _with_local_model,
}
"""How each is made."""


@dataclass(slots=True)
class _Parts:
    """What the lifespan starts and ends."""

    classifier: Classifier
    scheduler: Scheduler
    keepers: tuple[Keeper, Keeper]
    running: set[asyncio.Task[None]] = field(default_factory=set)


def create_sidecar(
    settings: Settings, *, classifier: Classifier | None = None, clock: Clock | None = None
) -> Starlette:
    """The sidecar as an ASGI application.

    Args:
        classifier: what is served, in place of the one that the settings name.

    Raises:
        SettingsError: the token's file can't be used.
    """
    clock, metrics = clock or SystemClock(), Metrics()
    token = read_token(settings.sidecar_token_file) if settings.sidecar_token_file is not None else None
    classifier = classifier or CLASSIFIERS[settings.sidecar_classifier](settings, clock)
    served = Afresh(classifier, lambda: metrics.state(Found.BROKEN))
    scheduler = Scheduler(
        served,
        clock,
        batch_size=settings.most_in_a_batch,
        linger_s=settings.classify_linger_ms / 1_000,
        capacity=settings.sidecar_queue,
        deadline_s=settings.dispatch_deadline_s,
        call_s=settings.classify_timeout_s,
        concurrency=settings.side_by_side,
        observer=metrics,
    )
    desk = Desk(scheduler, clock, metrics, capacity=settings.sidecar_queue)
    kept, known = _keepers(settings, clock, metrics, served)
    drain = SidecarDrain(desk, clock, grace_s=settings.drain_grace_s)
    room = Room(settings.sidecar_body_bytes)
    parts = _Parts(served, scheduler, (kept, known))

    def now() -> Now:
        return Now(
            waiting=scheduler.waiting,
            held=desk.held,
            body_bytes=room.held,
            sessions=len(kept),
            session_bytes=kept.size,
            workers=served.workers,
            workers_ended=served.workers_ended,
            batch_limit=scheduler.batch_limit,
            draining=drain.draining,
        )

    def wellbeing() -> Wellbeing:
        dispatching = bool(parts.running) and not any(task.done() for task in parts.running)
        return Wellbeing.of(
            served, dispatching=dispatching, stalled=scheduler.stalled, draining=drain.draining
        )

    metrics.watch(now)
    service = Service(served.name, desk, kept, known, metrics, served.forget)
    policy = OriginPolicy((), settings.trusted_proxies)
    app = build(Sidecar(service, desk, room, metrics, wellbeing, policy, token), lambda _: _lifespan(parts))
    app.state.cutoff = metrics.cutoff
    app.state.drain = drain
    return app


def _keepers(
    settings: Settings, clock: Clock, metrics: Metrics, classifier: Classifier
) -> tuple[Keeper, Keeper]:
    """For the states of the one contract's sessions, and for the names of the other's."""
    bounds = Bounds(settings.sidecar_sessions, settings.sidecar_session_bytes, settings.sidecar_session_ttl_s)

    def dropped(name: str, why: Dropped) -> None:
        metrics.drop(why)
        classifier.forget(name)

    return Keeper(bounds, clock, dropped), Keeper(bounds, clock, lambda name, _: classifier.forget(name))


@asynccontextmanager
async def _lifespan(parts: _Parts) -> AsyncIterator[None]:
    await parts.classifier.start()
    for name, work in (("scheduler", parts.scheduler.run()), ("sweeper", _sweep(parts.keepers))):
        task = asyncio.create_task(work, name=name)
        parts.running.add(task)
        task.add_done_callback(_tell_death)
    try:
        yield
    finally:
        for task in parts.running:
            task.cancel()
        await asyncio.gather(*parts.running, return_exceptions=True)
        await parts.classifier.aclose()


async def _sweep(keepers: tuple[Keeper, Keeper]) -> None:
    """Sessions that nobody asks for any more go, too."""
    while True:
        await asyncio.sleep(SWEEP_S)
        for keeper in keepers:
            keeper.sweep()


def _tell_death(task: asyncio.Task[None]) -> None:
    """These tasks run as long as the sidecar; one that ends by itself is a defect to be seen at once."""
    if not task.cancelled():
        log.critical("the %s stopped", task.get_name(), exc_info=task.exception())
