"""A node of three is killed: its sessions go on at the others, and who reads them notices nothing."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from scripts.cluster.balancer import Balancer
from tests.chaos.callers import Account, Voice, crowd
from tests.e2e.cluster import (
    KINDS,
    VALKEY,
    Cluster,
    Mover,
    Watcher,
    check,
    cluster,
    in_background,
    scale,
)
from tests.e2e.wire import run

NODES = 3
SESSIONS = round(scale("SESSIONS", 60))
FEWER = round(scale("SESSIONS", 24))
RAMP_S = 2.0 + SESSIONS / 50
SPEAK_S = RAMP_S + 6.0
WITHIN_S = 10.0


@pytest.fixture(scope="module", params=KINDS)
def trio(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three nodes."""
    with cluster(request.param, NODES) as made:
        yield made


@dataclass
class Outcome:
    """What a kill did."""

    account: Account
    away_s: list[float]
    """How long each session of the killed node was away, in ascending order."""
    watchers: list[Watcher]


async def play(three: Cluster, sessions: int, watched: int) -> Outcome:
    """Callers at all nodes, every fourth with a recording; then one node is killed."""
    loop, voice = asyncio.get_running_loop(), Voice()
    async with Balancer(lambda: three.addresses) as balancer:
        callers = [
            Mover(balancer.ws_url, SPEAK_S, voice, {"delivery": "lossless"} if n % 4 == 0 else {})
            for n in range(sessions)
        ]
        calling = asyncio.create_task(crowd(callers, RAMP_S))
        await asyncio.sleep(RAMP_S + 1.0)
        watchers = [Watcher(balancer.ws_url, one.session_id) for one in callers[:watched]]
        async with in_background(*(one.watch() for one in watchers)) as watching:
            await asyncio.sleep(1.0)
            victim = three.nodes[0]
            held = {one.session_id for one in callers if three.owner(one.session_id) is victim}
            killed_at = loop.time()
            three.kill(victim)
            calls = await calling
            await asyncio.wait(watching, timeout=10)
            away = [one.away_s(killed_at) for one in callers if one.session_id in held]
        assert len(away) > sessions // (NODES + 1)
        assert not [one for one in away if one is None]
        return Outcome(check(calls, watchers), sorted(one for one in away if one), watchers)


@pytest.mark.timeout(240)
def test_one_of_three_is_killed(trio: Cluster) -> None:
    """Every session goes on within ten seconds, with all that was said; observers of sessions on the killed
    node, observers at the killed node, and others."""
    trio.complete(NODES)
    sessions = SESSIONS if trio.backing.kind == VALKEY else FEWER
    outcome = run(play(trio, sessions, watched=sessions // 4), SPEAK_S + 90)
    away = outcome.away_s
    print(f"{trio.backing.kind}: {len(away)} of {sessions} sessions away for {away[len(away) // 2]:.2f} s")
    print(f"(median), {away[-1]:.2f} s at most; {outcome.account}")
    assert away[-1] <= WITHIN_S
    assert outcome.account.gap_s == {}
    assert any(one.resumes for one in outcome.watchers), "an observer of the killed node comes back, too"
