"""A classify node that is killed again and again under live sessions: what each of them ended up with.

    python -m benchmarks.kills
    python -m benchmarks.kills --sessions 200 --kills 50 --nodes 1

The gateway, the nodes (`undertone classify`) and the clients are processes of their own. The history of every
client is audited by the ledger of `tests.chaos`.
"""

import argparse
import asyncio
import sys

from benchmarks.rows import Row, table
from tests.chaos.fleet import Outcome, Weather, play
from tests.e2e.conftest import start_gateway
from tests.sidecars.node import start_classify

SESSIONS = 200
KILLS = 50
NODES = 1
RAMP_S = 20.0
EACH_S = 3.5
"""Seconds from one kill to the next, about: a node starts in two."""


def rows(sessions: int = SESSIONS, kills: int = KILLS, nodes: int = NODES) -> list[Row]:
    """Takes some four seconds for each kill."""
    weather = Weather([start_classify() for _ in range(nodes)], kills)
    seconds = RAMP_S + EACH_S * kills
    try:
        urls = ",".join(node.url for node in weather.nodes)
        gateway = start_gateway(TRANSCRIBER="none", CLASSIFIER_URL=urls)
        try:
            playing = play([gateway], weather, sessions=sessions, seconds=seconds, ramp_s=RAMP_S)
            outcome = asyncio.run(playing)
        finally:
            gateway.stop()
    finally:
        for node in weather.nodes:
            node.stop()
    for fault in outcome.account.faults:
        print(fault, file=sys.stderr)
    return _figures(outcome, sessions, seconds, nodes)


def _figures(outcome: Outcome, sessions: int, seconds: float, nodes: int) -> list[Row]:
    account, back = outcome.account, sorted(outcome.back_s)
    figures = {
        f"live sessions for {seconds:g} s, with {nodes} classify node(s)": (sessions, "sessions"),
        "SIGKILLs of a node": (outcome.kills, "kills"),
        "sessions with every event once, every sample in its place": (account.whole, "sessions"),
        "accounts that don't add up": (len(account.faults), "faults"),
        "refused": (account.refused, "sessions"),
        "audio declared a gap, by reason classifier": (account.gap_s.get("classifier", 0.0), "s"),
        "the same by other reasons": (
            sum(gap for reason, gap in account.gap_s.items() if reason != "classifier"),
            "s",
        ),
        "from a node's return to the next answer, median": (back[len(back) // 2] if back else 0.0, "s"),
        "the same at most": (back[-1] if back else 0.0, "s"),
    }
    return [Row(name, float(value), unit) for name, (value, unit) in figures.items()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills")
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--nodes", type=int, default=NODES)
    given = parser.parse_args()
    print(table(rows(given.sessions, given.kills, given.nodes)))
