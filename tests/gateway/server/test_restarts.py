"""When a process that ended is replaced, and when no more."""

from gateway.server.restarts import FIRST_S, MOST, STEADY_S, Restarts


def test_each_next_one_waits_twice_as_long() -> None:
    """Until it has no more point."""
    place = Restarts()
    assert [place.after(1.0) for _ in range(MOST)] == [FIRST_S * 2**n for n in range(MOST)]
    assert place.after(1.0) is None


def test_one_that_was_steady_begins_anew() -> None:
    """What became of those before it doesn't count any more."""
    place = Restarts()
    for _ in range(MOST):
        place.after(1.0)
    assert place.after(STEADY_S) == FIRST_S
    assert place.after(1.0) == 2 * FIRST_S
