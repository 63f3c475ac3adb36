"""The memory that the gateway and a worker share."""

import os
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.acoustic.slab import CAPACITY, Slab, parts


def test_what_one_side_puts_the_other_sees() -> None:
    """Without a copy: views of one memory, in order."""
    ours = Slab()
    theirs = Slab(os.dup(ours.fd))
    rng = np.random.default_rng(1)
    windows = [rng.integers(-32_768, 32_767, size, dtype=np.int16) for size in (1, 16_000, 7, 80_000)]
    views = theirs.views([len(one) for one in windows])
    ours.put(windows)
    for view, window in zip(views, windows, strict=True):
        np.testing.assert_array_equal(view, window)
        assert not view.flags.owndata
    ours.close()
    ours.close()
    theirs.close()


def test_its_descriptor_is_closed() -> None:
    """And its memory has no name anywhere."""
    slab = Slab()
    assert os.readlink(f"/proc/self/fd/{slab.fd}").startswith("/memfd:")
    fd = slab.fd
    slab.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.parametrize("lengths", [[CAPACITY + 1], [CAPACITY, 1], [-1, 2]])
def test_nobody_looks_past_its_end(lengths: list[int]) -> None:
    """Whatever lengths a message names."""
    slab = Slab()
    with pytest.raises(ValueError, match="room"):
        slab.views(lengths)
    slab.close()


@given(st.lists(st.integers(0, 50), max_size=40))
def test_windows_are_parted_so_that_they_fit(lengths: list[int]) -> None:
    """All of them, in order, as many together as fit; only one that never fits stands alone and too long."""
    found = parts(lengths, most=40)
    assert [place for part in found for place in part] == list(range(len(lengths)))
    for part in found:
        assert sum(lengths[place] for place in part) <= 40 or len(part) == 1
    for one, other in pairwise(found):
        assert sum(lengths[place] for place in one) + lengths[other.start] > 40
