"""The longest turn that a backend takes on the event loop, in the CPU time of its thread.

    python -m benchmarks.stalls

Every classifier of the contract suite is asked about batches of 64 windows of speech, one after the other,
then four at a time. Sidecars that answer the worst that may come are asked as well, over both contracts, and
model servers.
While that lasts nothing else runs there, so the longest turn is how late everybody else may be. CPU time,
since what the neighbours of this process do is not the backend's; asyncio's own loop, as uvloop's turns can't
be watched. Of three passes the best one counts, as whatever else runs here only adds. Servers stand aside, in
other threads or processes.
"""

import asyncio
import gc
import logging
import threading
import time
from asyncio.events import Handle
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import cache

import numpy as np
import numpy.typing as npt

from benchmarks.rows import Row, table
from gateway.classify.port import SAMPLE_RATE, Classifier, Window
from gateway.classify.remote.classifier import RemoteClassifier
from gateway.commands.load import speech_like
from tests.contracts.classifiers import FACTORIES
from tests.contracts.kserve import aside as model_server
from tests.gateway.classify.kserve.kit import asking, spec
from tests.gateway.classify.kserve.peer import Infer, saying
from tests.gateway.classify.kserve.test_classifier import BAD_ANSWERS
from tests.gateway.classify.remote.test_bad_answers import BATCH, SINGLE
from tests.sidecars.hostile import Behave, hostile

BAR_MS = 5.0
SIZE, BATCHES, AT_ONCE = 64, 8, 4
HOSTILE_BATCHES = 2
PIECEMEAL: dict[str, Infer] = {
    "a byte at a time": saying(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000
    ),
    "interim answers without end": saying(b"HTTP/1.1 103 Hints\r\n\r\n" * 50_000),
    "header fields without end": saying(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000),
}
PASSES = 3


def rows() -> list[Row]:
    """Every backend; takes about a minute and a half."""
    logging.getLogger("gateway").setLevel(logging.CRITICAL)  # what is wrong with the bad answers is known
    _cuts()
    found = [Row(f"{name}: longest turn", _honest(make), "ms of CPU") for name, make in FACTORIES.items()]
    for contract, behaviours in (("batch", BATCH), ("single", SINGLE)):
        worst = {
            name: _hostile(behave, batch=contract == "batch") for name, (behave, _) in behaviours.items()
        }
        found.append(_worst(f"bad answers, {contract} contract", worst))
    asked = {name: _hostile_model(infer) for name, infer in {**BAD_ANSWERS, **PIECEMEAL}.items()}
    found.append(_worst("bad answers, kserve", asked))
    bar = Row("the bar", BAR_MS, "ms")
    return [bar, *(Row(row.name, row.value, row.unit, bar.name, row.value / BAR_MS) for row in found)]


def _worst(name: str, found: dict[str, float]) -> Row:
    which = max(found, key=lambda one: found[one])
    return Row(f"{name} ({which})", found[which], "ms of CPU")


def _honest(make: Callable[[], AbstractAsyncContextManager[Classifier]]) -> float:
    async def scenario(begin: Callable[[], None]) -> None:
        async with make() as classifier:
            await classifier.classify(_windows(1))
            begin()
            for _ in range(BATCHES):
                await classifier.classify(_windows(SIZE))
            await asyncio.gather(*(classifier.classify(_windows(SIZE)) for _ in range(AT_ONCE)))

    return _longest(scenario)


def _hostile(behave: Behave, *, batch: bool) -> float:
    async def scenario(begin: Callable[[], None]) -> None:
        async with _aside(behave, batch=batch) as url:
            classifier = RemoteClassifier([url], deadline_s=2.0)
            await classifier.start()
            begin()
            for _ in range(HOSTILE_BATCHES):
                await classifier.classify(_windows(SIZE if batch else 4))
            await classifier.aclose()

    return _longest(scenario)


def _hostile_model(infer: Infer) -> float:
    async def scenario(begin: Callable[[], None]) -> None:
        with model_server(infer) as url:
            async with asking(url, spec(deadline_s=2.0)) as classifier:
                begin()
                await classifier.classify(_windows(32))

    return _longest(scenario)


@asynccontextmanager
async def _aside(behave: Behave, *, batch: bool) -> AsyncIterator[str]:
    """The URL of a sidecar in a thread of its own that behaves so."""
    over, url = threading.Event(), asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    async def serve() -> None:
        async with hostile(offers_batch=batch, most=SIZE) as sidecar:
            sidecar.behave = behave
            loop.call_soon_threadsafe(url.set_result, sidecar.url)
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield await url
    finally:
        over.set()
        await asyncio.to_thread(thread.join)


@cache
def _cuts() -> list[npt.NDArray[np.int16]]:
    """Seconds of speech."""
    speech = np.frombuffer(speech_like(SAMPLE_RATE), np.int16)
    starts = range(0, len(speech) - SAMPLE_RATE, SAMPLE_RATE // 2)
    return [speech[start : start + SAMPLE_RATE] for start in starts]


def _windows(count: int) -> list[Window]:
    cuts = _cuts()
    return [
        Window(cuts[number % len(cuts)], SAMPLE_RATE, 1.0, {}, f"{number:022}") for number in range(count)
    ]


# Turns ----------------------------------------------------------------------------------------------------


def _longest(scenario: Callable[[Callable[[], None]], Coroutine[None, None, None]]) -> float:
    """Milliseconds of CPU of the longest callback after the scenario said `begin`."""
    longest = []
    for _ in range(PASSES):
        gc.collect()
        with _watched() as turns:
            asyncio.run(scenario(turns.clear))
        longest.append(max(turns, default=0.0) * 1e3)
    return min(longest)


@contextmanager
def _watched() -> Iterator[list[float]]:
    """CPU seconds of each callback that this thread's event loop runs."""
    turns: list[float] = []
    here = threading.get_ident()
    run = Handle._run

    def timed(self: Handle) -> None:
        if threading.get_ident() != here:
            run(self)
            return
        begun = time.thread_time()
        run(self)
        turns.append(time.thread_time() - begun)

    Handle._run = timed  # type: ignore[method-assign]
    try:
        yield turns
    finally:
        Handle._run = run  # type: ignore[method-assign]


if __name__ == "__main__":
    print(table(rows()))
