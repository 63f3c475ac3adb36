"""What waits for the store: in order, bounded, and honest about what had no room."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.ports import Entry
from gateway.sessions.shared import Loss, StreamBounds
from gateway.stores.hybrid.outbox import Own
from tests.gateway.sessions.kit import entry

SIZE = entry(1).size


class Standing:
    """A writer of which only the standing matters."""

    def __init__(self) -> None:
        self.held: list[Entry] = []

    def snapshot(self) -> bytes:
        return b"now"

    def history(self) -> Sequence[Entry]:
        return self.held

    def lost(self, loss: Loss, *, unseen: bool) -> None: ...


def own(stored: int = 0, events: int = 512, size: int = 2**20) -> Own:
    return Own("s", "a", "e", 1, 1, stored, StreamBounds(events, size), writer=Standing())


def test_numbers_must_follow() -> None:
    """Whatever is not next is a defect, and is not taken."""
    one = own(stored=4)
    with pytest.raises(ValueError, match="event 4 where 5 was due"):
        one.add(entry(4))
    assert (one.add(entry(5)), one.top, one.waiting) == (0, 5, 1)


def test_the_newest_stays_however_big_it_is() -> None:
    """A bound in bytes holds for those before it."""
    one = own(size=2 * SIZE)
    assert one.add(entry(1)) == 0
    assert one.add(entry(2, label="x" * 10 * SIZE)) == 1
    assert [it.seq for it in one.commit().entries] == [2]


def test_what_it_commits_names_its_claim() -> None:
    """And where things stand, if somebody can tell and it is asked for."""
    one = own()
    for seq in (1, 2, 3):
        one.add(entry(seq))
    whole, without = one.commit(), one.commit(standing=False)
    assert (whole.session_id, whole.node, whole.gen, whole.epoch) == ("s", "a", 1, "e")
    assert ([it.seq for it in whole.entries], whole.after_hole) == ([1, 2, 3], False)
    assert (whole.snapshot, without.snapshot) == (b"now", None)
    one.writer = None
    assert one.commit().snapshot is None


def test_readers_hear_of_each_event_once() -> None:
    """However often it is said that they may see it."""
    one, seen = own(), list[int]()
    one.on_commit = seen.append
    for to in (2, 1, 2, 5):
        one.publish(to)
    assert seen == [2, 5]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 4)),
        st.tuples(st.just("commit"), st.integers(1, 3)),
        st.tuples(st.just("in doubt"), st.integers(1, 3)),
        st.tuples(st.just("fall back"), st.integers(1, 5)),
    ),
    max_size=40,
)


@given(steps, st.integers(1, 6), st.booleans())
def test_nothing_is_left_out_unless_a_hole_is_declared(
    plan: list[tuple[str, int]], bound: int, remembers: bool
) -> None:
    """A store that takes only what follows, or what is said to follow a hole, has in the end all that had
    room; a hole is declared exactly where something is missing. Answers may get lost, and so may events."""
    one, writer = own(events=bound), Standing()
    one.writer = writer
    stored: list[int] = []
    said = 0
    for step, count in plan:
        if step == "say":
            for _ in range(count):
                said += 1
                one.add(entry(said))
                if remembers:
                    writer.held.append(entry(said))
        elif step == "fall back":
            del stored[max(0, len(stored) - count) :]
            if (stored[-1] if stored else 0) < one.stored:
                one.fall_back(stored[-1] if stored else 0)
        else:
            commit_once(one, stored, answered=step == "commit")
        assert one.top == said
        assert one.waiting <= bound or remembers
    while one.waiting:
        commit_once(one, stored, answered=True)
    assert stored == sorted(set(stored))
    assert one.stored == (stored[-1] if stored else 0) or not said
    if said and one.stored == said:
        assert not one.holed


def commit_once(one: Own, stored: list[int], *, answered: bool) -> None:
    """As the store and its caller do it."""
    commit = one.commit()
    top = stored[-1] if stored else 0
    if commit.entries:
        first = commit.entries[0].seq
        assert commit.after_hole == (first != one.stored + 1)
        if first > top if commit.after_hole else first == top + 1:
            assert commit.after_hole or first == top + 1
            stored += [it.seq for it in commit.entries]
        elif answered:
            one.done(top)
            one.publish(top)
            return
    if answered and commit.entries:
        one.done(commit.entries[-1].seq)
        one.publish(commit.entries[-1].seq)
