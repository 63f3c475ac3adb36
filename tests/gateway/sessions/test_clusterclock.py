"""One time for all: it never goes back, and no clock that is set ages anybody."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.sessions.clusterclock import LEAP_S, SLEW, ClusterClock, agreed

seconds = st.floats(0, 1e6)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), seconds, st.none() | seconds)
def test_the_agreed_time_never_goes_back(
    server: float, kept_server: float, kept_cluster: float, estimate: float | None
) -> None:
    """Whatever any clock says."""
    assert agreed(server, kept_server, kept_cluster, estimate) >= kept_cluster


@given(st.floats(0, 2.0), st.floats(-1e7, 1e7), st.floats(-1.0, 1.0))
def test_a_step_of_the_stores_clock_ages_nothing(passed: float, step: float, drift: float) -> None:
    """In either direction: the beating node's own reckoning stands in, or it was small."""
    estimate = 1_000.0 + passed + drift
    now = agreed(5_000.0 + passed + step, 5_000.0, 1_000.0, estimate)
    assert 1_000.0 <= now <= max(1_000.0 + LEAP_S, estimate)


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 1e6)), min_size=1, max_size=20))
def test_a_nodes_clock_never_goes_back(beats: list[tuple[float, float]]) -> None:
    """Once it is the cluster's, whatever it is told."""
    local = ManualClock()
    clock = ClusterClock(local)
    unknown = clock.estimate
    clock.adopt(beats[0][1])
    assert (unknown, clock.estimate) == (None, clock.monotonic())
    before = clock.monotonic()
    for passed, now in beats:
        local.advance(passed)
        assert clock.monotonic() >= before - 1e-6
        before = clock.monotonic()
        clock.adopt(now)
        assert clock.monotonic() >= before - SLEW * passed - 1e-6
        assert clock.monotonic() >= before - passed - 1e-6
        before = clock.monotonic()


@given(st.floats(-LEAP_S + 0.1, LEAP_S - 0.1))
def test_clocks_that_differ_come_together(apart: float) -> None:
    """At a thousandth of the time that goes by; far behind, at once."""
    local, cluster = ManualClock(), 50_000.0
    clock = ClusterClock(local)
    clock.adopt(cluster + apart)
    for _ in range(int(LEAP_S / SLEW) + 10):
        local.advance(1.0)
        cluster += 1.0
        clock.adopt(cluster)
    assert abs(clock.monotonic() - cluster) < 0.01
    clock.adopt(cluster + 3_600)
    assert abs(clock.monotonic() - cluster - 3_600) < 0.01
    assert clock.time() == local.time()
