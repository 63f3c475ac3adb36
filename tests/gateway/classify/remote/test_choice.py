"""The power of two choices."""

import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.remote.choice import choose


@given(loads=st.lists(st.integers(0, 9), min_size=1, max_size=8), seed=st.integers(0, 2**32))
def test_never_the_worst_of_several(loads: list[int], seed: int) -> None:
    """One of them is chosen, and the busiest never, where it alone is."""
    chosen = choose(loads, random.Random(seed).randrange)
    assert 0 <= chosen < len(loads)
    if len(loads) > 1 and sorted(loads)[-1] > sorted(loads)[-2]:
        assert loads[chosen] < max(loads)


def test_of_two_the_freer() -> None:
    """Whichever was drawn first."""
    for seed in range(20):
        assert choose([3, 1], random.Random(seed).randrange) == 1
        assert choose([1, 3], random.Random(seed).randrange) == 0


def test_equal_ones_share() -> None:
    """About evenly."""
    draw = random.Random(7).randrange
    counts = [0, 0, 0, 0]
    for _ in range(4_000):
        counts[choose([2, 2, 2, 2], draw)] += 1
    assert min(counts) > 850
