"""For how long the queue has been late: from the first sign to the last, without a calm second between."""

import pytest

from gateway.classify.lateness import RECOVERY_S, Lateness


def late(*looks: tuple[float | None, float], now: float) -> float:
    """After `looks`, each at somebody who has waited since a time and at the time it is."""
    lateness = Lateness(patience_s=1.0)
    for since, when in looks:
        lateness.note(since, when)
    return lateness.seconds(now)


@pytest.mark.parametrize("looks", [(), ((None, 5.0),), ((4.0, 5.0),), ((4.5, 5.0), (4.9, 5.5))])
def test_short_waits_are_no_lateness(looks: tuple[tuple[float | None, float], ...]) -> None:
    """Nobody waits, or nobody for longer than may be."""
    assert late(*looks, now=5.5) == 0.0


def test_it_counts_from_the_moment_that_patience_ran_out() -> None:
    """Even where nobody looked at the time."""
    assert late((10.0, 14.0), now=14.0) == 3.0


def test_it_goes_on_while_others_are_late() -> None:
    """Whoever waits longest may change; what counts is that somebody waits too long."""
    assert late((10.0, 12.0), (11.0, 13.0), (12.0, 15.0), now=15.0) == 4.0


def test_calm_does_not_add_to_it() -> None:
    """It ends with its last sign, not when it is asked for."""
    assert late((10.0, 12.0), (None, 13.0), now=13.5) == 1.0


def test_a_calm_second_ends_it() -> None:
    """A second beyond the time that the next sign would need to show."""
    assert late((10.0, 20.0), now=20.0 + 1.0 + RECOVERY_S) == 0.0


def test_who_begins_to_wait_after_the_last_sign_carries_it_on() -> None:
    """The oldest was served a moment ago, and the next one becomes late in turn."""
    assert late((10.0, 12.0), (12.0, 13.5), now=13.5) == 2.5


def test_after_a_calm_second_it_counts_anew() -> None:
    """The old lateness is not added to the new one."""
    assert late((10.0, 12.0), (13.5, 15.0), now=15.0) == 0.5
