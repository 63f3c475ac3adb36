"""Nodes that share tasks, moved by hand: one store of tickets in memory, and what each node does with it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.clock import ManualClock
from gateway.errors import NotFound, StoreUnavailable
from gateway.sessions.model import Session, Status
from gateway.tasks.model import State, Task
from gateway.tasks.service import TaskBounds, TaskService
from gateway.tasks.sharing import SharedDesk
from gateway.tasks.teller import Teller
from gateway.tasks.tickets import Basis, TaskTicket, Told
from gateway.tasks.worker import Material
from protocol.control import SessionConfig
from tests.gateway.sessions.kit import session
from tests.gateway.tasks.test_service import HandExecutor

SESSION = session(id="s", namespace_id="acme")


class FakeTickets:
    """As the contract has it."""

    def __init__(self) -> None:
        self.kept: dict[str, TaskTicket] = {}
        self.gone: set[str] = set()
        """Sessions that are there no more."""
        self.away = False
        self.answered = asyncio.Event()
        """Whether answers to `add` come back."""
        self.answered.set()
        self.answers = True
        """Whether they say what was done."""

    def _reached(self) -> None:
        if self.away:
            raise StoreUnavailable("away")

    async def add(self, ticket: TaskTicket, at_most: int) -> bool:
        self._reached()
        if ticket.session_id in self.gone:
            raise NotFound
        if len(await self.list(ticket.session_id)) >= at_most:
            return False
        self.kept[ticket.id] = ticket
        await self.answered.wait()
        if not self.answers:
            raise StoreUnavailable("nobody knows what was done")
        return True

    async def get(self, task_id: str) -> TaskTicket | None:
        self._reached()
        return self.kept.get(task_id)

    async def list(self, session_id: str) -> Sequence[TaskTicket]:
        self._reached()
        return [one for one in self.kept.values() if one.session_id == session_id]

    async def move(
        self, session_id: str, task_id: str, node: str, state: State, at: float, error_message: str | None
    ) -> Told:
        self._reached()
        kept = self.kept.get(task_id)
        if kept is None:
            return Told.GONE
        if kept.node != node:
            return Told.OTHERS
        self.kept[task_id] = replace(kept, state=state, updated_at=at, error_message=error_message)
        return Told.DONE

    async def adopt(self, ticket: TaskTicket, node: str, at: float) -> bool:
        self._reached()
        kept = self.kept.get(ticket.id)
        if kept is None or (kept.node, kept.state) != (ticket.node, ticket.state):
            return False
        self.kept[ticket.id] = replace(kept, node=node, state=State.QUEUED, updated_at=at)
        return True

    async def remove(self, session_id: str, task_id: str) -> bool:
        self._reached()
        return self.kept.pop(task_id, None) is not None

    async def discard(self, session_id: str) -> None:
        self._reached()
        self.kept = {name: one for name, one in self.kept.items() if one.session_id != session_id}

    async def there(self, session_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
        self._reached()
        return {one: frozenset(ticket.id for ticket in await self.list(one)) for one in session_ids}


@dataclass
class Peer:
    """One node."""

    name: str
    tickets: FakeTickets
    dead: set[str]
    """Nodes that are known to be gone."""
    clock: ManualClock = field(default_factory=ManualClock)
    executor: HandExecutor = field(default_factory=HandExecutor)
    bounds: TaskBounds = field(default_factory=TaskBounds)
    wait_s: float = 5.0
    top: int = 3
    """Number of the newest event in the sessions' records."""
    told: list[tuple[str, str]] = field(default_factory=list)
    """Task ids and states, as the sessions' logs have them."""
    read: list[Basis | None] = field(default_factory=list)
    pauses: list[asyncio.Event] = field(default_factory=list)
    """Of those who wait for the store to come back."""

    def __post_init__(self) -> None:
        self.teller = Teller(self.tickets, self.name, self._herald, self._pause)
        self.service = TaskService(
            self._read, self.teller.moved, self.clock, self.bounds, self, executor=self.executor
        )
        self.desk = SharedDesk(
            self.service,
            self.tickets,
            self.teller,
            self.name,
            self.dead.__contains__,
            self._basis,
            self.clock,
            per_session=3,
            wait_s=self.wait_s,
        )

    async def _read(self, session_id: str, basis: Basis | None) -> Material:
        self.read.append(basis)
        return Material(session(id=session_id), (), {}, False)

    async def _basis(self, of: Session) -> Basis:
        return Basis(self.top, False, Status.LIVE, SessionConfig(), {"next_sample": self.top})

    def _herald(self, task: Task) -> None:
        self.told.append((task.id, task.state))

    async def _pause(self, _: float) -> None:
        self.pauses.append(asyncio.Event())
        await self.pauses[-1].wait()

    def task(self, outcome: str, took_s: float | None) -> None:
        """A task is over."""

    async def work(self) -> None:
        """Let the loop turn, one job be done, and the loop turn."""
        await settle()
        self.executor.work()
        await settle()

    def states(self, task_id: str) -> list[str]:
        """Of one task, as its session's log has them."""
        return [state for one, state in self.told if one == task_id]


async def settle() -> None:
    """Let the loop turn."""
    for _ in range(20):
        await asyncio.sleep(0)


async def on_stage(scenario: Callable[[Peer, Peer], Awaitable[None]], **given: object) -> None:
    """Play `scenario` with two nodes; `given` is the second one's."""
    tickets, dead = FakeTickets(), set[str]()
    peers = Peer("a", tickets, dead), Peer("b", tickets, dead, **given)  # type: ignore[arg-type]
    tellers = [asyncio.create_task(one.teller.run()) for one in peers]
    try:
        await scenario(*peers)
    finally:
        for teller in tellers:
            teller.cancel()
        await asyncio.gather(*tellers, return_exceptions=True)
        for one in peers:
            closing = asyncio.create_task(one.service.aclose())
            while not closing.done():
                await settle()
                while one.executor.jobs:
                    one.executor.work()
