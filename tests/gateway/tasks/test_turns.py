"""Turns of those who wait: by namespace, then by session, each in the order in which it came."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tasks.turns import Turns

Waiting = tuple[str | None, str, int]
NAMES = st.tuples(st.sampled_from([None, "one", "two"]), st.sampled_from("abc"))


def taken(turns: Turns[Waiting]) -> list[Waiting]:
    """All that wait, as they are handed out."""
    return [turns.take() for _ in range(len(turns))]


def filled(names: Sequence[tuple[str | None, str]]) -> tuple[Turns[Waiting], list[Waiting]]:
    turns: Turns[Waiting] = Turns()
    items = [(*name, index) for index, name in enumerate(names)]
    for item in items:
        turns.add(item[0], item[1], item)
    return turns, items


def test_a_namespace_that_asks_for_little_does_not_wait_for_one_that_asks_for_much() -> None:
    """Nor a session of the same namespace."""
    names = [("much", "a")] * 3 + [("much", "b"), ("little", "c")]
    turns, items = filled(names)
    assert taken(turns) == [items[index] for index in (0, 4, 3, 1, 2)]


def test_nothing_is_taken_from_nobody() -> None:
    """And whoever leaves twice, or was never there, changes nothing."""
    turns, [item] = filled([(None, "a")])
    turns.remove(None, "b", item)
    turns.remove("one", "a", item)
    assert (len(turns), turns.of(None), turns.of("one")) == (1, 1, 0)
    turns.remove(None, "a", item)
    turns.remove(None, "a", item)
    assert len(turns) == 0
    with pytest.raises(StopIteration):
        turns.take()


@given(names=st.lists(NAMES, max_size=30), gone=st.sets(st.integers(0, 29)))
def test_everybody_is_served_once_in_order_and_in_turn(
    names: list[tuple[str | None, str]], gone: set[int]
) -> None:
    """Each session's in the order of their coming; whose turn it is was served no more than the others."""
    turns, items = filled(names)
    for item in items:
        if item[2] in gone:
            turns.remove(item[0], item[1], item)
    left = [item for item in items if item[2] not in gone]
    order = taken(turns)
    assert sorted(order, key=lambda item: item[2]) == left
    for name in set(names):
        assert [item for item in order if item[:2] == name] == [item for item in left if item[:2] == name]
    for place, item in enumerate(order):
        since = [other[0] for other in order[:place]]
        waiting = {other[0] for other in order[place:]}
        served = {one: since.count(one) for one in waiting}
        assert served[item[0]] == min(served.values())
