"""Who is let in: not while the node drains, is full, or has been late for too long."""

import asyncio
import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.api.context import MOST_RETRY_S, RETRY_S, Gateway
from gateway.api.problems import Problem
from gateway.clock import ManualClock
from gateway.live.places import Places
from gateway.sessions.limits import Limits
from gateway.sessions.service import NewSession
from gateway.settings import Settings


@dataclass
class Slow:
    """A session service that takes its time, so that others come meanwhile."""

    made: int = 0

    async def create(self, wanted: NewSession, limits: Limits) -> SimpleNamespace:
        await asyncio.sleep(0)
        if wanted.user_id == "refused":
            raise LookupError
        self.made += 1
        return SimpleNamespace(session=SimpleNamespace(id=str(self.made)))


@dataclass
class Node:
    """A gateway with what admission looks at, and nothing else."""

    late_s: float = 0.0
    draining: bool = False
    places: Places = field(default_factory=lambda: Places(50, 30.0, lambda: 0, ManualClock()))
    service: Slow = field(default_factory=Slow)

    def gateway(self) -> Gateway:
        parts = {"clock", "events", "tasks", "desk", "telemetry", "origins", "readiness", "census"}
        return Gateway(
            **cast(Any, dict.fromkeys(parts)),
            settings=Settings(),
            service=cast(Any, self.service),
            live=cast(Any, self),
            lateness=lambda: self.late_s,
            draining=lambda: self.draining,
            jitter=random.Random(7),
        )

    def refusal(self) -> Problem:
        found = self.gateway().refusal_of_new()
        assert found is not None
        return found

    def retries(self) -> set[int]:
        """What a thousand clients are told to wait, in seconds."""
        gateway = self.gateway()
        found = [gateway.refusal_of_new() for _ in range(1_000)]
        return {int(problem.headers["retry-after"]) for problem in found if problem is not None}


def test_who_comes_in_time_is_let_in() -> None:
    """There is room, and windows are dispatched in time or have not been late for long."""
    assert Node(late_s=4.9).gateway().refusal_of_new() is None


@pytest.mark.parametrize(
    ("node", "code"),
    [
        (Node(draining=True), "draining"),
        (Node(late_s=5.0), "overloaded"),
        (Node(places=Places(0, 30.0, lambda: 0, ManualClock())), "overloaded"),
    ],
)
def test_there_are_three_reasons_to_refuse(node: Node, code: str) -> None:
    """Each is a 503 with its code, and says when to come back."""
    refusal = node.refusal()
    assert (refusal.status, refusal.code) == (503, code)
    assert 1 <= int(refusal.headers["retry-after"]) <= RETRY_S


def test_tasks_are_refused_by_a_node_that_goes_away_only() -> None:
    """One that is late or full still makes exports of the sessions that it has."""
    refusal = Node(draining=True).gateway().refusal_of_task()
    assert refusal is not None
    assert (refusal.status, refusal.code) == (503, "draining")
    assert Node(late_s=600.0).gateway().refusal_of_task() is None


def test_clients_come_back_spread_and_later_the_longer_it_lasts() -> None:
    """Seconds are drawn from a span that grows, and is bounded."""
    spans = [Node(late_s=late_s).retries() for late_s in (5.0, 7.5, 600.0)]
    assert spans == [set(range(1, most + 1)) for most in (RETRY_S, 8, MOST_RETRY_S)]


def test_no_more_get_in_than_may_however_many_come_at_once() -> None:
    """Places are taken before the first of them is made."""
    node = Node()
    gateway = node.gateway()

    async def main() -> list[object]:
        each = (gateway.create(NewSession()) for _ in range(200))
        return list(await asyncio.gather(*each, return_exceptions=True))

    found = asyncio.run(main())
    assert sum(isinstance(one, Problem) and one.code == "overloaded" for one in found) == 150
    assert (node.service.made, node.places.taken) == (50, 50)


def test_a_session_that_could_not_be_made_leaves_its_place() -> None:
    """As when its user has too many already."""
    node = Node()
    with pytest.raises(LookupError):
        asyncio.run(node.gateway().create(NewSession(user_id="refused")))
    assert node.places.taken == 0
