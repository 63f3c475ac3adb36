"""Quantiles over a mask."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.acoustic import masked


@given(st.lists(st.tuples(st.floats(-1e3, 1e3, width=32), st.booleans()), min_size=1, max_size=40))
def test_median_and_mean_are_those_of_the_picked(pairs: list[tuple[float, bool]]) -> None:
    """The median is one of the picked values with half on each side; nothing picked gives 0."""
    values = np.array([[value for value, _ in pairs]], dtype=np.float32)
    mask = np.array([[picked for _, picked in pairs]])
    median, mean = float(masked.median(values, mask)[0]), float(masked.mean(values, mask)[0])
    chosen = values[mask]
    if not len(chosen):
        assert median == mean == 0.0
        return
    assert median in chosen
    assert (chosen < median).sum() <= len(chosen) / 2 >= (chosen > median).sum()
    assert mean == pytest.approx(float(chosen.mean()), abs=1e-2)


def test_quantiles_row_by_row() -> None:
    """Each row has its own mask, and 0 and 1 are its least and greatest."""
    values = np.array([[5, 1, 3, 9], [2, 8, 4, 6]], dtype=np.float32)
    mask = np.array([[True, True, True, False], [False, True, True, True]])
    low, high = masked.quantiles(values, mask, (0.0, 1.0))
    assert low.tolist() == [1.0, 4.0]
    assert high.tolist() == [5.0, 8.0]
