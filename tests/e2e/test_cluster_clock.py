"""Wall clocks that step by an hour, at a node and at the server that they share: nothing ends early by it."""

import asyncio
import time
from datetime import datetime
from pathlib import Path

import pytest

from scripts.cluster.balancer import Balancer
from tests.chaos.callers import Voice, crowd
from tests.clocks import SteppingClock
from tests.e2e.cluster import VALKEY, Cluster, Mover, asked, check, cluster
from tests.e2e.wire import dial, run, welcomed

STEPS = (3_600, -3_600, 0)
"""Seconds; each is to the true time, so the second one is two hours back."""
STAYS_S = 2.5
"""How long each lasts: longer than the pause between two of the reaper's passes."""
SESSIONS = 9


def seen(trio: Cluster, whose: str) -> float:
    """The time by that clock, in Unix seconds."""
    if whose == "the store's":
        assert trio.backing.valkey is not None
        return float(trio.backing.valkey.cli("--raw", "TIME").split()[0])
    told = asyncio.run(asked(f"{trio.nodes[-1].url}/api/v1/sessions", "POST")).json()["created_at"]
    return datetime.fromisoformat(told).timestamp()


@pytest.mark.parametrize("whose", ["a node's", "the store's"])
def test_a_clock_steps(whose: str, tmp_path: Path) -> None:
    """An hour on, two back, and right again: attached sessions, a detached one and one that nobody came to
    yet are all there to the end, and no node is taken for gone."""
    clock = SteppingClock(tmp_path)
    enough = asyncio.Event()
    timers = {"SESSION_DETACHED_TTL_S": "60", "CONNECT_DEADLINE_S": "60", "SESSION_IDLE_TTL_S": "60"}
    timers["CLOSED_RETENTION_S"] = "4"  # and so a pass of the reaper every two seconds
    with cluster(VALKEY, 2, *(clock.before if whose == "the store's" else ()), **timers) as trio:
        if whose == "a node's":
            trio.add(*clock.before)

        async def main() -> None:
            here, there = trio.nodes[-1], trio.nodes[0]
            async with Balancer(lambda: trio.addresses) as balancer:
                callers = [Mover(balancer.ws_url, 300.0, Voice(), enough=enough) for _ in range(SESSIONS)]
                calling = asyncio.create_task(crowd(callers, 1.0))
                await asyncio.sleep(2.0)
                async with dial(here) as left:
                    detached = await welcomed(left)
                unused = (await asked(f"{here.url}/api/v1/sessions", "POST")).json()["id"]
                for step in STEPS:
                    clock.step(step)
                    await asyncio.sleep(STAYS_S)
                    assert abs(await asyncio.to_thread(seen, trio, whose) - time.time() - step) < 60
                    for node in (here, there):
                        for session_id in (detached.session_id, unused, callers[0].session_id):
                            answer = await asked(f"{node.url}/api/v1/sessions/{session_id}")
                            assert answer.status_code == 200, (whose, step, answer.text)
                            assert answer.json()["status"] in ("created", "live", "detached"), answer.text
                async with dial(there, {"session_id": detached.session_id, "after": 0}) as back:
                    assert (await welcomed(back)).epoch == detached.epoch
                enough.set()
                account = check(await calling)
                assert account.resumes == 0, "no connection ends by it"
                assert account.gap_s == {}

        run(main(), 90)
        for node in trio.nodes:
            assert not [one for one in node.records() if one["message"] == "a node is gone"]
