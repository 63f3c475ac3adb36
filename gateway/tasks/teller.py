"""How this node's tasks stand, told to the store first and then in their sessions' logs: whoever hears there
that a task is ready gets its result on any node."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.tasks.model import State, Task
from gateway.tasks.tickets import TaskTickets, Told

log = logging.getLogger(__name__)

PAUSE_S: Final = 1.0
"""Before a store that is away is tried again."""


@dataclass(slots=True)
class _News:
    session_id: str
    task_id: str | None = None
    """None: all of the session are gone."""
    task: Task | None = None
    """None: it is removed."""
    heralded: bool = False


class Teller:
    """Tells in the order in which things happened. While the store is away the logs are told at once, and of
    each task the store gets the last state when it is back: no more waits here than there are tasks.

    Args:
        herald: says in the session's log what became of a task.
    """

    def __init__(
        self,
        tickets: TaskTickets,
        node_id: str,
        herald: Callable[[Task], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._tickets = tickets
        self._node_id = node_id
        self._herald = herald
        self._sleep = sleep
        self._queue: deque[_News] = deque()
        self._news = asyncio.Event()
        self.on_gone: Callable[[str], None] = lambda _: None
        """Told of a task that was removed on another node."""

    def moved(self, task: Task) -> None:
        """A task of this node has a new state. Of one that is queued the ticket says so already."""
        if task.state is State.QUEUED:
            self._herald(task)
        else:
            self._add(_News(task.session_id, task.id, task))

    def removed(self, session_id: str, task_id: str) -> None:
        """A task is to be forgotten."""
        self._add(_News(session_id, task_id))

    def discarded(self, session_id: str) -> None:
        """All tasks of a session are to be forgotten."""
        self._add(_News(session_id))

    async def run(self) -> None:
        """Tell what there is, until cancelled."""
        while True:
            await self._news.wait()
            try:
                await self._tell(self._queue[0])
            except StoreUnavailable:
                self._keep_the_last()
                await self._sleep(PAUSE_S)
                continue
            except Exception:
                log.exception("the store could not be told of a task")
            self._queue.popleft()
            if not self._queue:
                self._news.clear()

    def _add(self, news: _News) -> None:
        self._queue.append(news)
        self._news.set()

    async def _tell(self, news: _News) -> None:
        task = news.task
        if news.task_id is None:
            await self._tickets.discard(news.session_id)
        elif task is None:
            await self._tickets.remove(news.session_id, news.task_id)
        else:
            told = await self._tickets.move(
                task.session_id, task.id, self._node_id, task.state, task.updated_at, task.error_message
            )
            if told is not Told.OTHERS:  # who adopted it tells of it
                self._say(news)
            if told is Told.GONE:
                self.on_gone(task.id)

    def _keep_the_last(self) -> None:
        last: dict[tuple[str, str | None], _News] = {}
        for news in self._queue:
            self._say(news)
            last[news.session_id, news.task_id] = news
        self._queue = deque(last.values())

    def _say(self, news: _News) -> None:
        if news.task is None or news.heralded:
            return
        news.heralded = True
        try:
            self._herald(news.task)
        except Exception:
            log.exception("a task's end could not be told")
