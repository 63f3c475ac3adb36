"""A classifier that has its sidecars allocated, and listens by itself while it has none.

Windows go by session to the sidecar that was allocated for it (or for the node), and to the fallback where
there is none: no session waits for the orchestrator. What goes to different sidecars goes there at the same
time, and what becomes of one says nothing about the others.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from gateway.classify.notices import Notices
from gateway.classify.orchestrator.client import OrchestratorError, UnusableGrant
from gateway.classify.orchestrator.connections import ANSWERING, Connect, Connections
from gateway.classify.orchestrator.desk import Allocation, Desk
from gateway.classify.orchestrator.grant import Grant, Sidecar
from gateway.classify.port import Answer, Classifier, ClassifierError, Health, HealthStatus, Window
from gateway.classify.sidecar.pseudonym import pseudonym
from gateway.clock import Clock

log = logging.getLogger(__name__)

NODE = ""
"""The scope of a node that shares one sidecar; no session is called so."""
PART = "sidecar allocation"
"""What notices call the allocation."""
MOST_FAILURES = 3
"""Calls in a row without any answer, after which another sidecar is asked for."""
CLOSE_S = 5.0
"""Seconds that giving everything back may take at the end."""

MEANWHILE = "the embedded classifier listens meanwhile"
ELSEWHERE = "the embedded classifier listens where a session has no sidecar"


class Orchestrator(Protocol):
    """Who allocates sidecars; see `OrchestratorClient`."""

    async def allocate(self, caller: str, ttl_s: float) -> Grant: ...

    async def release(self, allocation_id: str) -> None: ...

    async def aclose(self) -> None: ...


class OrchestratedClassifier:
    """Implements `gateway.classify.port.Classifier`.

    Args:
        fallback: listens where there is no sidecar; owned by this one.
        connect: how to reach one that was allocated.
        per_session: whether each session gets a sidecar of its own, rather than the node.
        ttl_s: for how long one is asked for at a time.
        on_outcome: told what became of requests: `granted`, `extended`, `refused`, `released`, and `left`
            where one could not be given back and ends with its time.
    """

    name = "orchestrated"
    hears_words = True

    def __init__(
        self,
        orchestrator: Orchestrator,
        connect: Connect,
        fallback: Classifier,
        clock: Clock,
        *,
        per_session: bool = False,
        ttl_s: float = 300.0,
        jitter: random.Random | None = None,
        on_outcome: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._orchestrator = orchestrator
        self._fallback = fallback
        self._clock = clock
        self._per_session = per_session
        self._ttl_s = ttl_s
        self._desk = Desk(ttl_s, jitter)
        self._node = secrets.token_urlsafe(16)
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._work: set[asyncio.Task[None]] = set()
        self._notices = Notices()
        self._connections = Connections(connect, self._notices)
        self._on_outcome = on_outcome
        self._closed = False

    # The port ------------------------------------------------------------------------------------------

    @property
    def notices(self) -> Notices:
        """The allocation's, and where all sessions share one sidecar, that one's."""
        return self._notices

    @property
    def room(self) -> int | None:
        """As of the sidecar that has most, among those that answer."""
        return self._connections.room

    async def start(self) -> None:
        """Start the fallback, and ask for the node's sidecar."""
        await self._fallback.start()
        if not self._per_session:
            self._notices.tell(
                PART, Health(HealthStatus.LOADING, f"a sidecar is being asked for; {MEANWHILE}")
            )
            self._desk.want(NODE)
        self._running = asyncio.create_task(self._run(), name="orchestrator")

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        """Each window by the sidecar of its scope, or by the fallback.

        Raises:
            ClassifierError: the classifier is closed.
        """
        if self._closed:
            raise ClassifierError("the orchestrated classifier is closed")
        groups = self._groups(batch)
        used = [allocation for allocation in groups if allocation is not None]
        for allocation in used:
            self._desk.enter(allocation)
        try:
            if len(groups) == 1:
                return await self._ask(next(iter(groups)), batch)
            parts = [[batch[place] for place in places] for places in groups.values()]
            calls = [self._ask(allocation, part) for allocation, part in zip(groups, parts, strict=True)]
            found = await asyncio.gather(*calls)
        finally:
            for allocation in used:
                self._desk.leave(allocation)
                if not allocation.scopes:
                    self._changed.set()  # it may be given back now
        answers: list[Answer] = [ClassifierError("no answer")] * len(batch)
        for places, got in zip(groups.values(), found, strict=True):
            for place, answer in zip(places, got, strict=True):
                answers[place] = answer
        return answers

    def forget(self, session: str) -> None:
        """The session is over, and so is the need for its sidecar."""
        self._fallback.forget(session)
        self._connections.forget(session)
        if self._per_session:
            self._desk.drop(session)
            self._changed.set()

    def health(self) -> Health:
        """It always listens, if not always by what it should, until it is closed."""
        if self._closed:
            return Health(HealthStatus.ERROR, "closed")
        fallback = self._fallback.health()
        if self._desk.failing:
            status = HealthStatus.WARNING if fallback.status in ANSWERING else fallback.status
            return Health(status, f"no sidecar; {ELSEWHERE if self._per_session else MEANWHILE}")
        if self._per_session:
            return fallback
        allocation = self._desk.route(NODE, self._clock.monotonic())
        if allocation is not None and self._connections.answers(allocation.sidecar):
            return self._connections.to(allocation.sidecar).health()
        return Health(HealthStatus.WARNING, f"no sidecar yet; {MEANWHILE}")

    async def aclose(self) -> None:
        """Give back what is held, and end. What can't be given back in time ends by itself."""
        self._closed = True
        self._desk.close()
        self._changed.set()
        if self._running is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    while not self._desk.settled or self._work:
                        await self._progress()
            if self._desk.held:
                log.warning("sidecars were not given back", extra={"allocations": self._desk.held})
            tasks = (self._running, *self._work)
            self._running = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._connections.aclose()
        await self._fallback.aclose()
        await self._orchestrator.aclose()

    # Windows -------------------------------------------------------------------------------------------

    def _groups(self, batch: Sequence[Window]) -> dict[Allocation | None, list[int]]:
        """The places in `batch` of what goes to each sidecar; None is the fallback."""
        if not self._per_session:
            return {self._route(NODE): list(range(len(batch)))} if batch else {}
        groups: dict[Allocation | None, list[int]] = {}
        for place, window in enumerate(batch):
            groups.setdefault(self._route(window.session), []).append(place)
        return groups

    def _route(self, scope: str) -> Allocation | None:
        if self._desk.want(scope):
            self._changed.set()
        self._change_over(scope)
        allocation = self._desk.route(scope, self._clock.monotonic())
        if allocation is None:
            return None
        if self._connections.answers(allocation.sidecar):
            return allocation
        if self._connections.to(allocation.sidecar).health().status is HealthStatus.ERROR:
            self._failed(allocation)
        return None

    def _change_over(self, scope: str) -> None:
        """What renews an allocation is used as soon as it answers, and not before."""
        coming = self._desk.coming(scope)
        if coming is not None and self._connections.answers(coming.sidecar):
            self._desk.change_over(scope)
            self._follow()
            self._changed.set()

    async def _ask(self, allocation: Allocation | None, batch: Sequence[Window]) -> Sequence[Answer]:
        """An answer for each window, whatever happens."""
        if allocation is None:
            return await _answers(self._fallback, batch)
        failed = True
        try:
            answers = await _answers(self._connections.to(allocation.sidecar), batch)
            failed = all(isinstance(answer, ClassifierError) for answer in answers)
            return answers
        finally:
            if failed:
                self._failed(allocation)
            else:
                allocation.failures = 0

    def _failed(self, allocation: Allocation) -> None:
        allocation.failures += 1
        if allocation.failures >= MOST_FAILURES and allocation.scopes:
            self._desk.suspect(allocation, self._clock.monotonic())
            self._follow()
            self._changed.set()
            if not self._per_session and not self._has_one(NODE):
                self._warn("the sidecar does not answer, so another one is asked for")

    # Allocations ---------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            due = self._desk.due(self._clock.monotonic())
            self._follow()
            for scope in due.ask:
                self._spawn(self._allocate(scope))
            for allocation in due.release:
                self._spawn(self._release(allocation))
            for allocation in due.gone:
                self._on_outcome("left")
                self._spawn(self._connections.part_with(allocation.sidecar))
            wait_s = self._desk.wait_s(self._clock.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            self._changed.clear()

    async def _allocate(self, scope: str) -> None:
        asked_at = self._clock.monotonic()
        try:
            grant = await self._orchestrator.allocate(self._caller(scope), self._ttl_s)
        except UnusableGrant as error:
            self._refuse(scope, str(error), self._desk.made(error.allocation_id, None, asked_at))
        except Exception as error:
            self._refuse(scope, _why(error))
        else:
            await self._take(scope, self._desk.made(grant.id, grant.sidecar, asked_at), grant.sidecar)
        self._changed.set()

    def _caller(self, scope: str) -> str:
        """Who asks: always the same for a scope, and nothing that leads to a session's id."""
        return f"undertone-{self._node if scope == NODE else pseudonym(scope)}"

    async def _take(self, scope: str, allocation: Allocation, sidecar: Sidecar) -> None:
        """Connect to what was granted, and send windows there from now on."""
        try:
            await self._connections.open(sidecar)
        except Exception as error:
            allocation.sidecar = None  # nothing is connected there
            why = f"the sidecar can't be used ({type(error).__name__})"
            self._refuse(scope, why, allocation, told=not self._per_session)
            return
        before = self._desk.held
        taken = self._desk.granted(scope, allocation, self._clock.monotonic())
        again = self._desk.held == before
        self._change_over(scope)
        self._follow()
        self._on_outcome("refused" if not taken else "extended" if again else "granted")
        if again:  # it was held already, or can't be: that is no second use
            await self._connections.part_with(sidecar)
        if not self._has_one(scope):
            if not taken:
                self._warn("the orchestrator gave one that is given back already")
        elif not self._desk.failing:
            self._notices.tell(PART, Health(HealthStatus.READY))

    def _refuse(
        self, scope: str, why: str, allocation: Allocation | None = None, *, told: bool = True
    ) -> None:
        now = self._clock.monotonic()
        if allocation is None:
            self._desk.refused(scope, now)
        else:
            before = self._desk.held
            self._desk.unusable(scope, allocation, now)
            if self._desk.held > before:
                self._on_outcome("granted")
        self._on_outcome("refused")
        if told and not self._has_one(scope):
            self._warn(why)

    async def _release(self, allocation: Allocation) -> None:
        try:
            await self._orchestrator.release(allocation.id)
        except Exception as error:
            again = self._desk.kept(allocation, self._clock.monotonic())
            if not again:
                log.warning("a sidecar was not given back: %s", _why(error))
                self._on_outcome("left")
                await self._connections.part_with(allocation.sidecar)
        else:
            self._desk.released(allocation)
            self._on_outcome("released")
            await self._connections.part_with(allocation.sidecar)
        self._changed.set()

    def _has_one(self, scope: str) -> bool:
        return self._desk.route(scope, self._clock.monotonic()) is not None

    def _warn(self, why: str) -> None:
        listens = ELSEWHERE if self._per_session else MEANWHILE
        self._notices.tell(PART, Health(HealthStatus.WARNING, f"{why}; {listens}"))

    def _follow(self) -> None:
        """Where all sessions share one sidecar, they are told what it says of itself."""
        if not self._per_session:
            allocation = self._desk.route(NODE, self._clock.monotonic())
            self._connections.follow(None if allocation is None else allocation.sidecar)

    # Tasks ---------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("asking for a sidecar failed unexpectedly", exc_info=error)
        self._changed.set()

    async def _progress(self) -> None:
        """Until something under way is over, or it is time for more."""
        if self._work:
            await asyncio.wait(self._work, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(0.02)


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, OrchestratorError) else f"unexpected: {type(error).__name__}"


async def _answers(classifier: Classifier, batch: Sequence[Window]) -> Sequence[Answer]:
    try:
        answers = await classifier.classify(batch)
    except ClassifierError as error:
        return [error] * len(batch)
    except Exception as error:
        log.exception("a classifier failed unexpectedly")
        return [ClassifierError(f"unexpected: {type(error).__name__}")] * len(batch)
    if len(answers) != len(batch):
        return [ClassifierError(f"{len(answers)} answers to {len(batch)} windows")] * len(batch)
    return answers
