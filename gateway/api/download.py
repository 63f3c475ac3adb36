"""A task's result on its way to somebody: it counts until they have it, and ends with its session."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeAlias

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.hangup import hang_up
from gateway.tasks.model import Result

Open: TypeAlias = Callable[[Callable[[], None]], AbstractContextManager[Result]]
"""Begins to read a result, given what is to be called if that has to stop."""


class Download(StreamingResponse):
    """The pieces one after the other, as the reader takes them; nothing is copied for a slow one.

    Where it has to stop, it is left incomplete, and the connection ends.
    """

    def __init__(self, open_result: Open, headers: Mapping[str, str]) -> None:
        super().__init__(_pieces(()), headers=headers)
        self._open = open_result

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                with self._open(lambda: limit.reschedule(loop.time())) as result:
                    self.body_iterator = pieces = _pieces(result.chunks)
                    del result
                    try:
                        await super().__call__(scope, receive, send)
                    finally:
                        # What ends early leaves a traceback, which would keep the result until collected.
                        await pieces.aclose()
        except TimeoutError:
            if not limit.expired():
                raise
            hang_up(scope)


async def _pieces(chunks: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    for chunk in chunks:
        yield chunk
