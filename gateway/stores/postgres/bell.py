"""Hears of commits elsewhere: one connection per node that listens, and readers that wait for names."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Any

from gateway.errors import StoreUnavailable, StoreUnsuitable
from gateway.stores.postgres.connection import Database
from gateway.stores.postgres.failures import DRIVER_ERRORS

log = logging.getLogger(__name__)

HEARING_S = 1.0
"""Seconds after which a reader looks by itself although nothing was told."""
DEAF_S = 0.025
"""Seconds after which it looks while nobody can tell: no listener yet or any more, or a pooler in between."""
_AGAIN_S = 1.0
"""Seconds between attempts to listen."""


class Bell:
    """Wakes readers. Listens from the first reader on, until it is closed, and again after a loss."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None
        self._opening: asyncio.Task[None] | None = None
        self._opened_at = float("-inf")
        self._waiting: dict[asyncio.Future[None], frozenset[str]] = {}

    @property
    def hears(self) -> bool:
        """Whether commits are told now."""
        return self._connection is not None and not self._connection.is_closed()

    async def close(self) -> None:
        """Listen no longer."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*DRIVER_ERRORS):
                await connection.close(timeout=1.0)

    @contextlib.asynccontextmanager
    async def expecting(self, names: Iterable[str]) -> AsyncIterator["asyncio.Future[None]"]:
        """Done once one of these streams has news, counted from here on: look after this, then wait."""
        self._listen()
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[news] = frozenset(names)
        try:
            yield news
        finally:
            del self._waiting[news]

    async def wait(self, news: "asyncio.Future[None]", at_most_s: float) -> None:
        """Return when there is news, or when it is time to look in any case."""
        patience = min(at_most_s, HEARING_S if self.hears else DEAF_S)
        await asyncio.wait((news,), timeout=max(patience, 0.0))

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        busy = self._opening is not None and not self._opening.done()
        if self._database.pooler or self.hears or busy or loop.time() - self._opened_at < _AGAIN_S:
            return
        self._opened_at = loop.time()
        self._opening = loop.create_task(self._open())

    async def _open(self) -> None:
        try:
            connection = await self._database.alone()
            try:
                await connection.add_listener(self._database.channel, self._ring)
                connection.add_termination_listener(self._lost)
            except BaseException:
                connection.terminate()
                raise
        except (StoreUnavailable, StoreUnsuitable, *DRIVER_ERRORS) as error:
            log.warning("commits elsewhere are looked for, not told: %s", type(error).__name__)
            return
        self._connection = connection
        self._wake()  # what came before the listening did

    def _ring(self, _connection: object, _pid: int, _channel: str, names: str) -> None:
        self._wake(frozenset(names.split("\n")) if names else None)

    def _lost(self, _connection: object) -> None:
        self._wake()

    def _wake(self, names: frozenset[str] | None = None) -> None:
        for news, wanted in self._waiting.items():
            if not news.done() and (names is None or not wanted.isdisjoint(names)):
                news.set_result(None)
