"""Histories as they should be, made up: a session, its client, and a network that loses sockets anywhere.

Whatever the random choices, a `History` that is written so must add up. Nothing of the gateway or of the
client is used, so what the ledger takes for right is not simply what they do.
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from protocol.close import NO_CLOSE_FRAME
from protocol.errors import ErrorCode
from protocol.events import DurableEvent, Error, Flow, FlowState, Gap, GapReason
from tests.chaos.history import History, Visit
from tests.protocol.loopback import FLOW, SUMMARY, TONE, WELCOME

WINDOW = 1_000
"""Samples."""
LOST = (GapReason.OVERLOAD, GapReason.CLASSIFIER)


@dataclass(slots=True)
class _Session:
    """The server's side, in numbers."""

    log: list[DurableEvent] = field(default_factory=list)
    oldest: int = 1
    next_sample: int = 0
    partial: int = 0
    """Where the window that is not full yet begins."""
    gaps: Counter[GapReason] = field(default_factory=Counter)

    def say(self, event: DurableEvent) -> None:
        self.log.append(replace(event, seq=len(self.log) + 1))

    def receive(self, samples: int, rng: random.Random) -> None:
        self.next_sample += samples
        while self.next_sample - self.partial >= WINDOW:
            self.settle(self.partial + WINDOW, rng)

    def settle(self, end: int, rng: random.Random) -> None:
        """A window, or what there is of it, is classified or lost."""
        start, self.partial = self.partial, end
        if start == end:
            return
        if rng.random() < 0.7:
            self.say(replace(TONE, start_sample=start, end_sample=end))
        else:
            self.gap(start, end, rng.choice(LOST))

    def gap(self, start: int, end: int, reason: GapReason) -> None:
        self.gaps[reason] += end - start
        self.say(Gap(seq=0, session_id="s", timestamp=0.0, start_sample=start, end_sample=end, reason=reason))

    def skip(self, sample: int, rng: random.Random) -> None:
        self.settle(self.next_sample, rng)
        self.gap(self.next_sample, sample, GapReason.CLIENT)
        self.next_sample = self.partial = sample

    def counts(self) -> dict[str, int]:
        gap, client = self.gaps.total(), self.gaps[GapReason.CLIENT]
        pending = self.next_sample - self.partial
        return {
            "next_sample": self.next_sample,
            "classified_samples": self.next_sample - gap - pending,
            "gap_samples": gap,
            "client_gap_samples": client,
            "received_samples": self.next_sample - client,
            "pending_samples": pending,
        }

    def flow(self) -> Flow:
        counts = self.counts()
        return replace(
            FLOW,
            received=counts["received_samples"],
            classified=counts["classified_samples"],
            limit=None,
            state=FlowState.OK,
        )

    def end(self, rng: random.Random) -> None:
        self.settle(self.next_sample, rng)
        events = Counter(event.type for event in self.log)
        account: dict[str, Any] = {**self.counts(), "events": {**events, "summary": 1}}
        self.say(replace(SUMMARY, **account))


class Scribe:
    """Writes one history.

    Args:
        forgets: whether the server's log is so short that some events can't be replayed.
    """

    def __init__(self, rng: random.Random, *, forgets: bool = True) -> None:
        self._rng = rng
        self._forgets = forgets
        self._session = _Session()
        self._history = History()
        self._last: int | None = None
        self._visit = Visit()
        self._read = 0

    def write(self, sockets: int, *, refused: bool = False) -> History:
        """A session over so many sockets that ends with its summary, or with a refusal to go on."""
        for left in range(sockets - 1, -1, -1):
            self._open()
            for _ in range(self._rng.randrange(8)):
                self._rng.choice((self._talk, self._talk, self._skip, self._look, self._hear))()
            if left:
                self._lose()
        if refused:
            self._refuse()
        else:
            self._end()
        return self._history

    def _open(self) -> None:
        session = self._session
        self._visit = self._history.visit(self._last, "e" if self._last is not None else None)
        after = self._last or 0
        if self._forgets and self._rng.random() < 0.2:
            session.oldest = max(session.oldest, self._rng.randrange(len(session.log) + 1) + 1)
        recovered = session.oldest <= after + 1
        self._read = after if recovered else session.oldest - 1
        replays = self._read < len(session.log)
        self._visit.heard(
            replace(
                WELCOME,
                epoch="e",
                recovered=recovered,
                next_seq=len(session.log) + 1,
                next_sample=session.next_sample,
                replay_from=self._read + 1 if replays else None,
                replay_to=len(session.log) if replays else None,
            )
        )
        self._last = after

    def _talk(self, arrives: float = 1.0) -> None:
        """Some audio, of which a part arrives."""
        samples = self._rng.randint(1, 2 * WINDOW)
        self._visit.audio(bytes(2 * samples))
        self._session.receive(round(samples * arrives), self._rng)

    def _skip(self) -> None:
        to = self._session.next_sample + self._rng.randint(1, WINDOW)
        self._visit.position(to)
        self._session.skip(to, self._rng)

    def _look(self) -> None:
        self._history.counts.append(self._session.counts())
        self._visit.heard(self._session.flow())

    def _hear(self) -> None:
        """Some of what waits to be read."""
        waiting = self._session.log[self._read :]
        for event in waiting[: self._rng.randint(0, len(waiting))]:
            self._visit.heard(event)
            self._read = self._last = event.seq

    def _lose(self) -> None:
        self._talk(arrives=self._rng.random())
        self._visit.closed(NO_CLOSE_FRAME)

    def _hear_all(self) -> None:
        while self._read < len(self._session.log):
            self._hear()

    def _end(self) -> None:
        self._session.end(self._rng)
        self._hear_all()
        self._visit.closed(1000)

    def _refuse(self) -> None:
        self._hear_all()
        self._visit.heard(Error(code=ErrorCode.REPLACED, message="another socket", fatal=True))
        self._visit.closed(4005)
