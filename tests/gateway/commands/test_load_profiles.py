"""When sessions start, how long they last and when they are measured: decided before a run begins."""

from itertools import islice

import pytest

from gateway.commands.load_profiles import Profile, Shape, Start, spread


def live(starts: list[Start], at_s: float) -> int:
    """Sessions that are live at a moment."""
    return sum(one.at_s <= at_s < one.at_s + one.audio_s for one in starts)


@pytest.mark.parametrize("count", [0, 1, 2, 500])
def test_starts_are_spread_evenly_and_always_the_same(count: int) -> None:
    """From 0 to the end of the ramp, in order."""
    times = spread(count, 5.0)
    assert times == sorted(times) == spread(count, 5.0)
    assert len(times) == count
    assert times[:1] == [0.0] * min(count, 1)
    assert all(0 <= one <= 5 for one in times)


@pytest.mark.parametrize("profile", [Profile.HOLD, Profile.STORM])
def test_hold_measures_while_all_are_live(profile: Profile) -> None:
    """All start within the ramp and have the same length; in between, all are live."""
    shape = Shape(profile, 50, 20.0, 4.0)
    starts = list(shape.starts())
    [stretch] = shape.stretches()
    assert {one.audio_s for one in starts} == {20.0}
    assert (stretch.begin_s, stretch.end_s) == (4.0, 20.0)
    assert live(starts, stretch.begin_s) == live(starts, stretch.end_s - 0.01) == 50


def test_ramp_rises_step_by_step() -> None:
    """Each step has its sessions before it is measured, and all end together."""
    shape = Shape(Profile.RAMP, 100, 40.0, 1.0, steps=4)
    starts = list(shape.starts())
    assert [one.at_s for one in starts] == sorted(one.at_s for one in starts)
    assert {round(one.at_s + one.audio_s, 6) for one in starts} == {40.0}
    assert [one.sessions for one in shape.stretches()] == [25, 50, 75, 100]
    for stretch in shape.stretches():
        assert live(starts, stretch.begin_s) == live(starts, stretch.end_s - 0.01) == stretch.sessions
        assert stretch.from_s < stretch.begin_s < stretch.end_s


def test_ramp_of_an_odd_number_ends_with_all() -> None:
    """Steps are as even as whole numbers allow."""
    assert [one.sessions for one in Shape(Profile.RAMP, 10, 9.0, 1.0, steps=3).stretches()] == [4, 7, 10]


def test_soak_replaces_what_ends() -> None:
    """As many are live all the time while each is replaced; lifetimes have the mean asked for."""
    shape = Shape(Profile.SOAK, 40, 600.0, 5.0, lifetime_s=10.0)
    starts = list(shape.starts())
    assert [one.at_s for one in starts] == sorted(one.at_s for one in starts)
    assert all(live(starts, at) == 40 for at in range(6, 598, 7))
    assert max(one.at_s + one.audio_s for one in starts) <= 600.0 + 1e-6
    early = [one.audio_s for one in starts if one.at_s < 400]
    assert sum(early) / len(early) == pytest.approx(10.0, rel=0.1)
    assert min(one.audio_s for one in starts) >= 1.0


def test_a_soak_of_a_day_is_decided_as_it_goes() -> None:
    """Starts are made one by one, not all before the run."""
    shape = Shape(Profile.SOAK, 1_000, 86_400.0, 10.0, lifetime_s=60.0)
    assert len(list(islice(shape.starts(), 1_500))) == 1_500
