import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio.ring import Ring, RingOverrunError

write = st.tuples(st.just("write"), st.integers(0, 60))
resize = st.tuples(st.just("resize"), st.integers(1, 40))
restart = st.tuples(st.just("restart"), st.integers(0, 1000))


def joined(ring: Ring, start: int, stop: int) -> list[int]:
    return [int(sample) for view in ring.views(start, stop) for sample in view]


@given(st.integers(1, 30), st.lists(st.one_of(write, write, resize, restart), max_size=40))
@settings(max_examples=200, deadline=None)
def test_holds_what_a_plain_list_would(capacity: int, steps: list[tuple[str, int]]) -> None:
    """After any writes, resizes and restarts the ring gives what a dictionary of the newest samples gives."""
    ring = Ring(capacity)
    held: dict[int, int] = {}
    head = value = 0
    for step, n in steps:
        if step == "write":
            samples = np.arange(value, value + n, dtype=np.int16)
            ring.write(samples)
            held.update({head + i: value + i for i in range(n)})
            head, value = head + n, value + n
        elif step == "resize":
            ring.resize(n)
            capacity = n
        else:
            ring.restart(n)
            held, head = {}, n
        held = {i: v for i, v in held.items() if i >= head - capacity}
        assert ring.head == head
        assert ring.capacity == capacity
        assert ring.oldest == min(held, default=head)
        assert joined(ring, ring.oldest, ring.head) == [held[i] for i in sorted(held)]


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_bytes_are_native_int16(wrap: type[bytes] | type[bytearray] | type[memoryview]) -> None:
    """Bytes of any bytes-like type are the same as the array they come from, across the wrap too."""
    samples = np.arange(-5, 5, dtype=np.int16)
    ring = Ring(7, start=4)
    ring.write(wrap(samples.tobytes()))
    assert ring.head == 14
    assert joined(ring, 7, 14) == [-2, -1, 0, 1, 2, 3, 4]


def test_views_copy_nothing() -> None:
    """Reading gives the buffer itself: one view where the samples lie together, two where they wrap."""
    ring = Ring(8)
    ring.write(np.arange(10, dtype=np.int16))
    (whole,) = ring.views(2, 7)
    first, second = ring.views(6, 10)
    assert np.shares_memory(whole, ring.views(2, 8)[0])
    assert np.shares_memory(whole, first)
    assert (len(first), len(second)) == (2, 2)


def test_copy_into_fills_the_front_of_a_row() -> None:
    """A wrapped stretch arrives in order, and the rest of the row is left alone."""
    ring = Ring(8)
    ring.write(np.arange(12, dtype=np.int16))
    row = np.full(8, 99, np.int16)
    ring.copy_into(row, 5, 11)
    assert row.tolist() == [5, 6, 7, 8, 9, 10, 99, 99]


def test_what_is_gone_is_told_from_what_never_was() -> None:
    """Overwritten samples raise RingOverrunError, unwritten ones a plain IndexError."""
    ring = Ring(4)
    ring.write(np.zeros(6, np.int16))
    with pytest.raises(RingOverrunError):
        ring.views(1, 3)
    with pytest.raises(IndexError) as unwritten:
        ring.views(3, 7)
    assert not isinstance(unwritten.value, RingOverrunError)
    with pytest.raises(IndexError):
        ring.views(5, 4)


def test_a_ring_needs_room() -> None:
    """A capacity of nothing is refused."""
    with pytest.raises(ValueError, match="at least one"):
        Ring(0)
