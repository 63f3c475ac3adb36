"""The embedded classifier as it is served: in worker processes where that is right, else in threads.

How many workers, of what kind and with how many windows at a time is measured once, in the background, while
threads of this process already answer. What was chosen is logged, and kept in `plan`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.classify.acoustic import sizing, trial
from gateway.classify.acoustic.classifier import STATE, AcousticClassifier
from gateway.classify.acoustic.crew import Crew, NobodyThere
from gateway.classify.acoustic.hand import Hand, WorkerDied
from gateway.classify.acoustic.process import WorkerProcess
from gateway.classify.acoustic.sizing import Measured, Plan, Where, Wish
from gateway.classify.acoustic.slab import CAPACITY, parts
from gateway.classify.acoustic.wire import Costs, Reply, WireError
from gateway.classify.notices import Notices
from gateway.classify.port import Answer, ClassifierError, Health, HealthStatus, Window
from gateway.clock import Clock

log = logging.getLogger(__name__)

PART: Final = "classifier"
"""Its name in the notices."""

Try = Callable[[Sequence[int]], Costs]
"""Finds out, on its own thread, what a window costs in batches of these sizes."""


class EmbeddedClassifier:
    """Tone, speaker and call state by signal processing. Implements `gateway.classify.port.Classifier`.

    Args:
        cores: CPU cores that this process may use.
        make: makes a worker, which is launched here.
        measure: for threads; processes measure themselves.
    """

    name = AcousticClassifier.name

    def __init__(
        self,
        wish: Wish,
        clock: Clock,
        *,
        cores: int,
        make: Callable[[], Hand] = WorkerProcess,
        measure: Try = trial.in_thread,
    ) -> None:
        self._wish = wish
        self._cores = cores
        self._measure = measure
        self._where = sizing.where(wish, cores)
        self._here = AcousticClassifier(workers=wish.workers or cores)
        self._crew = Crew(make, clock, self._changed)
        self._notices = Notices()
        self._settling: asyncio.Task[None] | None = None
        self._closed = False
        self.plan: Plan | None = None
        """What was chosen; None until it is known."""

    # What the dispatcher and the metrics ask

    @property
    def room(self) -> int | None:
        """How many windows are worth asking about at once."""
        return self.plan.batch if self.plan is not None else self._wish.batch

    @property
    def calls(self) -> int:
        """How many batches are worth asking about side by side."""
        if self._processes:
            return self._processes
        return self.plan.workers if self.plan is not None else self._wish.workers or self._cores

    @property
    def workers(self) -> Mapping[str, int]:
        """Workers that take windows now, by kind."""
        threads = self.calls if self._threads_answer else 0
        return {Where.PROCESS.value: self._processes, Where.THREAD.value: threads}

    @property
    def workers_ended(self) -> int:
        """Worker processes that ended by themselves so far."""
        return self._crew.ended

    @property
    def notices(self) -> Notices:
        """Whether its workers are all there."""
        return self._notices

    # The port

    async def start(self) -> None:
        """Answer at once, in threads; workers are launched and measured meanwhile."""
        self._settling = asyncio.create_task(self._settle(), name="classify-sizing")

    async def classify(self, batch: Sequence[Window]) -> list[Answer]:
        """As `AcousticClassifier.classify`; a window whose worker ends is tried once more, alone.

        Raises:
            ClassifierError: the classifier is closed, or has no worker left; no state has changed.
        """
        if self._closed:
            raise ClassifierError("the acoustic classifier is closed")
        answers: list[Answer] = []
        for part in parts([len(window.samples) for window in batch]):
            answers += await self._classify(batch[part.start : part.stop])
        return answers

    def forget(self, session: str) -> None:
        """Nothing to do: it keeps nothing by name."""

    def health(self) -> Health:
        """Ready from the start, in threads; later as its workers are."""
        if self._closed:
            return Health(HealthStatus.ERROR, "closed")
        return self._notices.current.get(PART, Health(HealthStatus.READY))

    async def aclose(self) -> None:
        """End every worker. Safe to call again."""
        self._closed = True
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)
        await self._crew.aclose()
        await self._here.aclose()

    @property
    def _processes(self) -> int:
        """Worker processes that take windows: none while they are measured."""
        return 0 if self.plan is None else self._crew.ready

    # One batch

    async def _classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        if self._threads_answer:
            return await self._here.classify(batch)
        if sum(len(window.samples) for window in batch) > CAPACITY:
            return [ClassifierError("the window is too long") for _ in batch]
        try:
            return await self._asked(batch)
        except NobodyThere:
            raise ClassifierError("no worker is left") from None
        except WorkerDied:
            # Whichever window it was that it died of, if any: that one fails alone.
            return [await self._asked_again(window) for window in batch]

    @property
    def _threads_answer(self) -> bool:
        """While workers are launched and measured. Later no thread of this process tries what may have ended
        one of them."""
        if self._where is Where.THREAD:
            return True
        return not self._crew.ended and (self.plan is None or not self._crew.ready)

    async def _asked(self, batch: Sequence[Window]) -> list[Answer]:
        worker = await self._crew.lease()
        while not worker.alive:  # it has ended just now, and its owner is about to hear of it
            worker = await self._crew.lease()
        replies: Sequence[Reply] = await worker.classify(batch)
        answers: list[Answer] = []
        for window, reply in zip(batch, replies, strict=True):
            if isinstance(reply, ClassifierError):
                log.error("a window failed: %s", reply)
                answers.append(reply)
            else:
                observations, window.state[STATE] = reply
                answers.append(observations)
        return answers

    async def _asked_again(self, window: Window) -> Answer:
        try:
            (answer,) = await self._asked([window])
        except (WorkerDied, NobodyThere):
            return ClassifierError("its worker ended")
        return answer

    # How many workers

    async def _settle(self) -> None:
        """Choose, and have what was chosen."""
        try:
            measured = await (self._of_processes() if self._where is Where.PROCESS else self._of_threads())
        except (WorkerDied, NobodyThere, WireError) as error:
            log.warning("the classifier could not be measured: %s", error or "no worker")
            measured = Measured(self._cores, {})
        plan = self.plan = sizing.decide(self._wish, measured)
        if plan.where is Where.PROCESS:
            self._crew.resize(plan.workers)
        log.info(
            "how the embedded classifier works was chosen",
            extra={"kind": plan.where.value, "workers": plan.workers, "batch": plan.batch, "why": plan.why},
        )

    async def _of_threads(self) -> Measured:
        if self._wish.batch is not None:
            return Measured(self._cores, {})
        return Measured(self._cores, await asyncio.to_thread(self._measure, sizing.SIZES))

    async def _of_processes(self) -> Measured:
        """One worker by itself, and where there may be a second one, both together."""
        cores, wish = self._cores, self._wish
        several = wish.workers is None and cores > 1
        self._crew.resize(wish.workers or min(2, cores))
        if wish.workers is not None and wish.batch is not None:
            return Measured(cores, {})
        sizes = sizing.SIZES if wish.batch is None else (wish.batch,)
        held = [await self._crew.lease() for _ in range(2 if several else 1)]
        try:
            costs = await held.pop().measure(sizes)
            if not several:
                return Measured(cores, costs)
            size = sizing.batch(wish, costs)
            await held.pop().measure([size])  # as warm as the other, then
            held += [await self._crew.lease(), await self._crew.lease()]
            found = await asyncio.gather(held.pop().measure([size]), held.pop().measure([size]))
            return Measured(cores, costs, sum(one[size] for one in found) / len(found))
        finally:
            for worker in held:
                self._crew.give_back(worker)

    def _changed(self) -> None:
        """A worker came or went: told from the first that went on."""
        crew = self._crew
        if self._closed or not (crew.ended or crew.failed):
            return
        if crew.ready >= crew.size:
            health = Health(HealthStatus.READY, "every classify worker is back")
        elif not crew.ended:
            health = Health(HealthStatus.WARNING, "no classify worker gets ready: threads stand in")
        elif crew.ready or crew.loading:
            health = Health(HealthStatus.WARNING, "a classify worker ended and is being replaced")
        else:
            health = Health(HealthStatus.ERROR, "every classify worker ended")
        self._notices.tell(PART, health)
