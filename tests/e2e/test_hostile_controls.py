"""Control messages that are mistakes, lies or bombs: each gets its typed error, and that is all it gets."""

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos.footprint import footprint
from tests.chaos.frames import binary, close, text
from tests.chaos.malformed import BOMBS, MISTAKES, REFUSALS, endless
from tests.chaos.neighbours import beside
from tests.chaos.raw import RawPeer
from tests.e2e.conftest import GatewayProcess, start_gateway

CONNECTIONS = 50
EACH = 200
"""Messages over each connection: fewer than its budget at once, so that none is cut off for their number."""
AT_ONCE = 50
GROWTH_BYTES = 10 * 1024 * 1024
LINES_EACH = 6
"""Lines of log that a session may have, whatever is said in it."""


@pytest.fixture(scope="module")
def target() -> Iterator[GatewayProcess]:
    """A gateway that forgets soon who has left; nothing in its log may be worse than information."""
    running = start_gateway(TRANSCRIBER="none", SESSION_DETACHED_TTL_S="1", CLOSED_RETENTION_S="0")
    yield running
    assert running.stop() == 0
    assert not [record for record in running.records() if record["level"] not in ("debug", "info")]


def refused(port: int, messages: list[str]) -> list[str]:
    """The codes that `messages` are answered with; at the end a good message must be understood."""
    with RawPeer.dial(port) as peer:
        codes = []
        for at in range(0, len(messages), AT_ONCE):
            some = messages[at : at + AT_ONCE]
            peer.send(b"".join(text(message) for message in some))
            codes += [peer.until("error")["code"] for _ in some]
        peer.control(type="ping", t="still here")
        assert peer.until("pong")["t"] == "still here"
        peer.send(close())
        assert peer.ending() == ([], 1000)
    return codes


@pytest.mark.parametrize("message", [*MISTAKES, *BOMBS], ids=lambda message: repr(message[:40]))
def test_each_is_refused_by_name(target: GatewayProcess, message: str) -> None:
    """And the next one is heard as if nothing had been."""
    (code,) = refused(target.port, [message])
    assert code in REFUSALS


def test_ten_thousand_of_them(target: GatewayProcess) -> None:
    """Each has its answer; the gateway grows by less than 10 MiB, its log by a few lines a connection, and
    those who speak meanwhile lose nothing."""
    for seed in range(5):  # what grows once, grows here
        refused(target.port, list(itertools.islice(endless(1_000 + seed), EACH)))
    before, lines = footprint(target.pid), len(target.log)
    messages = [list(itertools.islice(endless(seed), EACH)) for seed in range(CONNECTIONS)]
    with beside(target.ws_url, 10), ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda some: refused(target.port, some), messages))
    assert sum(map(len, answers)) == CONNECTIONS * EACH
    assert {code for codes in answers for code in codes} <= REFUSALS
    assert footprint(target.pid).rss - before.rss < GROWTH_BYTES
    assert len(target.log) - lines <= (CONNECTIONS + 10) * LINES_EACH


def test_msgpack_bombs_are_just_audio(target: GatewayProcess) -> None:
    """Binary messages are never parsed: maps in maps, lengths of 4 GiB, and what else there is."""
    bombs = (
        b"\x81" * 3_200,
        b"\xdf\xff\xff\xff\xff" * 640,
        b"\xdd\xff\xff\xff\xff" * 640,
        b"\xc6\xff\xff\xff\xff",
    )
    with RawPeer.dial(target.port) as peer:
        peer.send(*map(binary, bombs))
        peer.control(type="end")
        assert peer.until("summary")["received_samples"] == sum(map(len, bombs)) // 2


def test_positions_far_away(target: GatewayProcess) -> None:
    """Behind: that much is trimmed and no more. Ahead: a gap, up to a day; further is refused."""
    day = 24 * 3_600 * 16_000
    with RawPeer.dial(target.port) as peer:
        peer.send(binary(bytes(3_200)))
        for sample in (1_600 + day + 1, -1, 2**53, 2**63):
            peer.control(type="position", sample=sample)
            assert peer.until("error")["code"] == "invalid_field"
        peer.control(type="position", sample=0)
        peer.send(binary(bytes(3_200 + 200)))
        peer.control(type="position", sample=1_700 + day)
        gap = peer.until("gap")
        assert (gap["start_sample"], gap["end_sample"], gap["reason"]) == (1_700, 1_700 + day, "client")
        peer.send(binary(bytes(320)))
        peer.control(type="end")
        summary = peer.until("summary")
        assert (summary["received_samples"], summary["gap_samples"]) == (1_860, day)
        assert summary["next_sample"] == summary["classified_samples"] + summary["gap_samples"]


def test_what_is_said_of_a_bomb_is_small(target: GatewayProcess) -> None:
    """An error repeats no more than a name's beginning: a peer can't make others carry what it sent."""
    for message in BOMBS:
        with RawPeer.dial(target.port) as peer:
            peer.send(text(message))
            assert len(json.dumps(peer.until("error"))) < 1_000
