"""How long sessions wait for answers after a node's return, and for how long it was left alone."""

from tests.chaos.fleet import Return, returns


def test_each_return_has_its_own_wait_and_rest() -> None:
    """Until the next kill, or the end; an answer that came before the return is none after it."""
    assert returns([10.0, 20.0, 30.0], [5.0, 16.0, 20.5, 35.0], [9.9, 10.25, 14.0, 22.0]) == [
        Return(alone_s=6.0, heard_s=0.25),
        Return(alone_s=0.5, heard_s=2.0),
        Return(alone_s=5.0, heard_s=None),
    ]


def test_nothing_came_back() -> None:
    assert returns([], [1.0], [2.0]) == []
