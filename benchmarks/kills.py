"""A classify node that is killed again and again under live sessions: what each of them ended up with.

    python -m benchmarks.kills
    python -m benchmarks.kills --sessions 200 --kills 50 --nodes 1 --up 5

A node is left alone for a time after each return, so that it can be seen how long its sessions wait for the
next answer; a return that was left alone for less than that may take is not judged. The gateway, the nodes
(`undertone classify`) and the clients are processes of their own. The history of every client is audited by
the ledger of `tests.chaos`.
"""

import argparse
import asyncio
import math
import sys
from statistics import median

from benchmarks.rows import Row, table
from tests.chaos.fleet import Outcome, Weather, play
from tests.e2e.conftest import start_gateway
from tests.sidecars.node import start_classify

SESSIONS = 200
KILLS = 50
NODES = 1
RAMP_S = 20.0
UP_S = 5.0
"""Seconds that a node is left alone after each return."""
DOWN_S = 2.5
"""Seconds that it is away, about: it starts in two."""
FRESH_S = 3.0
"""Seconds after a return by which answers are to come again."""


def rows(sessions: int = SESSIONS, kills: int = KILLS, nodes: int = NODES, up_s: float = UP_S) -> list[Row]:
    """Takes `up_s` and some three seconds for each kill."""
    weather = Weather([start_classify() for _ in range(nodes)], kills, up_s=(up_s, up_s))
    seconds = RAMP_S + up_s + (up_s + DOWN_S) * kills
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
    account = outcome.account
    judged = [one for one in outcome.returns if one.alone_s >= FRESH_S]
    waits = sorted(one.heard_s for one in judged if one.heard_s is not None)
    late = len(judged) - sum(wait <= FRESH_S for wait in waits)
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
        f"returns that were left alone for {FRESH_S:g} s or longer, and are judged": (len(judged), "returns"),
        f"of these without an answer within {FRESH_S:g} s": (late, "returns"),
        "from a return to the next answer, median": (median(waits) if waits else math.nan, "s"),
        "the same, worst": (waits[-1] if waits else math.nan, "s"),
    }
    return [Row(name, float(value), unit) for name, (value, unit) in figures.items()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills")
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument(
        "--up", type=float, default=UP_S, metavar="SECONDS", help="left alone after each return"
    )
    given = parser.parse_args()
    print(table(rows(given.sessions, given.kills, given.nodes, given.up)))
