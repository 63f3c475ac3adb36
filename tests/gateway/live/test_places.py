"""Places: promised, held, lapsed; never more than there are."""

from gateway.clock import ManualClock
from gateway.live.places import GRACE_S, Places


class Node:
    """Places for three sessions, and how many are live."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.live = 0
        self.places = Places(3, 30.0, lambda: self.live, self.clock)

    def make(self, session_id: str) -> None:
        with self.places.promise() as promised_to:
            promised_to(session_id)


def test_a_place_is_taken_while_its_session_is_made() -> None:
    """Others ask while the store is waited for."""
    node = Node()
    with node.places.promise(), node.places.promise():
        assert (node.places.taken, node.places.full) == (2, False)
        node.live = 1
        assert node.places.full


def test_a_session_that_could_not_be_made_takes_none() -> None:
    """Its place is free again at once."""
    node = Node()
    with node.places.promise():
        pass
    assert node.places.taken == 0


def test_a_promise_goes_over_into_the_live_session() -> None:
    """It is not counted twice."""
    node = Node()
    node.make("a")
    node.live += 1
    node.places.release("a")
    assert node.places.taken == 1


def test_a_promise_nobody_came_for_lapses_after_the_session() -> None:
    """A moment after its deadline, and each on its own."""
    node = Node()
    node.make("early")
    node.clock.advance(10)
    node.make("late")
    node.clock.advance(20)
    assert node.places.taken == 2
    node.clock.advance(GRACE_S)
    assert node.places.taken == 1


def test_what_was_never_promised_can_be_released() -> None:
    """Sessions that are purged long after they were attached to."""
    node = Node()
    node.places.release("unknown")
    assert node.places.taken == 0
