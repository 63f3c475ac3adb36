"""The remote classifier: windows to sidecars, and what they heard back.

    windows ──► pool (which replica?) ──► batch contract, or one call a window ──► observations
                  │                              │
                  └ breaker, calls in flight     └ fails: retried once elsewhere, or that window's error

Nothing waits here without a bound: where no replica may be asked the windows fail at once, and everything is
over at the deadline.
"""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from typing import Any

from gateway.classify.breaker import State
from gateway.classify.http1.address import Address
from gateway.classify.notices import Notices
from gateway.classify.port import Answer, ClassifierError, Health, HealthStatus, Window
from gateway.classify.remote import report
from gateway.classify.remote.access import Access
from gateway.classify.remote.grumble import Grumbler
from gateway.classify.remote.http import CallFailed, Endpoint, Kind
from gateway.classify.remote.observer import Observer, Silent
from gateway.classify.remote.pace import Pace
from gateway.classify.remote.pool import Lease, NobodyThere, Pool
from gateway.classify.remote.replica import Replica
from gateway.classify.remote.work import Work
from gateway.classify.retry import RetryBudget
from gateway.classify.sidecar import batch as batches
from gateway.classify.sidecar import single
from gateway.classify.sidecar.batch import Asked, Failed, MalformedBatch, Told
from gateway.classify.sidecar.events import MalformedEvent, heard
from gateway.classify.sidecar.pseudonym import pseudonym
from gateway.clock import Clock, SystemClock

STATE = "sidecar"
"""Key of `Window.state` under which the sidecar's own bytes are kept."""
PAUSE_S = 0.05
"""Before the same replica is asked again, where there is no other."""
MOST_ROOM = 1_024
"""More windows than any batch has."""
YIELD_EVERY = 16_384
"""Bytes of an answer after which the event loop is let have its turn."""


class RemoteClassifier:
    """Asks sidecars. Implements `gateway.classify.port.Classifier`.

    Keeps nothing per session: what a sidecar of the batch contract wants to remember lies, opaque, in
    `state["sidecar"]`.

    Args:
        urls: one or more sidecars that do the same, as of `gateway.config.addresses.sidecar`.
        deadline_s: how long a batch may take, all waiting and a second try included.
        calls: most calls in flight to one sidecar.
        grumbler: tells of failures in the log; one for several classifiers, where they come and go.
    """

    name = "remote"
    hears_words = True
    """Whether a sidecar does is known only when it says something."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        access: Access | None = None,
        deadline_s: float = 2.0,
        calls: int = 4,
        clock: Clock | None = None,
        observer: Observer | None = None,
        draw: random.Random | None = None,
        grumbler: Grumbler | None = None,
    ) -> None:
        if not urls:
            raise ValueError("a remote classifier needs a sidecar")
        self._clock = clock or SystemClock()
        self._deadline_s = deadline_s
        self._calls = calls
        self._observer: Observer = observer or Silent()
        self._notices = Notices()
        self._looked = asyncio.Event()
        chance = draw or random.Random()
        access = access or Access.load(tls=any(Address.of(url).secure for url in urls))
        self.replicas: Sequence[Replica] = [
            Replica(
                index,
                Endpoint(Address.of(url), access),
                self._clock,
                calls=calls,
                pace=Pace(deadline_s),
                looked=self._looked.set,
                changed=self._changed,
                spread=chance.random,
            )
            for index, url in enumerate(urls)
        ]
        self._pool = Pool(self.replicas, self._clock, chance.randrange)
        self._budget = RetryBudget()
        self._grumbler = grumbler or Grumbler(self._clock)
        self._breakers: list[State | None] = [None] * len(urls)
        """As they were told last; None before the start, and once it is closed."""
        self._watching: list[asyncio.Task[None]] = []
        self._closed = False

    @property
    def notices(self) -> Notices:
        """How the sidecars are, together, and each of their models."""
        return self._notices

    @property
    def room(self) -> int:
        """Windows that the sidecars can be expected to answer in time, asked at once: what is more had better
        wait where turns are kept."""
        now = self._clock.monotonic()
        rooms = [one.pace.room(self._deadline_s) for one in self.replicas if one.usable(now)]
        return max(1, int(min(sum(rooms), MOST_ROOM)))

    async def start(self) -> None:
        """Begin to look at the sidecars' health; returns at once."""
        for replica in self.replicas:
            self._tell_breaker(replica, replica.breaker.state)
            task = asyncio.create_task(replica.watch(), name=f"sidecar-{replica.index}")
            self._watching.append(task)
        self._changed()

    async def classify(self, batch: Sequence[Window]) -> list[Answer]:
        """Ask about `batch`; a window that got no answer by the deadline has an error.

        Raises:
            ClassifierError: the classifier is closed.
        """
        if self._closed:
            raise ClassifierError("the remote classifier is closed")
        if not batch:
            return []
        work = Work(batch, asyncio.get_running_loop().time() + self._deadline_s)
        await self._know_somebody(work.deadline)
        await self._divide(work)
        return work.answers

    def forget(self, session: str) -> None:
        """Nothing to do: it keeps nothing by name."""

    def health(self) -> Health:
        """How the sidecars are together."""
        if self._closed:
            return Health(HealthStatus.ERROR, "closed")
        return report.whole(self._seen())

    async def aclose(self) -> None:
        """Stop looking, close every connection. Calls under way fail. Safe to call again."""
        if self._closed:
            return
        self._closed = True
        for replica in self.replicas:
            self._tell_breaker(replica, None)
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        for replica in self.replicas:
            await replica.endpoint.aclose()
        self._watching.clear()
        self._pool.wake()

    # A batch -------------------------------------------------------------------------------------------

    async def _know_somebody(self, deadline: float) -> None:
        """The first windows wait until it is known which contract a sidecar offers."""
        if self._watching and not self._looked.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._looked.wait()

    async def _divide(self, work: Work) -> None:
        """As many calls as there are to make, as many at once as there are sidecars that take them: one of
        the batch contract works on one of them after the other."""
        now, left_s = self._clock.monotonic(), work.deadline - asyncio.get_running_loop().time()
        usable = [one for one in self.replicas if one.usable(now)]
        rooms = [min(one.room(now), one.pace.room(left_s)) for one in usable]
        room = max(1, int(min(rooms, default=1)))
        takers = sum(self._calls if one.offer is None else 1 for one in usable)
        calls = min(-(-len(work.todo) // room), takers)
        if calls <= 1:
            await self._work(work)
            return
        async with asyncio.TaskGroup() as group:
            for _ in range(calls):
                group.create_task(self._work(work))

    async def _work(self, work: Work) -> None:
        """Make calls until nothing is left to ask."""
        avoid: Replica | None = None
        while work.todo:
            lease = await self._lease(work, avoid)
            if lease is None:
                return
            left_s = work.deadline - asyncio.get_running_loop().time()
            room = min(lease.room, lease.replica.pace.room(left_s))
            if not room:
                self._pool.abandon(lease)
                work.give_up("no answer in time")
                return
            taken = work.take(int(room))
            if not taken or not self._may_ask(work, taken):
                self._pool.abandon(lease)
                continue
            failure = await self._ask(lease, work, taken)
            avoid = None
            if failure is not None and failure.retriable and await self._pause(work, lease.replica, failure):
                avoid = lease.replica
                work.again(taken, failure)

    async def _lease(self, work: Work, avoid: Replica | None) -> Lease | None:
        """The right to make a call; None where there will be none, and then nothing is left to ask."""
        try:
            lease = self._pool.take(avoid)
            if lease is None:
                async with asyncio.timeout_at(work.deadline):
                    lease = await self._pool.lease(avoid)
        except (NobodyThere, TimeoutError) as error:
            work.give_up(str(error) or "no answer in time")
            return None
        return lease

    def _may_ask(self, work: Work, taken: list[int]) -> bool:
        """Whether the budget has a call for these windows; a first one it always has."""
        again = [index for index in taken if index in work.tried]
        if not again:
            self._budget.earn()
            return True
        if self._budget.spend():
            self._observer.sidecar_retry()
            return True
        for index in again:
            work.fail(index, str(work.tried[index]))
        work.todo.extendleft(index for index in reversed(taken) if index not in work.tried)
        return False

    async def _pause(self, work: Work, asked: Replica, failure: CallFailed) -> bool:
        """A moment before the same replica is asked again, none where there is another; is there time?"""
        now = self._clock.monotonic()
        if any(one is not asked and one.usable(now) for one in self.replicas):
            return True
        pause = max(PAUSE_S, failure.retry_after_s or 0.0)
        if asyncio.get_running_loop().time() + pause >= work.deadline:
            return False
        await asyncio.sleep(pause)
        return True

    async def _ask(self, lease: Lease, work: Work, taken: list[int]) -> CallFailed | None:
        """One call, and what follows from it; the failure, if it is one."""
        self._observer.sidecar_in_flight(1)
        failure: CallFailed | None = None
        settled = False
        began = asyncio.get_running_loop().time()
        try:
            windows = [work.windows[index] for index in taken]
            offer = lease.replica.offer
            if offer is not None:
                failure = await self._ask_batch(lease.replica, offer.path, work, taken, windows)
            else:
                failure = await self._ask_single(lease.replica, work, taken[0], windows[0])
            settled = True
        except CallFailed as error:
            failure, settled = error, True
            for index in taken:
                work.fail(index, str(error))
        finally:
            self._observer.sidecar_in_flight(-1)
            if settled:
                if failure is None or failure.kind is Kind.TIMEOUT:
                    took_s = asyncio.get_running_loop().time() - began
                    lease.replica.pace.took(len(taken), took_s)
                self._pool.settle(lease, failure)
                self._note(lease.replica, failure)
            else:
                self._pool.abandon(lease)
        return failure

    async def _ask_batch(
        self, replica: Replica, path: str, work: Work, taken: list[int], windows: list[Window]
    ) -> CallFailed | None:
        pieces = await replica.endpoint.post(
            path,
            batches.encode_request([_asked(window) for window in windows]),
            content_type=batches.REQUEST_TYPE,
            accept=batches.ANSWER_TYPE,
            limit=batches.MAX_ANSWER_BYTES * len(taken),
            deadline=work.deadline,
        )
        try:
            rows = await _split(pieces, len(taken))
        except MalformedBatch as error:
            raise CallFailed(Kind.MALFORMED, str(error)) from None
        bad: list[str] = []
        read = 0
        for index, row in zip(taken, rows, strict=True):
            fault = self._take_reply(work, index, row)
            if fault is not None:
                bad.append(fault)
            read += len(row)
            if read > YIELD_EVERY:
                read = 0
                await asyncio.sleep(0)
        # One bad window is that window's affair; most of them are the sidecar's.
        return CallFailed(Kind.MALFORMED, bad[0]) if 2 * len(bad) >= len(taken) and bad else None

    def _take_reply(self, work: Work, index: int, row: memoryview) -> str | None:
        """What a sidecar says of one window; what is wrong with it, if anything is."""
        try:
            reply = batches.decode_reply(row)
            if isinstance(reply, Failed):
                self._observer.sidecar_windows("refused", 1)
                work.fail(index, f"the sidecar could not: {reply.sentence}")
                return "the sidecar could not"
            self._hear(work, index, reply.events)
        except (MalformedBatch, MalformedEvent) as error:
            self._observer.sidecar_windows("malformed", 1)
            work.fail(index, f"malformed: {error}")
            return str(error)
        _keep(work.windows[index], reply)
        return None

    async def _ask_single(
        self, replica: Replica, work: Work, index: int, window: Window
    ) -> CallFailed | None:
        pieces = await replica.endpoint.post(
            single.PATH,
            [single.encode_request(window)],
            content_type=single.CONTENT_TYPE,
            accept=single.CONTENT_TYPE,
            limit=single.MAX_ANSWER_BYTES,
            deadline=work.deadline,
        )
        try:
            self._hear(work, index, single.decode_answer(b"".join(pieces)))
        except MalformedEvent as error:
            self._observer.sidecar_windows("malformed", 1)
            raise CallFailed(Kind.MALFORMED, str(error)) from None
        return None

    def _hear(self, work: Work, index: int, events: list[Any]) -> None:
        found = heard(events)
        if found.passed_over:
            self._observer.sidecar_passed_over(found.passed_over)
        work.answers[index] = found.observations

    # What people hear of it ----------------------------------------------------------------------------

    def _note(self, replica: Replica, failure: CallFailed | None) -> None:
        self._observer.sidecar_call(replica.index, "ok" if failure is None else failure.kind.value)
        if failure is not None:
            self._grumbler.grumble(replica.index, failure)
        self._follow_breaker(replica)

    def _follow_breaker(self, replica: Replica) -> None:
        if self._breakers[replica.index] is not None:
            self._tell_breaker(replica, replica.breaker.state)

    def _tell_breaker(self, replica: Replica, state: State | None) -> None:
        before, self._breakers[replica.index] = self._breakers[replica.index], state
        if before is not state:
            self._observer.sidecar_breaker(before, state)

    def _changed(self) -> None:
        """Tell what is news."""
        for replica in self.replicas:
            self._follow_breaker(replica)
        told = report.parts(self._seen())
        if any(not one.away for one in self.replicas):
            for part in self._notices.current.keys() - told.keys():
                self._notices.forget(part)
        for part, health in told.items():
            self._notices.tell(part, health)
        self._pool.wake()

    def _seen(self) -> list[report.Seen]:
        return [
            report.Seen(one.told, one.away, one.breaker.state is not State.CLOSED) for one in self.replicas
        ]


async def _split(pieces: Sequence[bytes], count: int) -> list[memoryview]:
    """The answers in there; other work has its turn in between."""
    steps = batches.splitting(pieces, count)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            rows: list[memoryview] = done.value
            return rows
        await asyncio.sleep(0)


def _asked(window: Window) -> Asked:
    state = window.state.get(STATE)
    known = isinstance(state, bytes) and len(state) <= batches.MAX_STATE_BYTES
    return Asked(
        session=pseudonym(window.session),
        samples=window.samples,
        owned=window.owned,
        end_s=window.end_s,
        hints=window.hints,
        state=state if known else None,
    )


def _keep(window: Window, reply: Told) -> None:
    if reply.state is None:
        window.state.pop(STATE, None)
    else:
        window.state[STATE] = reply.state
