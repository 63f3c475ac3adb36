"""A voice's usual: from the prior to its own, robustly and in little space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.acoustic.baseline import (
    CAPACITY,
    FLOORS,
    MOST_Z,
    PRIOR_HF500_DB,
    PRIOR_LEVEL_DB,
    Baseline,
    Cues,
)

CUE = st.tuples(st.floats(-15, 30), st.floats(-60, 0), st.floats(-30, 20))


def known(*cues: Cues) -> Baseline:
    baseline = Baseline()
    for one in cues:
        baseline.add(one)
    return baseline


def test_a_stranger_is_measured_by_the_prior() -> None:
    """Before any window, level and balance are compared with the prior, and pitch with its nearer mode."""
    for pitch in (2.0, 11.0):
        assert Baseline().deviations((pitch, PRIOR_LEVEL_DB, PRIOR_HF500_DB)) == pytest.approx(
            (0, 0, 0), abs=0.1
        )


def test_shrinkage() -> None:
    """After n windows alike, the centre lies n / (n + 8) of the way from the prior to them."""
    for n in (1, 8, 24):
        (_, level, balance), _ = known(*[(2.0, -30.0, 0.0)] * n).reference(2.0)
        assert level == pytest.approx(PRIOR_LEVEL_DB + n / (n + 8) * (-30.0 - PRIOR_LEVEL_DB))
        assert balance == pytest.approx(PRIOR_HF500_DB * 8 / (n + 8))


def test_convergence() -> None:
    """After many windows centre and spread are the voice's own, to a tenth."""
    rng = np.random.default_rng(1)
    drawn = np.stack([rng.normal(7, 2, 600), rng.normal(-30, 4, 600), rng.normal(-4, 3, 600)], axis=1)
    centres, spreads = known(*[(a, b, c) for a, b, c in drawn.tolist()]).reference(0.0)
    assert centres == pytest.approx((7, -30, -4), abs=1.5)
    assert spreads == pytest.approx((2, 4, 3), rel=0.35)


def test_outliers_dont_move_it() -> None:
    """A quarter of shouted windows leaves the usual where it was, within a decibel."""
    calm = known(*[(5.0, -25.0, -8.0)] * 24).reference(5.0)[0]
    mixed = known(*[(5.0, -25.0, -8.0), (5.0, -25.0, -8.0), (5.0, -25.0, -8.0), (17.0, -3.0, 9.0)] * 6)
    assert mixed.reference(5.0)[0] == pytest.approx(calm, abs=1.0)


def test_floors() -> None:
    """A machine that never varies still has a spread: a semitone and 2 dB."""
    _, spreads = known(*[(5.0, -25.0, -8.0)] * 5000).reference(5.0)
    assert spreads == FLOORS


@given(st.lists(CUE, max_size=200), CUE)
def test_deviations_are_bounded_and_ordered(history: list[Cues], cue: Cues) -> None:
    """Whatever was heard, deviations lie within ±3, and a louder window never deviates less."""
    baseline = known(*history)
    here, louder = baseline.deviations(cue), baseline.deviations((cue[0], cue[1] + 3.0, cue[2]))
    assert all(-MOST_Z <= z <= MOST_Z for z in here)
    assert louder[1] >= here[1]


@given(st.integers(0, 3000))
def test_history_is_an_even_sample_of_all(count: int) -> None:
    """However long somebody speaks, at most 32 windows are kept, from the first on and evenly spread."""
    baseline = known(*[(0.0, float(i) / 100.0, 0.0) for i in range(count)])
    kept = [level for _, level, _ in baseline.history]
    assert len(kept) <= CAPACITY
    assert kept == list(range(0, count, baseline.stride))
    assert baseline.count == count
    assert len(kept) >= min(count, CAPACITY // 2)
