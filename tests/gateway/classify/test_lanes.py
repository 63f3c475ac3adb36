"""Whose turn it is: round the namespaces, then round the lanes of each."""

import pytest

from gateway.classify.lanes import Lane, Turns


def standing(*lanes: Lane) -> Turns:
    turns = Turns()
    for lane in lanes:
        turns.add(lane)
    return turns


def test_namespaces_take_turns_whatever_their_size() -> None:
    """A tenant with one session is served as soon as one with four."""
    large, small = [Lane(namespace="large") for _ in range(4)], Lane(namespace="small")
    turns = standing(*large, small)
    assert [turns.next() for _ in range(5)] == [large[0], small, *large[1:]]


def test_sessions_of_nobody_share_one_turn() -> None:
    """Without keys there is no namespace, which counts as one."""
    nobody, somebody = [Lane(), Lane(), Lane()], Lane(namespace="a")
    turns = standing(*nobody, somebody)
    assert [turns.next() for _ in range(3)] == [nobody[0], somebody, nobody[1]]


def test_a_lane_stands_once_and_keeps_its_place() -> None:
    """Adding it again changes nothing."""
    first, second = Lane(), Lane()
    turns = standing(first, second, first)
    assert (len(turns), turns.next(), turns.next(), len(turns)) == (2, first, second, 0)


def test_nobody_is_next_where_nobody_stands() -> None:
    """Asking is a mistake, and told as one."""
    with pytest.raises(IndexError):
        Turns().next()


def test_who_is_taken_out_is_not_next() -> None:
    """From the middle of a row, as the last of its namespace, or having never stood there."""
    first, gone, last = Lane(namespace="a"), Lane(namespace="a"), Lane(namespace="b")
    turns = standing(first, gone, last)
    for lane in (gone, last, gone, Lane(namespace="c")):
        turns.remove(lane)
    assert (len(turns), turns.next(), len(turns)) == (1, first, 0)


def test_a_namespace_keeps_its_place_while_its_only_session_is_away() -> None:
    """Else whoever has more sessions would slip in before it, again and again."""
    large, one, two = [Lane(namespace="large") for _ in range(2)], Lane(namespace="1"), Lane(namespace="2")
    turns = standing(*large, one, two)
    served: list[Lane] = []
    for _ in range(60):
        away = [turns.next(), turns.next()]
        served += away
        for lane in away:
            turns.add(lane)
            turns.back(lane)
    assert [sum(lane.namespace == name for lane in served) for name in ("large", "1", "2")] == [40, 40, 40]


def test_who_was_idle_has_saved_up_one_turn_only() -> None:
    """It goes first, and then like everybody."""
    idle, busy = Lane(), [Lane(), Lane()]
    turns = standing(idle, *busy)
    turns.back(turns.next())
    for _ in range(10):
        lane = turns.next()
        turns.add(lane)
        turns.back(lane)
    turns.add(idle)
    order = []
    for _ in range(6):
        lane = turns.next()
        order.append(lane)
        turns.add(lane)
        turns.back(lane)
    assert order == [idle, *busy, idle, *busy]


def test_nothing_is_kept_of_namespaces_that_left() -> None:
    """Whoever names a new one with each session fills no memory."""
    turns = Turns()
    for number in range(10):
        lane = Lane(namespace=str(number))
        turns.add(lane)
        if number % 2:
            turns.remove(lane)
        else:
            turns.back(turns.next())
    assert turns._spaces == {}
