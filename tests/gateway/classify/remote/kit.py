"""For the tests of the remote classifier."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from gateway.classify.port import Answer, ClassifierError, Window
from gateway.classify.remote.classifier import RemoteClassifier
from gateway.telemetry.sidecars import SidecarCounts

WAIT_S = 30.0
"""Nothing takes longer than that."""


def windows(count: int) -> list[Window]:
    """Windows of as many sessions."""
    samples = np.arange(160, dtype=np.int16)
    return [Window(samples, 160, 0.01, {}, f"session-{number}") for number in range(count)]


def failed(answers: list[Answer]) -> list[bool]:
    """Which of them are errors."""
    return [isinstance(answer, ClassifierError) for answer in answers]


@asynccontextmanager
async def asking(*urls: str, **options: Any) -> AsyncIterator[tuple[RemoteClassifier, SidecarCounts]]:
    """A classifier that asks there, and what is counted of it."""
    counts = SidecarCounts()
    classifier = RemoteClassifier(urls, observer=counts, **{"deadline_s": 5.0, **options})
    await classifier.start()
    try:
        yield classifier, counts
    finally:
        await classifier.aclose()


def outcomes(counts: SidecarCounts) -> Counter[str]:
    """Calls by outcome, over all replicas."""
    found: Counter[str] = Counter()
    for (_, outcome), number in counts.calls.items():
        found[outcome] += number
    return found


async def until(ready: Callable[[], bool]) -> None:
    """Wait for something to come about, within a bound."""
    async with asyncio.timeout(WAIT_S):
        while not ready():  # noqa: ASYNC110 - it comes from other processes, too
            await asyncio.sleep(0.005)


async def until_answered(classifier: RemoteClassifier, count: int = 8) -> None:
    """Ask until every window has an answer."""
    while any(failed(await classifier.classify(windows(count)))):  # noqa: ASYNC110 - another process decides
        await asyncio.sleep(0.02)


async def until_failing(classifier: RemoteClassifier, count: int = 8) -> None:
    """Ask until no window has one."""
    while not all(failed(await classifier.classify(windows(count)))):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Play it, within a bound."""

    async def bounded() -> None:
        async with asyncio.timeout(WAIT_S):
            await scenario()

    asyncio.run(bounded())
