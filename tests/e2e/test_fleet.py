"""Two gateways and two classify nodes, of which each is killed and comes back under live sessions."""

import asyncio
from collections.abc import Callable

from tests.chaos.fleet import Weather, play
from tests.e2e.conftest import GatewayProcess
from tests.sidecars.node import start_classify

SESSIONS = 24
SECONDS = 14.0
KILLS = 4


def test_the_accounts_add_up_while_nodes_are_killed(launch: Callable[..., GatewayProcess]) -> None:
    """No session is lost, no event comes twice, every window that was not classified is in a gap; with one of
    two nodes there most are classified, and answers come again."""
    weather = Weather([start_classify() for _ in range(2)], KILLS)
    try:
        urls = ",".join(node.url for node in weather.nodes)
        gateways = [launch(TRANSCRIBER="none", CLASSIFIER_URL=urls) for _ in range(2)]
        outcome = asyncio.run(play(gateways, weather, sessions=SESSIONS, seconds=SECONDS, ramp_s=1.0))
    finally:
        for node in weather.nodes:
            node.stop()
    account = outcome.account
    assert account.faults == ()
    assert (account.whole, account.refused, account.missed) == (SESSIONS, 0, 0)
    assert set(account.gap_s) <= {"classifier", "overload"}
    assert sum(account.gap_s.values()) < SESSIONS * SECONDS / 2
    assert len(outcome.returns) == KILLS
    assert all(one.heard_s is not None for one in outcome.returns)
