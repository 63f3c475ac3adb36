"""How many windows a call may take: as many as are answered in time, and always one to find out."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.remote.pace import Pace

DEADLINE_S = 2.0
CALLS = st.lists(st.tuples(st.integers(1, 32), st.floats(0.001, DEADLINE_S)), min_size=1, max_size=40)


def paced(calls: list[tuple[int, float]]) -> Pace:
    pace = Pace(DEADLINE_S)
    for windows, seconds in calls:
        pace.took(windows, seconds)
    return pace


def test_before_anything_is_known_there_is_no_bound() -> None:
    assert Pace(DEADLINE_S).room(0.01) > 1_000


def test_a_slow_sidecar_is_asked_less_and_a_quick_one_soon_more() -> None:
    """A quarter of a second a window: four in half the deadline. Quick again, it is believed soon."""
    pace = paced([(8, 2.0)] * 10)
    assert pace.room(DEADLINE_S) == 4
    assert pace.room(0.6) == 2
    for _ in range(32):
        pace.took(4, 0.01)
    assert pace.room(DEADLINE_S) >= 32


def test_calls_that_take_long_however_little_they_ask_grow() -> None:
    """More than half a second each: what goes well is tried with one window more."""
    pace = Pace(DEADLINE_S)
    pace.took(1, 0.6)
    for _ in range(30):
        room = int(pace.room(DEADLINE_S))
        pace.took(room, 0.6 + 0.002 * room)
    assert pace.room(DEADLINE_S) >= 24


def test_there_is_no_call_for_which_there_is_no_time() -> None:
    """It would be work for nothing."""
    pace = paced([(1, 0.5)] * 20)
    assert (pace.room(0.6), pace.room(0.3)) == (1, 0)


@given(CALLS, st.floats(0, DEADLINE_S))
def test_what_is_asked_fits_but_for_the_one_to_find_out(
    calls: list[tuple[int, float]], left_s: float
) -> None:
    """With the whole deadline ahead one window may always be asked about, however slow it was, and one more
    than went well."""
    pace = paced(calls)
    assert pace.room(DEADLINE_S) >= 1
    room = pace.room(left_s)
    grown = calls[-1][0] + 1  # tried after a call that went well
    assert room in (1, grown) or room * pace.window_s <= left_s + 1e-9
