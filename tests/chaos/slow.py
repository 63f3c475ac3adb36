"""A classifier as slow, as stuck or as broken as a test wants it, around one that is well."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.classify.notices import Notices
from gateway.classify.port import (
    SAMPLE_RATE,
    Answer,
    Classifier,
    ClassifierError,
    Health,
    Window,
)


class Trouble(StrEnum):
    """What keeps a classifier from answering."""

    STUCK = "stuck"
    """No answer, ever."""
    FAILS = "fails"
    """Each call raises `ClassifierError`."""


@dataclass(frozen=True, slots=True)
class Cost:
    """How long a call takes."""

    call_s: float = 0.0
    """Seconds for any call."""
    audio: float = 0.0
    """Seconds for each second of audio that no window before has covered: 1 / sessions is just in time."""

    @classmethod
    def times_slower(cls, factor: float, sessions: int) -> "Cost":
        """So slow that `sessions` live ones send `factor` times as much audio as can be classified.

        One call at a time is meant: UNDERTONE_CLASSIFY_WORKERS=1.
        """
        return cls(audio=factor / sessions)

    def of(self, batch: Sequence[Window]) -> float:
        """Seconds that `batch` takes."""
        return self.call_s + self.audio * sum(window.owned for window in batch) / SAMPLE_RATE


@dataclass(slots=True)
class SlowClassifier:
    """Asks `inner`, and withholds its answer for as long as the call should take.

    While `trouble` is set nothing is answered. Calls that are stuck stay so when it is taken away, like those
    to a process that hung.
    """

    inner: Classifier
    cost: Cost = Cost()
    trouble: Trouble | None = None
    name: str = field(default="slow", init=False)

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        """What `inner` says, late.

        Raises:
            ClassifierError: it is in trouble.
        """
        match self.trouble:
            case Trouble.STUCK:
                await asyncio.Event().wait()
            case Trouble.FAILS:
                raise ClassifierError("told to fail")
        delay = asyncio.sleep(self.cost.of(batch))
        answers, _ = await asyncio.gather(self.inner.classify(batch), delay)
        return answers

    @property
    def notices(self) -> Notices:
        return self.inner.notices

    async def start(self) -> None:
        await self.inner.start()

    def forget(self, session: str) -> None:
        self.inner.forget(session)

    def health(self) -> Health:
        return self.inner.health()

    async def aclose(self) -> None:
        await self.inner.aclose()
