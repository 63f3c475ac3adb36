"""What transcribers share whose decoders are a pool of processes."""

import asyncio
from collections.abc import Mapping
from typing import Final

from gateway.classify.port import Health
from gateway.transcribe.pool import Pool

TICK_S: Final = 0.25
"""Seconds between two looks at deadlines."""


class PooledTranscriber:
    """The part of a `Transcriber` that is its pool's affair; whoever builds on it opens the streams."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._ticker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch deadlines."""
        if self._ticker is None:
            self._ticker = asyncio.create_task(self._tick(), name="transcriber")

    async def aclose(self) -> None:
        """End the decoders; open utterances are abandoned. May be called twice."""
        await self._look_no_more()
        await self._pool.aclose()

    def health(self) -> Health:
        """See `Pool.health`."""
        return self._pool.health()

    def decoders(self) -> Mapping[str, int]:
        """Decoder processes by state."""
        return self._pool.decoders()

    def utterances(self) -> Mapping[str, int]:
        """Utterances so far, by outcome."""
        return {str(outcome): count for outcome, count in self._pool.outcomes.items()}

    async def _look_no_more(self) -> None:
        """The end of the watch; deadlines that pass now are nobody's affair."""
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._pool.tick()
