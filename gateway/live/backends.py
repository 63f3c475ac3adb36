"""What listens to sessions: a classifier with its dispatcher, and perhaps a transcriber.

Sessions whose namespaces chose the same share the same. There are as many classifiers and transcribers as
kinds are in use: those of the settings, those that some namespace chose, and those that a session still has
which began with them. One that nobody needs any more is closed; chosen again, it is made anew.

A session keeps what it began with until it is over.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.classify.absent import Absent
from gateway.classify.notices import Notices
from gateway.classify.port import Classifier, Health, HealthStatus, hears_words
from gateway.classify.scheduler import Scheduler
from gateway.transcribe.port import Transcriber

log = logging.getLogger(__name__)

NONE, AUTO = "none", "auto"
"""Kinds of transcriber that are none themselves."""

_ANSWERING = (HealthStatus.READY, HealthStatus.WARNING)
CLOSE_S = 5.0
"""Seconds that what is just being started or closed has to get there when the node ends."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to listen, by kind. No kind of classifier is `auto`."""

    classifier: str
    transcriber: str


class Makers(Protocol):
    """Makes what the kinds stand for; the composition root does."""

    def classifier(self, kind: str) -> Classifier:
        """A new one, not started. May raise anything: it can't be had."""
        ...

    def scheduler(self, kind: str, classifier: Classifier) -> Scheduler:
        """A new one for it, not running."""
        ...

    def transcriber(self, kind: str) -> Transcriber:
        """A new one, not started. May raise anything: it can't be had."""
        ...

    def embedded(self) -> str:
        """The kind of transcriber that `auto` is for a classifier which hears no words; may be `none`."""
        ...


@dataclass(slots=True, eq=False)
class Part:
    """A classifier or a transcriber, and how many sessions have it."""

    kind: str
    notices: Notices
    holders: int = 0
    broken: bool = False
    """It could not be made or started."""
    starting: asyncio.Task[None] | None = None


@dataclass(slots=True, eq=False)
class Ear(Part):
    """A classifier and the dispatcher that asks it."""

    classifier: Classifier = field(kw_only=True)
    scheduler: Scheduler = field(kw_only=True)

    def health(self) -> Health:
        """Whether it can answer now."""
        if self.broken:
            return Health(HealthStatus.ERROR, "could not be started")
        if self.scheduler.stalled:
            return Health(HealthStatus.ERROR, "stalled")
        return self.classifier.health()

    @property
    def answers(self) -> bool:
        """Whether windows get answers now, as far as anybody knows."""
        return self.health().status in _ANSWERING


@dataclass(slots=True, eq=False)
class Scribe(Part):
    """A transcriber; None where it could not be made."""

    transcriber: Transcriber | None = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class Backend:
    """What listens to one session."""

    ear: Ear
    scribe: Scribe | None
    own_words: bool
    """Whether words that the classifier hears are passed on."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What it is made of."""
        return (self.ear,) if self.scribe is None else (self.ear, self.scribe)

    @property
    def transcriber(self) -> Transcriber | None:
        """Who turns its audio into words, beside the classifier."""
        return None if self.scribe is None else self.scribe.transcriber


class Backends:
    """Every backend of this node. All but the ends is synchronous.

    Args:
        choose: what a namespace's new sessions are to have, now.
        chosen: all that some namespace chose, now; the default is the first.
    """

    def __init__(
        self,
        makers: Makers,
        choose: Callable[[str | None], Chosen],
        chosen: Callable[[], tuple[Chosen, ...]],
        on_part: Callable[[Part], None] = lambda _: None,
    ) -> None:
        self._makers = makers
        self._choose = choose
        self._chosen = chosen
        self._on_part = on_part
        """Told of each new part before it starts."""
        self._ears: dict[str, Ear] = {}
        self._scribes: dict[str, Scribe] = {}
        self._dispatching: dict[Ear, asyncio.Task[None]] = {}
        self._changing: set[asyncio.Task[None]] = set()
        self._past: Counter[str] = Counter()
        self._running = False
        self._closed = False
        for one in chosen():
            self._compose(one)

    # Which there are -----------------------------------------------------------------------------------

    @property
    def default(self) -> Ear:
        """That of the settings."""
        return self._ears[self._chosen()[0].classifier]

    @property
    def ears(self) -> Iterator[Ear]:
        """Every classifier, by its first use."""
        return iter(tuple(self._ears.values()))

    @property
    def transcribers(self) -> Mapping[str, Transcriber]:
        """Every transcriber by kind."""
        return {one.kind: one.transcriber for one in self._scribes.values() if one.transcriber is not None}

    @property
    def answers(self) -> bool:
        """Whether any classifier can answer: who has another one is told by its session's events."""
        return any(ear.answers for ear in self._ears.values())

    @property
    def waiting(self) -> int:
        """Windows waiting for dispatch, over all."""
        return sum(ear.scheduler.waiting for ear in self._ears.values())

    def late_for(self, now: float) -> float:
        """For how many seconds every classifier has been late: 0 where one is in time."""
        return min(ear.scheduler.late_for(now) for ear in self._ears.values())

    def late_for_namespace(self, namespace: str | None, now: float) -> float:
        """For how many seconds the classifier of a namespace's new sessions has been late."""
        ear = self._ears.get(self._choose(namespace).classifier)
        return ear.scheduler.late_for(now) if ear is not None else 0.0

    def utterances(self) -> Mapping[str, int]:
        """Utterances so far by what became of them, over all transcribers, gone ones included."""
        total = Counter(self._past)
        for one in self.transcribers.values():
            total.update(one.utterances())
        return total

    def decoders(self) -> Mapping[str, int]:
        """Decoders by state, over all transcribers."""
        total: Counter[str] = Counter()
        for one in self.transcribers.values():
            total.update(one.decoders())
        return total

    # Sessions ------------------------------------------------------------------------------------------

    def enter(self, namespace: str | None) -> Backend:
        """What listens to a new session of that namespace; to be given back with `leave`."""
        backend = self._compose(self._choose(namespace))
        for part in backend.parts:
            part.holders += 1
        return backend

    def leave(self, backend: Backend, session_id: str) -> None:
        """The session is over, and none of its windows is at the classifier any more."""
        for part in backend.parts:
            part.holders -= 1
        try:
            backend.ear.classifier.forget(session_id)
        except Exception:
            log.exception("a classifier could not forget a session")
        self.refresh()

    def refresh(self) -> None:
        """Have what is chosen now, and no more than that and what sessions still have."""
        if self._closed:
            return
        wanted = {part for one in self._chosen() for part in self._compose(one).parts}
        for place in (self._ears, self._scribes):
            for part in tuple(place.values()):
                if part.holders == 0 and part not in wanted:
                    self._drop(place, part)

    def renew(self) -> None:
        """Something new may be chosen; what could not be started before is tried once more."""
        for place in (self._ears, self._scribes):
            for part in tuple(place.values()):
                if part.broken and part.holders == 0 and part is not self.default:
                    self._drop(place, part)
        self.refresh()

    # The ends ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to work. What there is from the start must start, or this raises what kept it from that."""
        self._running = True
        for scribe in self._scribes.values():
            if scribe.transcriber is not None:
                await scribe.transcriber.start()
        for ear in self._ears.values():
            await ear.classifier.start()
            self._dispatch(ear)

    def dispatchers(self) -> Mapping[str, asyncio.Task[None]]:
        """The running dispatchers by kind of classifier."""
        return {ear.kind: task for ear, task in self._dispatching.items()}

    async def stop(self) -> None:
        """Dispatch no more. May be called twice."""
        self._closed = True
        tasks = tuple(self._dispatching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def aclose(self) -> None:
        """End all of it. May be called twice."""
        await self.stop()
        if self._changing:
            _, late = await asyncio.wait(self._changing, timeout=CLOSE_S)
            for task in late:
                task.cancel()
        ends: list[Coroutine[Any, Any, None]] = [one.aclose() for one in self.transcribers.values()]
        ends += [ear.classifier.aclose() for ear in self._ears.values()]
        for outcome in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.error("a backend could not be closed", exc_info=outcome)

    # Inside --------------------------------------------------------------------------------------------

    def _compose(self, chosen: Chosen) -> Backend:
        """The parts of what was chosen, made now where there are none."""
        ear = self._ears.get(chosen.classifier) or self._make_ear(chosen.classifier)
        own = chosen.transcriber == AUTO and hears_words(ear.classifier)
        kind = chosen.transcriber
        if kind == AUTO:
            kind = NONE if own else self._makers.embedded()
        if kind == NONE:
            return Backend(ear, None, own)
        return Backend(ear, self._scribes.get(kind) or self._make_scribe(kind), own)

    def _make_ear(self, kind: str) -> Ear:
        """A classifier that can't be had is a classifier that fails: a namespace's trouble is its own.

        Raises whatever it was, before the node has started.
        """
        broken = False
        try:
            classifier = self._makers.classifier(kind)
        except Exception:
            if not self._running:
                raise
            log.exception("the classifier %s could not be made", kind)
            classifier, broken = Absent(kind), True
        scheduler = self._makers.scheduler(kind, classifier)
        ear = Ear(kind, classifier.notices, classifier=classifier, scheduler=scheduler, broken=broken)
        self._ears[kind] = ear
        self._on_part(ear)
        if self._running:
            log.info("a classifier was added", extra={"classifier": kind})
            ear.starting = self._spawn(self._begin_ear(ear))
        return ear

    def _make_scribe(self, kind: str) -> Scribe:
        """Likewise; a transcriber that can't be had leaves its sessions without words."""
        transcriber: Transcriber | None = None
        try:
            transcriber = self._makers.transcriber(kind)
        except Exception:
            if not self._running:
                raise
            log.exception("the transcriber %s could not be made", kind)
        notices = getattr(transcriber, "notices", None)
        scribe = Scribe(kind, notices or Notices(), transcriber=transcriber, broken=transcriber is None)
        self._scribes[kind] = scribe
        self._on_part(scribe)
        if transcriber is None:
            scribe.notices.tell("transcriber", Health(HealthStatus.ERROR, "could not be started: no words"))
        elif self._running:
            scribe.starting = self._spawn(self._begin_scribe(scribe, transcriber))
        return scribe

    async def _begin_ear(self, ear: Ear) -> None:
        try:
            await ear.classifier.start()
        except Exception:
            log.exception("the classifier %s could not be started", ear.kind)
            ear.broken = True
            ear.notices.tell("classifier", Health(HealthStatus.ERROR, "could not be started"))
        if not self._closed:
            self._dispatch(ear)

    async def _begin_scribe(self, scribe: Scribe, transcriber: Transcriber) -> None:
        try:
            await transcriber.start()
        except Exception:
            log.exception("the transcriber %s could not be started", scribe.kind)
            scribe.broken = True
            scribe.notices.tell("transcriber", Health(HealthStatus.ERROR, "could not be started: no words"))

    def _dispatch(self, ear: Ear) -> None:
        name = "scheduler" if ear is self.default else f"scheduler:{ear.kind}"
        task = asyncio.create_task(ear.scheduler.run(), name=name)
        task.add_done_callback(tell_death)
        self._dispatching[ear] = task

    def _drop(self, place: dict[str, Any], part: Part) -> None:
        del place[part.kind]
        log.info("nobody needs a backend any more", extra={"backend": part.kind})
        self._spawn(self._close(part))

    async def _close(self, part: Part) -> None:
        if part.starting is not None:
            await asyncio.wait((part.starting,))
        if isinstance(part, Ear):
            if (task := self._dispatching.pop(part, None)) is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await part.classifier.aclose()
        elif isinstance(part, Scribe) and part.transcriber is not None:
            self._past.update(part.transcriber.utterances())
            await part.transcriber.aclose()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._changing.add(task)
        task.add_done_callback(self._changed)
        return task

    def _changed(self, task: asyncio.Task[None]) -> None:
        self._changing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a backend could not be changed", exc_info=error)


def tell_death(task: asyncio.Task[None]) -> None:
    """Such a task runs as long as the gateway; one that ends by itself is a defect to be seen at once."""
    if not task.cancelled():
        log.critical("the %s stopped", task.get_name(), exc_info=task.exception())
