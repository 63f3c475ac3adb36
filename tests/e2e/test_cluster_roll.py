"""One node after the other is replaced under load: everybody is told, nobody is refused, nothing is lost."""

import asyncio
import itertools
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from protocol.client import connect
from protocol.close import NO_CLOSE_FRAME
from scripts.cluster.balancer import Balancer
from tests.chaos.callers import AUDIO, Voice, crowd
from tests.e2e.cluster import (
    AT_LENGTH,
    BOTH,
    KINDS,
    Cluster,
    Mover,
    Watcher,
    asked,
    check,
    cluster,
    in_background,
    scale,
)
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import run

NODES = 3
ROUNDS = round(scale("ROUNDS", 1))
SESSIONS = round(scale("SESSIONS", 36))
RAMP_S = 2.0
EACH_S = 30.0
"""What replacing a node may take on a busy machine."""
GRACE_S = 4
LOSSLESS = {"delivery": "lossless"}


@pytest.fixture(scope="module", params=KINDS if AT_LENGTH else [BOTH])
def trio(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three nodes that have some seconds to end in."""
    with cluster(request.param, NODES, DRAIN_GRACE_S=str(GRACE_S)) as made:
        yield made


async def newcomers(balancer: Balancer, outcomes: Counter[str]) -> None:
    """Short sessions and REST calls, one after the other; each has to succeed."""
    voice = Voice()
    for turn in itertools.count():
        try:
            if turn % 2:
                outcomes[str((await asked(f"{balancer.url}/api/v1/sessions", "POST")).status_code)] += 1
            else:
                async with connect(balancer.ws_url, audio=AUDIO) as client:
                    await client.send(voice.pcm(0, 8_000))
                    summary = await client.end()
                    outcomes["whole" if summary.classified_samples == 8_000 else "cut"] += 1
        except Exception as error:
            outcomes[repr(error)] += 1
        await asyncio.sleep(0.05)


async def replace(trio: Cluster, old: GatewayProcess) -> None:
    """As an orchestrator does it: the next one is ready first, then the old one gets no new connections, and
    is told to end."""
    await asyncio.to_thread(trio.add)
    trio.remove(old)
    old.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(old.process.wait, GRACE_S + 10) == 0


@pytest.mark.timeout(600)
def test_rolling_restarts_under_load(trio: Cluster) -> None:
    """Every socket on a node that ends hears `drain`, then 1012; each session goes on elsewhere."""
    outcomes: Counter[str] = Counter()
    voice = Voice()

    async def main() -> None:
        enough = asyncio.Event()
        async with Balancer(lambda: trio.addresses) as balancer:
            seconds = RAMP_S + 1.0 + ROUNDS * NODES * EACH_S
            callers = [
                Mover(balancer.ws_url, seconds, voice, LOSSLESS if n % 4 == 0 else {}, enough=enough)
                for n in range(SESSIONS)
            ]
            calling = asyncio.create_task(crowd(callers, RAMP_S))
            await asyncio.sleep(RAMP_S + 0.5)
            watchers = [Watcher(balancer.ws_url, one.session_id) for one in callers[:6]]
            watching = [asyncio.create_task(one.watch()) for one in watchers]
            async with in_background(newcomers(balancer, outcomes)):
                for _ in range(ROUNDS):
                    for old in trio.nodes[:NODES]:
                        await replace(trio, old)
            await asyncio.sleep(1.0)
            enough.set()
            calls = await calling
            await asyncio.wait(watching, timeout=10)
        account = check(calls, watchers)
        codes = Counter(visit.code for call in calls for visit in call.history.visits)
        print(f"{ROUNDS} rounds: {account}, closes {dict(codes)}, meanwhile {dict(outcomes)}")
        assert set(codes) == {1000, 1012}, codes
        assert NO_CLOSE_FRAME not in codes
        assert account.resumes >= SESSIONS * ROUNDS
        assert account.gap_s == {}
        assert set(outcomes) == {"whole", "201"}, outcomes

    run(main(), 560)
