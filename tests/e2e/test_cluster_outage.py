"""What nodes share is away for a while, silent or gone; Valkey comes back from the latter with nothing."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from websockets.exceptions import InvalidStatus

from protocol.events import Service, ServiceStatus
from scripts.cluster.balancer import Balancer
from tests.chaos.callers import Voice, crowd
from tests.e2e.cluster import (
    AT_LENGTH,
    BOTH,
    KINDS,
    VALKEY,
    Cluster,
    Mover,
    Watcher,
    asked,
    check,
    cluster,
    eventually,
    in_background,
    scale,
)
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import dial, errors, rest, run, welcomed

AWAY_S = scale("OUTAGE_S", 5)
SESSIONS = round(scale("SESSIONS", 16))
RAMP_S = 1.0
TOLD_S = 12.0
"""Until a node says how its store is: a call that nobody answers takes some seconds to be given up."""
SILENT, GONE = "silent", "gone"
API = "/api/v1/sessions"


@pytest.fixture(scope="module", params=KINDS if AT_LENGTH else [VALKEY, BOTH])
def pair(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Two nodes."""
    with cluster(request.param, 2) as made:
        yield made


@dataclass
class Talk:
    """A session whose owner leaves during the outage, to come back at one node or the other."""

    session_id: str
    epoch: str

    def resumes(self) -> dict[str, object]:
        """The query to come back with."""
        return {"session_id": self.session_id, "after": 0, "epoch": self.epoch}


async def begun(node: GatewayProcess) -> Talk:
    """A session at `node` with some audio, left at once."""
    async with dial(node) as owner:
        welcome = await welcomed(owner)
        await owner.send(Voice().pcm(0, 8_000))
        await asyncio.sleep(0.5)
        return Talk(welcome.session_id, welcome.epoch)


async def told(node: GatewayProcess, store: str) -> bool:
    """Whether readiness says so of the store; the node is ready whatever the store does, and alive."""
    answer = await asked(f"{node.url}/readyz")
    assert answer.status_code == 200, answer.text
    assert (await asked(f"{node.url}/healthz")).status_code == 200
    return bool(answer.json()["checks"]["store"] == store)


async def look_around(pair: Cluster, talk: Talk) -> None:
    """During the outage: back to the owner's node is possible, to another one is not, nor is anything new."""
    here, there = pair.nodes
    async with dial(here, talk.resumes()) as back:
        welcome = await welcomed(back)
        assert (welcome.epoch, welcome.recovered) == (talk.epoch, True)
    refused = await refusal(there, talk.resumes())
    assert refused == 4102, refused
    assert await refusal(there, {}) in (503, 4102)
    for node, method, path in (
        (here, "POST", API),
        (there, "POST", API),
        (there, "GET", f"{API}/{talk.session_id}"),
        (there, "GET", f"{API}/{talk.session_id}/events"),
    ):
        answer = await asked(f"{node.url}{path}", method, timeout=30)
        assert answer.status_code == 503, (method, path, answer.status_code)
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["code"] == "store_unavailable"
    assert (await asked(f"{here.url}{API}/{talk.session_id}")).status_code == 200


async def refusal(node: GatewayProcess, query: dict[str, object]) -> int:
    """The status or close code with which a socket is refused."""
    try:
        async with dial(node, query, open_timeout=20) as opened:
            heard, code = await rest(opened)
            assert errors(heard) == ["store_unavailable"], heard
            return code
    except InvalidStatus as answer:
        refused = answer.response
    assert "retry-after" in refused.headers
    return refused.status_code


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", [SILENT, GONE])
def test_no_live_session_is_lost(pair: Cluster, how: str) -> None:
    """Sessions go on where they are, and say that the store is away and back; each event once."""
    if (pair.backing.kind, how) == (BOTH, SILENT) and not AT_LENGTH:
        pytest.skip("at length only: as Valkey alone")
    here, _ = pair.nodes
    voice, enough = Voice(), asyncio.Event()

    async def main() -> None:
        async with Balancer(lambda: pair.addresses) as balancer:
            callers = [Mover(balancer.ws_url, 300.0, voice, enough=enough) for _ in range(SESSIONS)]
            calling = asyncio.create_task(crowd(callers, RAMP_S))
            await asyncio.sleep(RAMP_S + 1.0)
            talk = await begun(here)
            watchers = [Watcher(pair.owner(one.session_id).ws_url, one.session_id) for one in callers[:4]]
            async with in_background(*(one.watch() for one in watchers)) as watching:
                await asyncio.sleep(0.5)
                with pair.backing.frozen() if how == SILENT else pair.backing.down():
                    async with asyncio.TaskGroup() as looking:
                        looking.create_task(asyncio.sleep(AWAY_S))
                        for node in pair.nodes:
                            looking.create_task(eventually(lambda n=node: told(n, "away"), TOLD_S, "telling"))  # type: ignore[misc]
                        looking.create_task(look_around(pair, talk))
                for node in pair.nodes:
                    await eventually(lambda n=node: told(n, "ok"), TOLD_S, "telling of its return")  # type: ignore[misc]
                await asyncio.sleep(1.5)
                enough.set()
                calls = await calling
                await asyncio.wait(watching, timeout=10)
        account = check(calls, watchers)
        print(f"{pair.backing.kind} {how} for {AWAY_S:.0f} s: {account}")
        assert account.gap_s == {}
        for one in callers:
            news = [event for event in one.said if isinstance(event, Service)]
            assert [event.status for event in news] == [ServiceStatus.WARNING, ServiceStatus.READY], news
        # What was said meanwhile is where others find it.
        _, there = pair.nodes
        for one in callers[:6]:
            whole = len([event for event in one.said if hasattr(event, "seq")])
            history = (await asked(f"{there.url}{API}/{one.session_id}/history")).json()
            assert [event["seq"] for event in history["events"]] == list(range(1, whole + 1))

    run(main(), 280)


def test_a_session_moves_after_the_outage(pair: Cluster) -> None:
    """After Valkey came back with nothing, another node can take over what was live all the time."""
    if pair.backing.kind != VALKEY and not AT_LENGTH:
        pytest.skip("at length only: nothing is lost by PostgreSQL")
    here, there = pair.nodes

    async def main() -> None:
        voice = Voice()
        async with contextlib.AsyncExitStack() as stack:
            owner = await stack.enter_async_context(dial(here))
            welcome = await welcomed(owner)

            async def talk() -> None:
                at = 0
                while True:
                    await owner.send(voice.pcm(at, at + 2_000))
                    at += 1_000
                    await asyncio.sleep(0.0625)

            async with in_background(talk()):
                await asyncio.sleep(1.5)
                with pair.backing.down():
                    await eventually(lambda: told(here, "away"), TOLD_S, "telling")
                    await asyncio.sleep(1.0)
                await eventually(lambda: told(here, "ok"), TOLD_S, "telling of its return")
                await asyncio.sleep(1.5)
            resumes: dict[str, object] = {
                "session_id": welcome.session_id,
                "after": 0,
                "epoch": welcome.epoch,
            }
            second = await stack.enter_async_context(dial(there, resumes))
            again = await welcomed(second)
            assert (again.epoch, again.recovered) == (welcome.epoch, True)
            assert again.next_sample > 16_000
            assert (await rest(owner))[1] == 4005

    run(main(), 60)
