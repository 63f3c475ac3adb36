"""The rolling context: the last seconds of a session to the sample, and nothing that wasn't heard."""

import msgpack  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.classify.onnx.context import (
    KEY,
    Context,
    Contexts,
    InProcess,
    InState,
    by_length,
    extended,
    place,
)
from gateway.classify.onnx.spec import Keep
from gateway.classify.port import SAMPLE_RATE, Window
from gateway.clock import ManualClock
from tests.gateway.classify.onnx.cuts import sound, windows

SOUND = sound(20 * SAMPLE_RATE)


@given(
    st.integers(3_200, 80_000),
    st.floats(0.1, 1.0),
    st.integers(8_000, 160_000),
)
@settings(max_examples=60, deadline=None)
def test_it_is_the_last_seconds_whatever_the_hop(window: int, part: float, most: int) -> None:
    """After each window the context is the session's last samples, as many as it may hold."""
    before: Context | None = None
    for one in windows(SOUND, window=window, hop=max(1_600, round(window * part))):
        before = extended(before, one, most)
        end = round(one.end_s * SAMPLE_RATE)
        assert before.end == end
        assert np.array_equal(before.samples, SOUND[max(0, end - most) : end])


@given(st.lists(st.integers(1_600, 40_000), min_size=1, max_size=30), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_flushed_windows_of_any_length(lengths: list[int], off: int) -> None:
    """Windows of changing lengths, ends told with a rounding error, and still no sample twice or missing."""
    before: Context | None = None
    end, most = 0, 64_000
    for i, length in enumerate(lengths):
        end += length
        if end > len(SOUND):
            break
        told_s = (end + (i * off) % 3 - 1) / SAMPLE_RATE  # one sample early, right, or late
        before = extended(before, Window(SOUND[end - length : end], length, told_s, {}), most)
        assert np.array_equal(before.samples, SOUND[max(0, end - most) : end])


def test_a_hole_begins_it_anew() -> None:
    """What follows a gap isn't joined to what came before it."""
    first, second, third, fourth = list(windows(SOUND[: 4 * SAMPLE_RATE]))
    before = extended(extended(None, first, 64_000), second, 64_000)
    assert len(before.samples) == 2 * SAMPLE_RATE
    after = extended(before, fourth, 64_000)
    assert np.array_equal(after.samples, fourth.samples)
    assert len(extended(before, third, 64_000).samples) == 3 * SAMPLE_RATE


def test_a_hole_that_the_next_window_covers_is_none() -> None:
    """Where windows overlap, the next one brings what a failed one would have."""
    first, second, third = list(windows(SOUND[: 2 * SAMPLE_RATE], hop=SAMPLE_RATE // 2))
    before = extended(None, first, 64_000)
    after = extended(before, third, 64_000)
    assert np.array_equal(after.samples, SOUND[: 2 * SAMPLE_RATE])
    assert second.owned == SAMPLE_RATE // 2


def test_a_clock_that_goes_back_begins_it_anew() -> None:
    """Windows that come again, or out of order, never put samples where they weren't."""
    first, second = list(windows(SOUND[: 2 * SAMPLE_RATE]))
    before = extended(extended(None, first, 64_000), second, 64_000)
    assert np.array_equal(extended(before, second, 64_000).samples, second.samples)
    assert np.array_equal(extended(before, first, 64_000).samples, first.samples)


def test_a_long_window_is_its_own_context() -> None:
    """A window as long as the context needs nothing from before, and a longer one gives its end."""
    (one,) = windows(SOUND[:80_000], window=80_000)
    stray = Context(0, SOUND[:5])
    assert np.array_equal(extended(stray, one, 64_000).samples, SOUND[16_000:80_000])


@pytest.mark.parametrize("keep", list(Keep))
def test_wherever_it_is_kept(keep: Keep) -> None:
    """Kept by name or in the state, it comes back as it was; other sessions have their own."""
    contexts: Contexts = place(keep, ManualClock())
    states: dict[str, dict[str, object]] = {"a": {}, "b": {}}
    rows = {name: windows(sound(10 * SAMPLE_RATE, i), session=name, state=states[name]) for i, name in
            enumerate(states)}  # fmt: skip
    for _ in range(10):
        for row in rows.values():
            one = next(row)
            contexts.put(one, extended(contexts.get(one), one, 64_000))
    for i, name in enumerate(states):
        last = Window(SOUND[:1], 1, 10.0, states[name], name)
        found = contexts.get(last)
        assert found is not None
        assert np.array_equal(found.samples, sound(10 * SAMPLE_RATE, i)[-64_000:])
        contexts.forget(name)
        assert (contexts.get(last) is None) == (keep is Keep.PROCESS)
    contexts.forget("never heard of")


def test_in_the_state_it_survives_msgpack() -> None:
    """Packed, moved and unpacked, the context goes on; other keys of the state stay."""
    contexts, state = InState(), {KEY: {"course": [1]}, "acoustic": {}}
    first, second = list(windows(SOUND[: 2 * SAMPLE_RATE], state=state))
    contexts.put(first, extended(None, first, 64_000))
    moved = msgpack.unpackb(msgpack.packb(state))
    assert moved[KEY]["course"] == [1]
    there = Window(second.samples, second.owned, second.end_s, moved)
    assert np.array_equal(extended(contexts.get(there), there, 64_000).samples, SOUND[: 2 * SAMPLE_RATE])


@pytest.mark.parametrize("held", [None, 3, [], [1], ["a", b""], [1, b"odd"], [1, "text"]])
def test_a_strange_state_holds_no_context(held: object) -> None:
    """A state of somebody else's, or of another version, is taken for a new one."""
    one = Window(SOUND[:100], 100, 1.0, {KEY: {"heard": held}})
    assert InState().get(one) is None
    assert InState().get(Window(SOUND[:100], 100, 1.0, {KEY: held})) is None


def test_windows_without_a_name_stand_alone() -> None:
    """Nameless windows may be of different sessions."""
    contexts = InProcess(ManualClock())
    one = Window(SOUND[:100], 100, 1.0, {})
    contexts.put(one, extended(None, one, 64_000))
    assert contexts.get(one) is None
    assert len(contexts) == 0


def test_idle_sessions_are_let_go() -> None:
    """Who isn't heard for a while is forgotten, though nobody said that the session is over."""
    clock = ManualClock()
    contexts = InProcess(clock, idle_s=60.0)
    old, young, new = (Window(SOUND[:100], 100, 1.0, {}, name) for name in ("old", "young", "new"))
    contexts.put(old, Context(1, SOUND[:1]))
    contexts.put(young, Context(1, SOUND[:1]))
    clock.advance(50.0)
    contexts.put(young, Context(1, SOUND[:1]))
    clock.advance(11.0)
    contexts.put(new, Context(1, SOUND[:1]))
    assert contexts.get(old) is None
    assert contexts.get(young) is not None
    assert len(contexts) == 2


def test_there_is_a_bound() -> None:
    """Beyond it the session goes that was heard longest ago."""
    contexts = InProcess(ManualClock(), most=3)
    named = [Window(SOUND[:100], 100, 1.0, {}, str(i)) for i in range(4)]
    for one in (*named[:3], named[0], named[3]):
        contexts.put(one, Context(1, SOUND[:1]))
    assert [contexts.get(one) is not None for one in named] == [True, False, True, True]


def test_there_is_a_bound_of_bytes() -> None:
    """However few contexts they are; what was forgotten or replaced counts no more."""
    contexts = InProcess(ManualClock(), most_bytes=1_000)
    named = [Window(SOUND[:100], 100, 1.0, {}, str(i)) for i in range(4)]
    for one in (*named[:3], named[0], named[0]):
        contexts.put(one, Context(1, SOUND[:160]))
    contexts.forget("1")
    contexts.forget("1")
    contexts.put(named[3], Context(1, SOUND[:180]))
    assert [contexts.get(one) is not None for one in named] == [True, False, True, True]
    contexts.put(named[1], Context(1, SOUND[:1]))
    assert [contexts.get(one) is not None for one in named] == [True, True, False, True]
    contexts.put(named[2], Context(1, SOUND[:501]))
    assert len(contexts) == 0


@given(st.lists(st.integers(1, 4), max_size=40), st.integers(1, 8))
def test_rows_of_one_length_go_together(lengths: list[int], most: int) -> None:
    """Each context is in one group, with others of its length, and no group is too large."""
    groups = by_length([SOUND[:length] for length in lengths], most)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    assert all(len({lengths[i] for i in group}) == 1 and len(group) <= most for group in groups)
