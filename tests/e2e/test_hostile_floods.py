"""Peers that send as fast as they can: told why and cut off, and nobody beside them notices."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.chaos.floods import FLOODS, Cut, Flood, flood
from tests.chaos.footprint import footprint
from tests.chaos.frames import Frame, Op, binary, more, ping, split
from tests.chaos.neighbours import beside
from tests.chaos.raw import RawPeer, codes
from tests.e2e.conftest import GatewayProcess, start_gateway

ERRORS = {4009: "flood", 4010: "overrun", 4101: "reader_too_slow"}
"""What is said before an application's close."""
NEIGHBOURS = 20
AT_ONCE = 10
"""Flooders."""
ROUNDS = 2
GROWTH_BYTES = 20 * 1024 * 1024
LINES_EACH = 6
"""Lines of log that a session may have, however it ends."""


@dataclass(frozen=True, slots=True)
class Attack:
    """What came of it."""

    cuts: Mapping[str, list[Cut]]
    grown: int
    """Bytes resident."""
    lines: int
    """Of log."""


@pytest.fixture(scope="module")
def target() -> Iterator[GatewayProcess]:
    """A gateway that forgets soon who has left; nothing in its log may be worse than information."""
    running = start_gateway(TRANSCRIBER="none", SESSION_DETACHED_TTL_S="1", CLOSED_RETENTION_S="0")
    yield running
    assert running.stop() == 0
    assert not [record for record in running.records() if record["level"] not in ("debug", "info")]


@pytest.fixture(scope="module")
def attack(target: GatewayProcess) -> Attack:
    """Ten flooders at a time, each coming back as soon as it was cut, in all manners there are. Their
    neighbours lose no sample and no pong."""
    for name in ("one-byte frames", "audio"):  # what grows once, grows here
        flood(target.port, FLOODS[name])
    before, lines = footprint(target.pid), len(target.log)

    def persist(kind: Flood) -> list[Cut]:
        return [flood(target.port, kind) for _ in range(ROUNDS)]

    with beside(target.ws_url, NEIGHBOURS), ThreadPoolExecutor(AT_ONCE) as pool:
        cuts = dict(zip(FLOODS, pool.map(persist, FLOODS.values()), strict=True))
    return Attack(cuts, footprint(target.pid).rss - before.rss, len(target.log) - lines)


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flooder_is_told_and_cut(attack: Attack, kind: str) -> None:
    """One close frame, and the error that belongs to it before; then the connection is gone."""
    for cut in attack.cuts[kind]:
        assert cut.code in FLOODS[kind].codes
        if cut.code in ERRORS:
            assert cut.errors[-1] == ERRORS[cut.code]


def test_nothing_of_them_is_kept(attack: Attack) -> None:
    """Neither in memory nor in the log, which has some lines a session, and none a frame."""
    assert attack.grown < GROWTH_BYTES
    assert attack.lines <= (len(FLOODS) * ROUNDS + NEIGHBOURS) * LINES_EACH


def test_a_message_in_64_ki_fragments(target: GatewayProcess) -> None:
    """A flood of fragments, though its message is of a size that is allowed."""
    with RawPeer.dial(target.port) as peer:
        peer.send(b"".join(split(Op.BINARY, bytes(65_536), 1)))
        events, code = peer.ending()
    assert (code, codes(events)) == (4009, ["flood"])


def test_messages_never_ended_are_held_within_bounds(target: GatewayProcess) -> None:
    """Forty peers, each a quarter of a MiB into a message: that is all they can make it hold."""
    before = footprint(target.pid)
    peers = [RawPeer.dial(target.port) for _ in range(40)]
    try:
        for peer in peers:
            peer.send(binary(bytes(65_536), fin=False), *(more(bytes(65_536)) for _ in range(3)))
            peer.send(ping(b"taken"))
            assert peer.frame() == Frame(Op.PONG, b"taken")
        assert footprint(target.pid).rss - before.rss < 40 * 2 * 256 * 1024
        for peer in peers:
            peer.send(more(b"!"))
            assert peer.ending()[1] == 1009
    finally:
        for peer in peers:
            peer.socket.close()
