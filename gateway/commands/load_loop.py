"""The event loop of a load run: which one, its garbage collector, and how it connects."""

import asyncio
import contextlib
import gc
import ssl
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar
from urllib.parse import urlsplit

from gateway.commands.load_wire import LoadWire

_OPEN_S = 15.0
_GC_THRESHOLD = (50_000, 20, 100)

Wire = TypeVar("Wire", bound=LoadWire)


@contextlib.contextmanager
def load_loop() -> Iterator[asyncio.Runner]:
    """A fast loop, on which garbage is looked for seldom: thousands of sessions are none.

    A pass over them all takes long.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_GC_THRESHOLD)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            yield runner
    finally:
        gc.set_threshold(*before)


async def connected(url: str, made: Callable[[], Wire]) -> Wire:
    """What was made for a connection to `url`, opened or not. Raises OSError and TimeoutError."""
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "wss" else None
    port = parts.port or (443 if secure else 80)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_OPEN_S):
        _, wire = await loop.create_connection(made, parts.hostname or "", port, ssl=secure)
        return wire


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
