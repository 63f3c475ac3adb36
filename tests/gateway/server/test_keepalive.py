"""A peer that doesn't answer is given up; everything else keeps the connection."""

import pytest

from gateway.server.keepalive import Keepalive
from tests.gateway.server.hand import HandLoop


class Probe:
    """A keepalive, and what it did."""

    def __init__(self, timeout_s: float | None = 10.0) -> None:
        self.loop = HandLoop()
        self.pings: list[bytes] = []
        self.given_up = 0
        self.keepalive = Keepalive(self.loop, 15.0, timeout_s, self.pings.append, self._silent)  # type: ignore[arg-type]
        self.keepalive.start()

    def _silent(self) -> None:
        self.given_up += 1


def test_a_silent_peer_is_given_up_within_interval_and_timeout() -> None:
    """One ping, and 25 s after the last sign of life the end."""
    probe = Probe()
    probe.loop.advance(24.9)
    assert (len(probe.pings), probe.given_up) == (1, 0)
    probe.loop.advance(0.1)
    assert probe.given_up == 1
    probe.loop.advance(100)
    assert (len(probe.pings), probe.given_up) == (1, 1)


def test_a_peer_that_answers_is_kept() -> None:
    """A ping every interval, each of its own."""
    probe = Probe()
    for n in range(1, 50):
        probe.loop.advance(15)
        assert len(probe.pings) == n
        probe.keepalive.ponged(probe.pings[-1])
    assert (len(set(probe.pings)), probe.given_up) == (49, 0)


@pytest.mark.parametrize("pong", [b"", b"guess", b"\0\0\0\0"])
def test_only_the_pings_own_pong_counts(pong: bytes) -> None:
    """A peer that sends pongs without reading pings is not alive."""
    probe = Probe()
    probe.keepalive.ponged(pong)
    probe.loop.advance(15)
    probe.keepalive.ponged(pong)
    probe.loop.advance(10)
    assert probe.given_up == 1


def test_a_pong_counts_once() -> None:
    """The last ping's pong, said again, keeps nobody alive."""
    probe = Probe()
    probe.loop.advance(15)
    first = probe.pings[0]
    probe.keepalive.ponged(first)
    probe.loop.advance(15)
    probe.keepalive.ponged(first)
    probe.loop.advance(10)
    assert probe.given_up == 1


def test_without_a_timeout_nobody_is_given_up() -> None:
    """Pings go on all the same, for the sake of what is between."""
    probe = Probe(timeout_s=None)
    probe.loop.advance(61)
    assert (len(probe.pings), probe.given_up) == (4, 0)


def test_stopped_it_does_nothing_more() -> None:
    """No timer is left behind."""
    probe = Probe()
    probe.loop.advance(15)
    probe.keepalive.stop()
    probe.keepalive.stop()
    assert probe.loop.pending == 0
