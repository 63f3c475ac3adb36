"""Windows and models for the tests round `kserve`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from gateway.classify.kserve.classifier import KServeClassifier
from gateway.classify.kserve.model import ClassesSpec, InputSpec, ModelSpec
from gateway.classify.kserve.protocol import Named
from gateway.classify.port import Answer, ClassifierError, HealthStatus, ToneObservation, Window
from gateway.clock import Clock, ManualClock

T = TypeVar("T")

SPEC = ModelSpec(
    at=Named("tone"),
    input=InputSpec(),
    classes=ClassesSpec("logits", ("Calm", "Tense")),
    deadline_s=5.0,
)


def spec(**changes: Any) -> ModelSpec:
    """A model `tone` with logits for `Calm` and `Tense`."""
    return replace(SPEC, **changes)


def window(level: int = 1000, samples: int = 1600, session: str = "s") -> Window:
    """Samples that are all alike."""
    return Window(np.full(samples, level, np.int16), samples, samples / 16_000, {"kept": level}, session)


def labels(answers: "list[Answer]") -> list[str | None]:
    """The label of each window's tone; None where it failed, `-` where nothing was heard."""
    found: list[str | None] = []
    for answer in answers:
        if isinstance(answer, ClassifierError):
            found.append(None)
        else:
            tones = [one for one in answer if isinstance(one, ToneObservation)]
            found.append(tones[0].label if tones else "-")
    return found


def run(work: Coroutine[Any, Any, T], seconds: float = 30) -> T:
    """The outcome of `work`, within a bound."""

    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await work

    return asyncio.run(bounded())


@asynccontextmanager
async def asking(
    url: str, model: ModelSpec = SPEC, clock: Clock | None = None, look_every_s: float = 0.02
) -> AsyncIterator[KServeClassifier]:
    """A classifier that has been started."""
    one = KServeClassifier(model, url, clock or ManualClock(), look_every_s=look_every_s)
    await one.start()
    try:
        yield one
    finally:
        await one.aclose()


async def becomes(classifier: KServeClassifier, status: HealthStatus, detail: str = "") -> str:
    """Wait until it is so, with `detail` in what it says; returns all of that. The bound is `run`'s."""
    await until(lambda: classifier.health().status is status and detail in classifier.health().detail)
    return classifier.health().detail


async def until(ready: Callable[[], bool]) -> None:
    """Let the loop turn until it is so. The bound is `run`'s."""
    while not ready():  # noqa: ASYNC110 - what is waited for is another's, and has no event
        await asyncio.sleep(0.005)
