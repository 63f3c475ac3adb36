"""One queue of windows for all sessions: who waits, who is shed, who goes next.

Everything here is decided synchronously, with time handed in; `Scheduler` does the I/O with what was decided.
The bounds and their policies:

* a lane's waiting row: the oldest waiting window is shed;
* the capacity over all realtime lanes: the submitting lane's oldest waiting window is shed, or the new one;
* a realtime window not dispatched within the deadline is shed.

Windows taken in while their lane was lossless are never shed and count towards no capacity: the client's
credit bounds them to ten seconds of audio a session, and they take their turns like everybody's.
"""

from collections import OrderedDict
from dataclasses import dataclass

from gateway.classify.lanes import Job, Lane, Turns
from gateway.classify.lateness import Lateness


@dataclass(frozen=True, slots=True)
class Batch:
    """What was decided to be classified now."""

    items: tuple[tuple[Lane, Job], ...]
    taken_at: float


class WindowQueue:
    """The decisions. What is shed is returned: the caller gives it back to its session, which declares it.

    An operation costs about the same for each window that it moves, however many sessions there are.

    Args:
        capacity: most realtime windows waiting, over all lanes.
        deadline_s: the longest that a realtime window may wait.
    """

    def __init__(self, *, capacity: int, deadline_s: float) -> None:
        self._capacity = capacity
        self._deadline_s = deadline_s
        self._turns = Turns()
        self._unserved: OrderedDict[Lane, float] = OrderedDict()
        self._lateness = Lateness(deadline_s / 2)
        self._waiting = 0
        self._counted = 0

    @property
    def waiting(self) -> int:
        """Windows waiting, over all lanes."""
        return self._waiting

    @property
    def ready(self) -> int:
        """Lanes that could go into a batch now."""
        return len(self._turns)

    def late_for(self, now: float) -> float:
        """For how many seconds without interruption the queue has been late.

        It is late where a realtime session with windows waiting has had none dispatched for half the deadline
        (that its oldest ones are shed meanwhile changes nothing), and where windows pass the deadline.
        """
        self._lateness.note(self._waits_since(), now)
        return self._lateness.seconds(now)

    def submit(self, lane: Lane, job: Job) -> list[Job]:
        """Let `job` wait in `lane`; returns the windows shed to make room, oldest first."""
        if lane.closed:
            return [job]
        lane.waiting.append(job)
        self._waiting += 1
        shed: list[Job] = []
        while lane.depth is not None and lane.sheddable > lane.depth:
            shed.append(self._shed(lane))
        self._recount(lane)
        while lane.counted and self._counted > self._capacity:
            shed.append(self._shed(lane))
        self._enrol(lane)
        self._await(lane, job.arrived)
        return shed

    def take(self, limit: int, now: float) -> tuple[Batch, list[Job]]:
        """The next batch of at most `limit` windows, and those whose deadline has passed."""
        self._lateness.note(self._waits_since(), now)
        items: list[tuple[Lane, Job]] = []
        late: list[Job] = []
        while self._turns and len(items) < limit:
            lane = self._turns.next()
            job = self._next(lane, now, late)
            self._unserved.pop(lane, None)
            self._await(lane, now)
            if job is None:
                self._turns.back(lane)
            else:
                lane.in_flight = job
                items.append((lane, job))
        if late:
            self._lateness.note(late[0].arrived, now)
        return Batch(tuple(items), now), late

    def finish(self, lane: Lane) -> None:
        """The lane's window in flight came back, whatever became of it."""
        lane.in_flight = None
        self._enrol(lane)
        self._turns.back(lane)

    def close(self, lane: Lane) -> list[Job]:
        """Take the lane out; returns the windows that were still waiting, oldest first."""
        lane.closed = True
        left = [self._pop(lane) for _ in range(len(lane.waiting))]
        self._turns.remove(lane)
        self._unserved.pop(lane, None)
        return left

    def _next(self, lane: Lane, now: float, late: list[Job]) -> Job | None:
        while lane.waiting:
            patient = lane.depth is None or lane.owed > 0
            job = self._pop(lane)
            if patient or now - job.arrived <= self._deadline_s:
                return job
            late.append(job)
        return None

    def _pop(self, lane: Lane) -> Job:
        """The oldest."""
        job = lane.waiting.pop(0)
        lane.owed = max(0, lane.owed - 1)
        self._waiting -= 1
        self._recount(lane)
        return job

    def _shed(self, lane: Lane) -> Job:
        """The oldest that may be."""
        job = lane.waiting[lane.owed]
        del lane.waiting[lane.owed]
        self._waiting -= 1
        self._recount(lane)
        return job

    def _recount(self, lane: Lane) -> None:
        """Book what the lane holds of the capacity; its delivery may have changed since the last time."""
        counted = lane.sheddable
        self._counted += counted - lane.counted
        lane.counted = counted

    def _enrol(self, lane: Lane) -> None:
        if lane.waiting and lane.in_flight is None and not lane.closed:
            self._turns.add(lane)

    def _await(self, lane: Lane, now: float) -> None:
        """Remember since when a realtime lane waits. Time only grows: the first has waited longest."""
        if lane.sheddable:
            self._unserved.setdefault(lane, now)

    def _waits_since(self) -> float | None:
        while self._unserved:
            lane, since = next(iter(self._unserved.items()))
            if lane.sheddable:
                return since
            del self._unserved[lane]  # it has become lossless, and waits as long as it takes
        return None
