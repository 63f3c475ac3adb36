"""Tasks that any node can be asked for: their tickets are in the store, their results where they were made.

A result is not passed on but made again, out of the same: by a node that is asked for one that is ready, and
by a node that finds a task whose node is gone, and goes on with it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.sessions.model import Session
from gateway.tasks.model import Recipe, State, Task, TaskLimit, TaskNotFound, TaskNotReady
from gateway.tasks.recipes import recipe as recipe_of
from gateway.tasks.service import RETRY_S, TaskService
from gateway.tasks.story import Story
from gateway.tasks.teller import Teller
from gateway.tasks.tickets import Basis, TaskTicket, TaskTickets
from protocol.errors import ProtocolError

log = logging.getLogger(__name__)

WAIT_S: Final = 20.0
"""Seconds that a request waits for a result which is made again here."""
LOOK_S: Final = 10.0
"""Seconds between two looks at whether what is held here is still wanted."""
_AT_ONCE: Final = 500
"""Sessions in one such look."""


class SharedDesk:
    """See `gateway.tasks.desk.TaskDesk`.

    Args:
        is_gone: whether a node is known not to be there any more.
        basis_of: out of what a task of a session is made that is taken on now.
        per_session: tasks of one session on all nodes, those that are over included.
    """

    def __init__(
        self,
        service: TaskService,
        tickets: TaskTickets,
        teller: Teller,
        node_id: str,
        is_gone: Callable[[str], bool],
        basis_of: Callable[[Session], Awaitable[Basis]],
        clock: Clock,
        *,
        per_session: int,
        wait_s: float = WAIT_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._service = service
        self._tickets = tickets
        self._teller = teller
        self._node_id = node_id
        self._is_gone = is_gone
        self._basis_of = basis_of
        self._clock = clock
        self._per_session = per_session
        self._wait_s = wait_s
        self._sleep = sleep
        self._taking: set[str] = set()
        """Ids of tasks that have a ticket and are about to be taken on here."""
        teller.on_gone = service.drop

    # Asking -----------------------------------------------------------------------------------------------

    async def submit(self, session: Session, recipe: Recipe) -> Task:
        self._service.check_queue(session.namespace_id)
        basis = await self._basis_of(session)
        task = self._service.draft(session.id, recipe)
        ticket = TaskTicket(
            id=task.id,
            session_id=session.id,
            namespace_id=session.namespace_id,
            type=recipe.type,
            options=recipe.options,
            basis=basis,
            created_at=task.created_at,
            updated_at=task.updated_at,
            node=self._node_id,
        )
        self._taking.add(task.id)
        try:
            if not await self._tickets.add(ticket, self._per_session):
                told = f"this session has {self._per_session} tasks, as many as allowed: delete one"
                raise TaskLimit(told, RETRY_S)
            return self._service.take(task, session.namespace_id, basis)
        except BaseException:
            self._teller.removed(session.id, task.id)  # it may be there, whatever went wrong
            raise
        finally:
            self._taking.discard(task.id)

    async def session_of(self, task_id: str) -> str:
        held = self._service.find(task_id)
        if held is not None:
            return held.session_id
        ticket = await self._tickets.get(task_id)
        if ticket is None:
            raise TaskNotFound
        return ticket.session_id

    async def get(self, task_id: str) -> Task:
        ticket = await self._look(task_id)
        return self._service.get(task_id) if ticket is None else self._shown(await self._mind(ticket))

    async def list(self, session_id: str, state: State | None = None) -> Sequence[Task]:
        before = self._service.held().get(session_id, ())
        tickets = await self._tickets.list(session_id)
        self._drop_others(before, {ticket.id for ticket in tickets})
        tasks = [self._shown(await self._mind(ticket)) for ticket in tickets]
        return [task for task in tasks if state is None or task.state is state]

    async def pending(self, session_id: str) -> int:
        try:
            return sum(not ticket.over for ticket in await self._tickets.list(session_id))
        except StoreUnavailable:
            return self._service.pending(session_id)

    async def fetch(self, task_id: str) -> None:
        ticket = await self._look(task_id)
        held = self._service.find(task_id)
        if ticket is None or (held is not None and held.result_available):
            return
        if ticket.state is State.READY:
            self._copy(ticket)
        elif ticket.over or not self._is_orphan(ticket):
            raise TaskNotReady(ticket.state if held is None else held.state)
        else:
            await self._adopt(ticket)
        await self._service.settled(task_id, self._wait_s)
        held = self._service.find(task_id)
        if held is not None and held.state is State.FAILED and ticket.state is State.READY:
            self._service.drop(task_id)  # the next who asks may have more luck
            raise TaskLimit(held.error_message or "the result could not be made again", RETRY_S)

    # Ending -----------------------------------------------------------------------------------------------

    async def remove(self, task_id: str) -> Task:
        ticket = await self._look(task_id)
        held = self._service.find(task_id)
        if held is not None and (ticket is None or ticket.node == self._node_id):
            task = self._service.remove(task_id)
            await self._tell_end(held, task)
            return task
        assert ticket is not None  # or it is held
        await self._tickets.remove(ticket.session_id, task_id)
        self._service.drop(task_id)
        shown = _task(ticket)
        if ticket.over:
            return shown
        return replace(shown, state=State.CANCELLED, updated_at=self._clock.time())

    async def forget(self, session_id: str) -> None:
        self._service.discard(session_id)
        try:
            await self._tickets.discard(session_id)
        except StoreUnavailable:
            self._teller.discarded(session_id)

    def discard(self, session_id: str) -> None:
        self._service.discard(session_id)
        self._teller.discarded(session_id)

    async def run(self) -> None:
        """Forget, again and again, what was removed on other nodes, until cancelled."""
        while True:
            await self._sleep(LOOK_S)
            with contextlib.suppress(StoreUnavailable):
                await self.look_around()

    async def look_around(self) -> None:
        """Forget what was removed on other nodes, or went with its session.

        Raises:
            StoreUnavailable: that can't be known now.
        """
        held = self._service.held()
        sessions = list(held)
        for place in range(0, len(sessions), _AT_ONCE):
            some = sessions[place : place + _AT_ONCE]
            there = await self._tickets.there(some)
            for session_id in some:
                self._drop_others(held[session_id], there.get(session_id, frozenset()))

    # Within -----------------------------------------------------------------------------------------------

    async def _look(self, task_id: str) -> TaskTicket | None:
        """The ticket; None where the store is away, and the task is held here.

        Raises:
            TaskNotFound: there is none, here neither.
        """
        try:
            ticket = await self._tickets.get(task_id)
        except StoreUnavailable:
            if self._service.find(task_id) is None:
                raise
            return None
        if ticket is None:
            self._service.drop(task_id)
            raise TaskNotFound
        return ticket

    def _shown(self, ticket: TaskTicket) -> Task:
        """The task as this node knows it best."""
        held = self._service.find(ticket.id)
        if held is not None and (ticket.node == self._node_id or held.result_available):
            return held
        return _task(ticket)

    def _is_orphan(self, ticket: TaskTicket) -> bool:
        """Whether nobody works on a task that is not over."""
        if ticket.over or ticket.id in self._taking:
            return False
        if ticket.node == self._node_id:
            return self._service.find(ticket.id) is None
        return self._is_gone(ticket.node)

    async def _mind(self, ticket: TaskTicket) -> TaskTicket:
        """Go on with the task where nobody does, if that can be done; the ticket as it is then."""
        if self._is_orphan(ticket):
            with contextlib.suppress(TaskLimit, TaskNotReady):
                return await self._adopt(ticket)
        return ticket

    async def _adopt(self, ticket: TaskTicket) -> TaskTicket:
        """Work on it from now on.

        Raises:
            TaskNotReady: another node was quicker, or this one doesn't know how that is made.
            TaskLimit: too many wait here already.
        """
        task = _workable(ticket, self._clock.time())
        self._service.check_queue(ticket.namespace_id)
        if not await self._tickets.adopt(ticket, self._node_id, task.updated_at):
            raise TaskNotReady(ticket.state)
        log.info("adopted a task", extra={"task_type": ticket.type, "node": ticket.node[:8]})
        held = self._service.find(ticket.id)
        if held is not None and held.over and not held.result_available:
            self._service.drop(ticket.id)
            held = None
        if held is None:
            self._service.take(task, ticket.namespace_id, ticket.basis)
        else:
            self._teller.moved(held)
        return replace(ticket, node=self._node_id, state=State.QUEUED, updated_at=task.updated_at)

    def _copy(self, ticket: TaskTicket) -> None:
        """Make the result here, too, if nobody has begun to.

        Raises:
            TaskNotReady: this node doesn't know how that is made.
            TaskLimit: too many wait here already.
        """
        if self._service.find(ticket.id) is None:
            task = _workable(ticket, self._clock.time())
            self._service.take(task, ticket.namespace_id, ticket.basis, copy=True)

    async def _tell_end(self, before: Task, task: Task) -> None:
        """Have other nodes know it before this one's answer; where the store is away, when it is back."""
        try:
            if before.over:
                await self._tickets.remove(task.session_id, task.id)
            else:
                state, at = task.state, task.updated_at
                await self._tickets.move(task.session_id, task.id, self._node_id, state, at, None)
        except StoreUnavailable:
            if before.over:
                self._teller.removed(task.session_id, task.id)

    def _drop_others(self, held: Sequence[str], wanted: "frozenset[str] | set[str]") -> None:
        for task_id in held:
            if task_id not in wanted:
                self._service.drop(task_id)


def _task(ticket: TaskTicket) -> Task:
    """The task of a ticket, to be shown."""
    try:
        recipe = recipe_of(ticket.type, ticket.options)
    except ProtocolError:  # of a newer gateway
        recipe = Recipe(ticket.type, ticket.options, _nothing, "application/octet-stream", "bin")
    return Task(
        id=ticket.id,
        session_id=ticket.session_id,
        recipe=recipe,
        state=ticket.state,
        created_at=ticket.created_at,
        updated_at=ticket.updated_at,
        progress=float(ticket.state is State.READY),
        error_message=ticket.error_message,
    )


def _workable(ticket: TaskTicket, now: float) -> Task:
    """The task, to be done from its beginning."""
    task = _task(ticket)
    if task.recipe.write is _nothing:
        raise TaskNotReady(ticket.state)
    return replace(task, state=State.QUEUED, updated_at=now, progress=0.0, error_message=None)


def _nothing(_: Story) -> Iterator[bytes]:
    return iter(())
