"""Doubles over the ports: an orchestrator without a network, and the sidecars that it allocates."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gateway.classify.notices import Notices
from gateway.classify.orchestrator.client import OrchestratorError
from gateway.classify.orchestrator.grant import Grant, Sidecar
from gateway.classify.port import (
    Answer,
    Classifier,
    ClassifierError,
    Health,
    HealthStatus,
    QueueObservation,
    Window,
)

WELL = Health(HealthStatus.READY)


@dataclass(eq=False)
class FakeSidecar:
    """Answers with its URL; knows whether it may be used."""

    url: str
    fleet: "Fleet"
    token: str | None = None
    name: str = "fake"
    notices: Notices = field(default_factory=Notices)
    now: Health = WELL
    room: int | None = None
    fails: bool = False
    gate: asyncio.Event | None = None
    life: list[str] = field(default_factory=list)

    async def start(self) -> None:
        self.life.append("start")
        if self.url in self.fleet.unstartable:
            raise OSError("nobody there")

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        assert self.life[0] == "start"
        assert "close" not in self.life
        self.fleet.used(self.url)
        if self.gate is not None:
            await self.gate.wait()
        self.fleet.used(self.url)
        if self.fails:
            raise ClassifierError("told to fail")
        return [[QueueObservation(label=self.url, confidence=1.0)] for _ in batch]

    def forget(self, session: str) -> None:
        self.life.append(f"forget {session}")

    def health(self) -> Health:
        return self.now

    async def aclose(self) -> None:
        self.life.append("close")


@dataclass
class Fleet:
    """Implements `Orchestrator`; what it allocated, and to whom it says no."""

    allocated: dict[str, str] = field(default_factory=dict)
    """URL by allocation."""
    callers: list[str] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)
    sidecars: list[FakeSidecar] = field(default_factory=list)
    error: str | None = None
    broken: bool = False
    """Whether both verbs fail as nobody thought of."""
    same: tuple[str, str] | None = None
    """What is granted again and again."""
    tokens: bool = False
    """Whether each grant has a token of its own."""
    loading: set[str] = field(default_factory=set)
    keeps: int = 0
    """How many times giving back fails."""
    takes_s: float = 0.0
    made: int = 0
    unstartable: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    closed: bool = False

    async def allocate(self, caller: str, ttl_s: float) -> Grant:
        self.callers.append(caller)
        self.asked_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes_s)
        if self.error is not None:
            raise OrchestratorError(self.error)
        if self.broken:
            raise ZeroDivisionError
        self.made += 1
        if self.same is not None:
            self.allocated[self.same[0]] = self.same[1]
            return Grant(self.same[0], self._sidecar(self.same[1]))
        id, url = f"a{self.made}", f"http://sidecar-{self.made}"
        self.allocated[id] = url
        return Grant(id, self._sidecar(url))

    async def release(self, allocation_id: str) -> None:
        await asyncio.sleep(self.takes_s)
        if self.broken:
            raise ZeroDivisionError
        if self.keeps:
            self.keeps -= 1
            raise OrchestratorError("not now")
        self.gone.add(self.allocated.pop(allocation_id))

    async def aclose(self) -> None:
        self.closed = True

    def _sidecar(self, url: str) -> Sidecar:
        return Sidecar(url, f"token-{self.made}" if self.tokens else None)

    def connect(self, sidecar: Sidecar) -> Classifier:
        now = Health(HealthStatus.LOADING) if sidecar.url in self.loading else WELL
        self.sidecars.append(FakeSidecar(sidecar.url, self, now=now, token=sidecar.token))
        return self.sidecars[-1]

    def used(self, url: str) -> None:
        assert url not in self.gone, "used after it was given back"


def window(session: str = "s") -> Window:
    return Window(samples=np.zeros(16, np.int16), owned=16, end_s=1.0, state={}, session=session)
