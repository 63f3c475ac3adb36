"""Every classifier there is, for the suite that each of them passes.

A new one adds a factory here, and nothing else. What it needs and is not there (a library, a server) is the
factory's to tell: it calls `pytest.skip` with the reason, or fails where `CI` is set.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

from gateway.classify.acoustic.classifier import AcousticClassifier
from gateway.classify.acoustic.embedded import EmbeddedClassifier
from gateway.classify.acoustic.sizing import Where, Wish
from gateway.classify.orchestrator.classifier import OrchestratedClassifier
from gateway.classify.orchestrator.client import OrchestratorClient
from gateway.classify.port import Classifier, HealthStatus
from gateway.classify.remote.classifier import RemoteClassifier
from gateway.clock import SystemClock
from tests.contracts import kserve, onnx
from tests.gateway.classify.remote.kit import until
from tests.orchestrators.process import shared_orchestrator
from tests.sidecars.process import shared_sidecar, shared_unix_sidecar

Factory: TypeAlias = Callable[[], AbstractAsyncContextManager[Classifier]]
"""Makes one that is started and can answer; ends it."""


@asynccontextmanager
async def acoustic() -> AsyncIterator[Classifier]:
    classifier = AcousticClassifier()
    await classifier.start()
    try:
        yield classifier
    finally:
        await classifier.aclose()


@asynccontextmanager
async def acoustic_processes() -> AsyncIterator[Classifier]:
    """In two worker processes, which are there."""
    classifier = EmbeddedClassifier(Wish(Where.PROCESS, 2, 32), SystemClock(), cores=2)
    await classifier.start()
    try:
        await until(lambda: classifier.workers["process"] == 2)
        yield classifier
    finally:
        await classifier.aclose()


@asynccontextmanager
async def acoustic_starting() -> AsyncIterator[Classifier]:
    """As it is served, from its first moment on: threads answer, then processes."""
    classifier = EmbeddedClassifier(Wish(), SystemClock(), cores=2)
    await classifier.start()
    try:
        yield classifier
    finally:
        await classifier.aclose()


def remote(address: Callable[[], str]) -> Factory:
    """One that asks a sidecar in a process of its own."""

    @asynccontextmanager
    async def made() -> AsyncIterator[Classifier]:
        classifier = RemoteClassifier([address()], deadline_s=20.0)
        await classifier.start()
        try:
            yield classifier
        finally:
            await classifier.aclose()

    return made


@asynccontextmanager
async def orchestrated() -> AsyncIterator[Classifier]:
    """One that has a sidecar allocated; orchestrator and sidecar are processes of their own."""
    classifier = OrchestratedClassifier(
        OrchestratorClient(shared_orchestrator(shared_sidecar()), timeout_s=20.0),
        lambda sidecar: RemoteClassifier([sidecar.url], deadline_s=20.0),
        AcousticClassifier(),
        SystemClock(),
    )
    await classifier.start()
    try:
        await until(lambda: classifier.health().status is HealthStatus.READY)
        yield classifier
    finally:
        await classifier.aclose()


FACTORIES: dict[str, Factory] = {
    "acoustic": acoustic,
    "acoustic-processes": acoustic_processes,
    "acoustic-starting": acoustic_starting,
    "remote-batch": remote(shared_sidecar),
    "remote-single": remote(lambda: shared_sidecar("--no-batch")),
    "remote-unix": remote(shared_unix_sidecar),
    "orchestrated": orchestrated,
    **kserve.FACTORIES,
    **onnx.FACTORIES,
}
