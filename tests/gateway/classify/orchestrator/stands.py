"""A classifier over doubles, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from gateway.classify.orchestrator.classifier import PART, OrchestratedClassifier
from gateway.classify.port import Answer, ClassifierError, Health, QueueObservation
from tests import virtual_time
from tests.gateway.classify.orchestrator.sidecars import FakeSidecar, Fleet, window
from tests.virtual_time import VirtualLoop

TTL_S = 100.0
EMBEDDED = "embedded"


class Stand:
    """A classifier under test, its orchestrator, and its fallback."""

    def __init__(self, clock: VirtualLoop, per_session: bool) -> None:
        self.clock = clock
        self.fleet = Fleet()
        self.outcomes: Counter[str] = Counter()
        self.fallback = FakeSidecar(EMBEDDED, self.fleet)
        self.classifier = OrchestratedClassifier(
            self.fleet,
            self.fleet.connect,
            self.fallback,
            clock,
            per_session=per_session,
            ttl_s=TTL_S,
            on_outcome=lambda outcome: self.outcomes.update([outcome]),
        )
        self.told: list[tuple[str, Health]] = []
        self.classifier.notices.listen(lambda part, health: self.told.append((part, health)))

    async def hear(self, *sessions: str) -> list[str]:
        """Who answered each window; `-` where nobody did."""
        answers = await self.classifier.classify([window(session) for session in sessions])
        assert len(answers) == len(sessions)
        return [_who(answer) for answer in answers]

    @property
    def statuses(self) -> list[str]:
        """Of the allocation, as told."""
        return [health.status.value for part, health in self.told if part == PART]


def _who(answer: Answer) -> str:
    if isinstance(answer, ClassifierError):
        return "-"
    (one,) = answer
    assert isinstance(one, QueueObservation)
    return one.label


def run(scenario: Callable[[Stand], Awaitable[None]], *, per_session: bool = False) -> Stand:
    """Play it; at the end everything is closed."""
    stands: list[Stand] = []

    async def steps(loop: VirtualLoop) -> None:
        stand = Stand(loop, per_session)
        stands.append(stand)
        await stand.classifier.start()
        try:
            await scenario(stand)
        finally:
            await stand.classifier.aclose()
            await stand.classifier.aclose()
        assert stand.fleet.closed
        assert stand.fallback.life[-1] == "close"
        assert all(one.life[-1] == "close" for one in stand.fleet.sidecars)

    virtual_time.run(steps)
    return stands[0]


async def settled() -> None:
    """What takes no time is over."""
    await asyncio.sleep(0.1)
