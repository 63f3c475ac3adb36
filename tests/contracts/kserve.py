"""The classifier that asks a model server, for the suite that every classifier passes.

The server is a small one in a thread of its own: the suite looks at the tasks that a classifier leaves.
Servers that were not written here are in `tests/e2e/test_kserve.py`.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TypeAlias

from gateway.classify.kserve.model import GateKind, InputSpec
from gateway.classify.port import Classifier
from tests.gateway.classify.kserve.kit import asking, spec
from tests.gateway.classify.kserve.peer import Infer, Peer, plain, serving, well

Factory: TypeAlias = Callable[[], AbstractAsyncContextManager[Classifier]]


@contextmanager
def aside(infer: Infer) -> Iterator[str]:
    """The URL of a server that runs in another thread."""
    ready: list[tuple[Peer, asyncio.AbstractEventLoop, asyncio.Event]] = []
    started = threading.Event()

    async def main() -> None:
        async with serving(infer) as peer:
            if infer is plain:
                peer.gets["/v2"] = (200, {"name": "peer", "extensions": []})
            over = asyncio.Event()
            ready.append((peer, asyncio.get_running_loop(), over))
            started.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert started.wait(10)
    [(peer, loop, over)] = ready
    try:
        yield peer.url
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)


def kserve(infer: Infer) -> Factory:
    """One that asks a server which answers so."""

    @asynccontextmanager
    async def made() -> AsyncIterator[Classifier]:
        model = spec(input=InputSpec(gate=GateKind.ENERGY), deadline_s=20.0)
        with aside(infer) as url:
            async with asking(url, model) as classifier:
                yield classifier

    return made


FACTORIES: dict[str, Factory] = {"kserve, binary": kserve(well), "kserve, JSON": kserve(plain)}
"""Name → what makes a started classifier, and ends it."""
