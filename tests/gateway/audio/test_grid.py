import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.grid import Grid

RATES = st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 47_999, 48_000])


def test_an_hour_of_odd_hops_drifts_by_nothing() -> None:
    """At 44.1 kHz a hop of 333 ms is 14,685 samples; for an hour each window ends at whole hops exactly."""
    grid = Grid(44_100, 1_000, 333)
    k = 0
    while grid.end < 3_600 * 44_100:
        assert grid.end == 44_100 + k * 14_685
        assert grid.start == grid.end - 44_100
        grid.advance()
        k += 1
    assert k == 10_809


@given(RATES, st.integers(200, 5_000), st.data())
def test_a_full_window_has_one_length_at_16_khz(rate: int, window_ms: int, data: st.DataObject) -> None:
    """Both ends round, but the 16 kHz length is the same for every window, within two samples of `start`."""
    hop_ms = data.draw(st.integers(100, window_ms))
    grid = Grid(rate, window_ms, hop_ms)
    for _ in range(20):
        assert grid.end * 16_000 // rate - grid.start16k == window_ms * 16
        assert 0 <= grid.start * 16_000 // rate - grid.start16k <= 2
        grid.advance()


def test_new_lengths_wait_for_the_next_window() -> None:
    """A window that has begun keeps its end; the one after it has the new hop, and no more than there is."""
    grid = Grid(16_000, 1_000, 1_000)
    grid.advance()
    grid.configure(3_000, 500, started=True)
    assert (grid.start, grid.end) == (16_000, 32_000)
    grid.advance()
    assert (grid.start, grid.end) == (16_000, 40_000)
    for _ in range(4):
        grid.advance()
    assert (grid.start, grid.end) == (24_000, 72_000)


def test_new_lengths_hold_at_once_where_nothing_has_begun() -> None:
    """An empty window, the first one or a later one, takes the new lengths itself."""
    grid = Grid(16_000, 1_000, 1_000)
    grid.configure(500, 250, started=False)
    assert (grid.start, grid.end) == (0, 8_000)
    grid.advance()
    grid.configure(400, 100, started=False)
    assert (grid.start, grid.end) == (4_000, 9_600)


@pytest.mark.parametrize(("window_ms", "hop_ms"), [(1_000, 0), (1_000, 1_001), (1_000, -5)])
def test_impossible_lengths_change_nothing(window_ms: int, hop_ms: int) -> None:
    """A hop of nothing or beyond the window is refused before anything is changed."""
    grid = Grid(16_000, 800, 400)
    with pytest.raises(ValueError, match="does not fit"):
        grid.configure(window_ms, hop_ms, started=False)
    assert (grid.window, grid.hop, grid.end) == (12_800, 6_400, 12_800)
