"""How many workers and how large a batch, from what was measured: whatever that was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.acoustic import sizing
from gateway.classify.acoustic.sizing import NEAR, SIZES, WORTH, Measured, Where, Wish, decide

COSTS = {1: 2.1e-3, 4: 1.3e-3, 8: 1.14e-3, 16: 1.1e-3, 32: 1.05e-3}

seconds = st.floats(1e-6, 1.0)
measurements = st.builds(
    Measured,
    cores=st.integers(1, 256),
    costs=st.one_of(
        st.just({}),
        st.fixed_dictionaries(dict.fromkeys(SIZES, seconds)),
        st.dictionaries(st.sampled_from(SIZES), seconds),
    ),
    together=st.none() | seconds,
)
wishes = st.builds(
    Wish,
    where=st.none() | st.sampled_from(Where),
    workers=st.none() | st.integers(1, 256),
    batch=st.none() | st.integers(1, 32),
)


def test_the_largest_batch_that_costs_about_as_little_as_any() -> None:
    """Within a twentieth of the best, the one that gets most done where windows wait."""
    assert sizing.batch(Wish(), COSTS) == 32
    assert sizing.batch(Wish(), COSTS | {16: 1.02e-3}) == 32
    assert sizing.batch(Wish(), COSTS | {16: 0.99e-3}) == 16
    assert sizing.batch(Wish(), COSTS | {4: 0.5e-3}) == 4


@pytest.mark.parametrize(
    ("cores", "together", "expected"),
    [
        (1, None, 1),
        (2, 1.1e-3, 2),
        (2, 1.2e-3, 2),
        (2, 2.2e-3, 1),
        (64, 1.1e-3, 5),
        (64, 2.2e-3, 1),
    ],
)
def test_a_worker_for_each_core_that_helps(cores: int, together: float | None, expected: int) -> None:
    """As long as a second one does more work, and one event loop could feed it."""
    assert decide(Wish(), Measured(cores, COSTS, together)).workers == expected


def test_one_core_needs_no_processes() -> None:
    """Two and more do; an operator may say otherwise."""
    assert decide(Wish(), Measured(1, COSTS)).where is Where.THREAD
    assert decide(Wish(), Measured(2, COSTS)).where is Where.PROCESS
    assert decide(Wish(where=Where.PROCESS), Measured(1, COSTS)).where is Where.PROCESS
    assert decide(Wish(where=Where.THREAD), Measured(8, COSTS)).where is Where.THREAD


@given(wishes, measurements)
def test_what_was_asked_for_wins(wish: Wish, measured: Measured) -> None:
    """Whatever was measured."""
    plan = decide(wish, measured)
    assert wish.where in (None, plan.where)
    assert wish.workers in (None, plan.workers)
    assert wish.batch in (None, plan.batch)


@given(measurements)
def test_what_is_chosen_can_be_had(measured: Measured) -> None:
    """At least one worker and one window, no more workers than cores, a batch of a size that was tried."""
    plan = decide(Wish(), measured)
    assert 1 <= plan.workers <= measured.cores
    assert plan.batch in (measured.costs or SIZES)
    assert plan.why


@given(measurements)
def test_no_batch_is_chosen_that_costs_much_more_than_another(measured: Measured) -> None:
    """Nor a smaller one than could be."""
    if not measured.costs:
        return
    chosen = decide(Wish(), measured).batch
    best = min(measured.costs.values())
    assert measured.costs[chosen] <= best * (1 + NEAR)
    assert all(cost > best * (1 + NEAR) for size, cost in measured.costs.items() if size > chosen)


@given(measurements, seconds)
def test_more_that_two_do_never_makes_fewer_workers(measured: Measured, other: float) -> None:
    """The choice goes with the gain."""
    one = Measured(measured.cores, measured.costs, min(other, measured.together or other))
    two = Measured(measured.cores, measured.costs, max(other, measured.together or other))
    assert decide(Wish(), one).workers >= decide(Wish(), two).workers


def test_a_gain_too_small_is_told() -> None:
    """What was chosen says by what."""
    plan = decide(Wish(), Measured(2, COSTS, 2.2e-3))
    assert plan.workers == 1
    assert f"two workers do {2 * 1.05 / 2.2:.2f} times the work of one" in plan.why
    assert WORTH > 2 * 1.05 / 2.2
    assert "asked for: batch" in decide(Wish(batch=3), Measured(2, {})).why
