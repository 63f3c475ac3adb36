"""Requests that are bombs, or take their time: answered with their fault and let go, while others come in."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from tests.chaos.dawdlers import MANNERS, Dawdlers
from tests.chaos.footprint import footprint
from tests.chaos.heads import BOMBS, Blast, throw
from tests.chaos.neighbours import beside
from tests.e2e.conftest import GatewayProcess, start_gateway

MIB = 1024 * 1024
GROWTH_BYTES = 20 * MIB
TAKEN_BYTES = 24 * MIB
"""What a peer may get rid of, the buffers of both kernels included."""
DAWDLERS = 400
HEAD_S, BODY_S, LEAVE_S = 5.0, 10.0, 2.0
NEIGHBOURS = 20
AT_ONCE = 6
SLACK_S = 2.5
"""For a busy machine."""


@pytest.fixture(scope="module")
def target() -> Iterator[GatewayProcess]:
    """Nobody gets as far as a session, so that its log is to say nothing at all of them."""
    running = start_gateway(TRANSCRIBER="none")
    yield running
    assert running.stop() == 0
    assert not [record for record in running.records() if record["level"] not in ("debug", "info")]


@dataclass(frozen=True, slots=True)
class Bombing:
    """What came of it."""

    blasts: Mapping[str, Blast]
    grown: int
    """Bytes resident."""
    lines: Sequence[str]
    """Of log, but for what it says of sessions: those are the neighbours'."""


@pytest.fixture(scope="module")
def bombing(target: GatewayProcess) -> Bombing:
    """All bombs, several at a time. Their neighbours lose no sample and no pong."""
    before = footprint(target.pid)
    with beside(target.ws_url, NEIGHBOURS), ThreadPoolExecutor(AT_ONCE) as pool:
        before_them = len(target.log)
        blasts = dict(
            zip(BOMBS, pool.map(lambda bomb: throw(target.port, bomb), BOMBS.values()), strict=True)
        )
        lines = [line for line in target.log[before_them:] if '"session_id"' not in line]
    return Bombing(blasts, footprint(target.pid).rss - before.rss, lines)


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused(bombing: Bombing, kind: str) -> None:
    """With a status of its own and an end, soon, however much of it there is."""
    blast = bombing.blasts[kind]
    assert blast.status in (400, 413, 431)
    assert blast.seconds < LEAVE_S + SLACK_S
    assert blast.sent < TAKEN_BYTES


def test_nothing_of_them_is_kept(bombing: Bombing) -> None:
    """Neither in memory nor in the log: who never had a session is just counted."""
    assert bombing.grown < GROWTH_BYTES
    assert bombing.lines == []


def test_dawdlers_are_let_go_and_others_come_in(target: GatewayProcess) -> None:
    """Four hundred that say nothing, or one byte at a time: heads have five seconds, bodies ten. Meanwhile
    twenty others are welcomed, and a request is answered."""
    before = footprint(target.pid)
    dawdlers = Dawdlers(target.port, DAWDLERS)
    try:
        with beside(target.ws_url, NEIGHBOURS):
            began = time.monotonic()
            with httpx.Client(base_url=target.url, trust_env=False) as client:
                assert client.get("/readyz").status_code == 200
                assert client.post("/api/v1/sessions").status_code == 201
            assert footprint(target.pid).descriptors - before.descriptors > DAWDLERS * 0.8
            dawdlers.wait(BODY_S + SLACK_S)
        assert time.monotonic() - began < BODY_S + 2 * SLACK_S
        assert dawdlers.left == 0
    finally:
        dawdlers.close()
    assert max(dawdlers.ends.heads_s) < HEAD_S + SLACK_S
    assert max(dawdlers.ends.bodies_s) < BODY_S + SLACK_S
    answers = {manner: dawdlers.ends.statuses[manner] for manner in MANNERS}
    assert answers.pop("silent") == set()
    assert answers.pop("empty lines") == {"HTTP/1.1 400"}
    assert set(map(frozenset, answers.values())) == {frozenset({"HTTP/1.1 408"})}
    after = footprint(target.pid)
    assert after.rss - before.rss < GROWTH_BYTES
    assert after.descriptors - before.descriptors < 20
