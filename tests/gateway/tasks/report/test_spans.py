"""Many stretches brought down to few, without inventing or hiding any."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.tasks.report.spans import Run, Span, few, own, step_above
from tests.gateway.tasks.report.stories import story, tone

LENGTHS = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=20),
        st.floats(min_value=0.1, max_value=20),
        st.sampled_from("abc"),
        st.floats(min_value=0, max_value=1),
    ),
    max_size=60,
)
PLACES = st.lists(st.tuples(st.integers(0, 200), st.integers(-3, 30)), max_size=40)


def runs_of(lengths: list[tuple[float, float, str, float]]) -> list[Run]:
    """Runs in order, from pauses, lengths, kinds and levels."""
    runs, clock = [], 0.0
    for pause, seconds, key, level in lengths:
        runs.append(Run(Span(clock + pause, clock + pause + seconds), key, level))
        clock += pause + seconds
    return runs


@given(LENGTHS, st.integers(min_value=1, max_value=80))
def test_few_are_few_and_cover_what_there_was(
    lengths: list[tuple[float, float, str, float]], most: int
) -> None:
    """No more than asked for, in order, and each moment that had a run still has one."""
    runs = runs_of(lengths)
    until = runs[-1].span.end_s if runs else 0.0
    shown, bin_s = few(runs, most, until)
    assert len(shown) <= most
    for one, other in pairwise(shown):
        assert one.span.end_s <= other.span.start_s + 1e-6
    for run in runs:
        middle = (run.span.start_s + run.span.end_s) / 2
        assert any(one.span.start_s - 1e-6 <= middle <= one.span.end_s + 1e-6 for one in shown)
    assert all(0 <= one.level <= 1 + 1e-9 for one in shown)
    if bin_s is None:
        exact = sum(run.span.length_s for run in runs)
        assert abs(sum(one.span.length_s for one in shown) - exact) < 1e-6 + 0.05 * len(runs)


def test_runs_that_touch_are_one_only_if_alike() -> None:
    """Same kind and level join; another level is another run."""
    runs = [
        Run(Span(0, 1), "a", 0.5),
        Run(Span(1, 2), "a", 0.5),
        Run(Span(2, 3), "a", 0.9),
        Run(Span(9, 10), "a", 0.9),
    ]
    shown, bin_s = few(runs, 9, 10)
    assert bin_s is None
    assert [(one.span.start_s, one.span.end_s) for one in shown] == [(0, 2), (2, 3), (9, 10)]


def test_a_bin_takes_what_fills_most_of_it() -> None:
    """Where there are too many, the most seconds win and the level is their mean."""
    runs = [
        Run(Span(0, 4), "a", 0.2),
        Run(Span(4, 7), "b", 1),
        Run(Span(7, 10), "a", 0.6),
        Run(Span(10, 11), "c", 1),
    ]
    shown, bin_s = few(runs, 2, 20)
    assert bin_s == 10
    assert [(one.key, round(one.level, 3)) for one in shown] == [("a", 0.371), ("c", 1)]


def test_a_bin_can_say_how_much_of_it_is_filled() -> None:
    """Where levels mean nothing else, a second of gap in ten is a tenth, not the whole."""
    runs = [Run(Span(0, 1), "x"), Run(Span(5, 6), "x"), Run(Span(12, 13), "x"), Run(Span(20, 25), "x")]
    shown, bin_s = few(runs, 3, 25, sure=False)
    assert bin_s == 10
    assert [(one.span.end_s, one.level) for one in shown] == [(10, 0.2), (20, 0.1), (25, 1)]


@given(st.floats(min_value=0, max_value=1e12))
def test_steps_are_no_shorter_than_asked(seconds: float) -> None:
    """A round step is found for any length, and it is at most five times too long."""
    step = step_above(seconds)
    assert step >= seconds
    assert step <= max(0.1, 5 * seconds)


@given(PLACES)
def test_windows_own_what_none_before_spoke_of(places: list[tuple[int, int]]) -> None:
    """Overlapping, repeated and inverted windows give stretches that don't overlap and miss no end."""
    events = [tone(0, start_sample=start, end_sample=start + long) for start, long in places]
    told = story(events)
    spans = [span for _, span in own(told, events)]
    for one, other in pairwise(spans):
        assert one.start_s < one.end_s <= other.start_s
    ends = {told.seconds(start + long) for start, long in places if long > 0 and start + long > 0}
    assert max((span.end_s for span in spans), default=0) == max(ends, default=0)
