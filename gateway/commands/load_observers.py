"""Read-only sockets on sessions of a load run: what they are sent is counted, and nothing more."""

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

from gateway.commands.link import reason_of
from gateway.commands.load_loop import connected
from gateway.commands.load_session import SUBPROTOCOL, Load
from gateway.commands.load_wire import LoadWire
from protocol.address import address_of
from protocol.close import CloseCode


class Observer(LoadWire):
    """One of them, on one session; as cheap as can be, so that hundreds don't use up the tool's core."""

    def __init__(self, load: Load, session_id: str) -> None:
        super().__init__()
        self._load = load
        self._tally = load.tally
        self._refused = False
        self.closed = False
        self.address = address_of(
            urlsplit(load.url)._replace(query="").geturl(), {"session_id": session_id, "role": "observer"}
        )

    def opening(self) -> tuple[str, list[str], str | None]:
        return self.address, [SUBPROTOCOL], self._load.bearer

    def received(self, message: bytes) -> None:
        self._tally.observer_messages += 1

    def refused(self, reason: str, status: int | None) -> None:
        self._refused = True
        self._tally.observer_failures[reason] += 1

    def lost(self, code: int | None) -> None:
        """It ends well with its session, or where this side ends it."""
        if code != CloseCode.NORMAL and not (self._refused or self.closed):
            self._tally.observer_failures["lost" if code is None else f"closed with {code}"] += 1

    def close(self) -> None:
        """Whatever its session does."""
        self.closed = True
        self.cut()


class Crowd:
    """All observers of a run. Who makes it closes it.

    Args:
        load: what sessions share.
        size: observers of each session.
    """

    def __init__(self, load: Load, size: int) -> None:
        self._load = load
        self._size = size
        self._observers: list[Observer] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def watch(self, session_id: str, over_s: float) -> None:
        """Let them come to this session, evenly over so many seconds: all at once would be another test."""
        task = asyncio.create_task(self._come(session_id, over_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End those that are left."""
        await _over(self._tasks)
        for one in self._observers:
            one.close()

    async def _come(self, session_id: str, over_s: float) -> None:
        for _ in range(self._size):
            try:
                self._observers.append(await self._one(session_id))
            except TimeoutError:
                self._load.tally.observer_failures["no answer in time"] += 1
            except OSError as error:
                self._load.tally.observer_failures[reason_of(error)] += 1
            await asyncio.sleep(over_s / self._size)

    async def _one(self, session_id: str) -> Observer:
        self._load.tally.observers += 1
        observer = Observer(self._load, session_id)
        return await connected(observer.address, lambda: observer)


async def _over(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
