"""A sidecar that takes connections and never answers: a real process, stopped (SIGSTOP) under load."""

import asyncio
import os
import signal

import pytest

from gateway.classify.breaker import State
from gateway.classify.port import ClassifierError
from tests.gateway.classify.remote.kit import (
    asking,
    outcomes,
    run,
    until,
    until_answered,
    until_failing,
    windows,
)
from tests.sidecars.process import start_sidecar

OPENS_S = 10.0


@pytest.mark.parametrize(
    ("deadline_s", "calls", "callers"),
    [(0.3, 4, 8), (2.0, 1, 2)],
    ids=["many calls time out", "few calls, but its health does"],
)
def test_a_black_hole(deadline_s: float, calls: int, callers: int) -> None:
    """The breaker opens within ten seconds, nothing piles up, hardly anything is tried again; then windows
    fail at once, and are answered again when it is back."""

    async def scenario() -> None:
        sidecar = start_sidecar()
        stop = asyncio.Event()

        async def call() -> None:
            while not stop.is_set():
                await classifier.classify(windows(8))
                await asyncio.sleep(0.01)

        try:
            async with asking(sidecar.url, deadline_s=deadline_s, calls=calls) as (classifier, counts):
                await until(lambda: classifier.replicas[0].told is not None)
                running = [asyncio.create_task(call()) for _ in range(callers)]
                await until(lambda: outcomes(counts)["ok"] >= 20)
                usual = len(asyncio.all_tasks())
                os.kill(sidecar.process.pid, signal.SIGSTOP)
                most = 0
                async with asyncio.timeout(OPENS_S):
                    while classifier.replicas[0].breaker.state is State.CLOSED:
                        most = max(most, len(asyncio.all_tasks()))
                        await asyncio.sleep(0.02)
                # A call in flight has a task of its own in the transport, for what it has still to write.
                assert most <= usual + 2 * (calls + 1)
                stop.set()
                await asyncio.gather(*running)
                found = await classifier.classify(windows(8))
                assert all(isinstance(answer, ClassifierError) for answer in found)
                assert counts.in_flight == 0
                assert 10 * counts.retries <= sum(counts.calls.values())
                os.kill(sidecar.process.pid, signal.SIGCONT)
                await until_answered(classifier)
                assert counts.breakers == {"closed": 1, "open": 0, "half_open": 0}
        finally:
            os.kill(sidecar.process.pid, signal.SIGCONT)
            sidecar.stop()

    run(scenario)


def test_a_killed_one_that_comes_back() -> None:
    """SIGKILL under load: its windows fail, at most the usual number is tried again, and it is asked again
    as soon as it is back at its address."""

    async def scenario() -> None:
        sidecar = start_sidecar()
        port = sidecar.url.rpartition(":")[2]
        try:
            async with asking(sidecar.url, deadline_s=1.0) as (classifier, counts):
                for _ in range(2):
                    await until_answered(classifier)
                    sidecar.kill()
                    await until_failing(classifier)
                    sidecar = start_sidecar("--port", port)
                await until_answered(classifier)
                assert 10 * counts.retries <= sum(counts.calls.values())
                assert counts.in_flight == 0
        finally:
            sidecar.stop()

    run(scenario)
