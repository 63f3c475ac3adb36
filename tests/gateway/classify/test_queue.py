"""The queue: who waits, who is shed, who goes next, and for how long it has been late."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.classify.lanes import Job, Lane
from gateway.classify.queue import WindowQueue
from tests.gateway.classify.jobs import FakeJob, names, taken

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, 5)),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("finish"), st.integers(0, 5)),
        st.tuples(st.just("close"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(0, 3)),
        st.tuples(st.just("delivery"), st.integers(0, 5)),
    ),
    max_size=80,
)
DEADLINE_S = 2.0


def queue(capacity: int = 100, deadline_s: float = DEADLINE_S) -> WindowQueue:
    return WindowQueue(capacity=capacity, deadline_s=deadline_s)


def test_a_lane_keeps_only_its_newest_windows() -> None:
    """A third waiting window pushes the oldest out."""
    windows, lane = queue(), Lane(depth=2)
    jobs = [FakeJob(str(n)) for n in range(4)]
    shed = [job for one in jobs for job in windows.submit(lane, one)]
    assert shed == jobs[:2]
    assert list(lane.waiting) == jobs[2:]


def test_lanes_take_turns() -> None:
    """One session with many windows gets one place in a batch, like everybody."""
    windows = queue()
    greedy, modest = Lane(depth=None), Lane(depth=2)
    for n in range(5):
        windows.submit(greedy, FakeJob(f"g{n}"))
    windows.submit(modest, FakeJob("m0"))
    batch, _ = windows.take(32, now=0.0)
    assert taken(batch) == ["g0", "m0"]


def test_a_lane_has_one_window_in_flight() -> None:
    """The next window of a session waits until the one before came back."""
    windows, lane = queue(), Lane()
    windows.submit(lane, FakeJob("a"))
    windows.submit(lane, FakeJob("b"))
    assert taken(windows.take(32, 0.0)[0]) == ["a"]
    assert windows.take(32, 0.0)[0].items == ()
    windows.finish(lane)
    assert taken(windows.take(32, 0.0)[0]) == ["b"]


def test_late_windows_are_shed_at_dispatch() -> None:
    """A realtime window past its deadline is handed back, and the lane's next one goes in its place."""
    windows, lane = queue(), Lane(depth=6)
    windows.submit(lane, FakeJob("old", arrived=0.0))
    windows.submit(lane, FakeJob("new", arrived=3.0))
    batch, late = windows.take(32, now=3.5)
    assert (taken(batch), names(late)) == (["new"], ["old"])


def test_lossless_windows_have_no_deadline() -> None:
    """A lossless lane waits as long as it takes."""
    windows, lane = queue(), Lane(depth=None)
    windows.submit(lane, FakeJob("old", arrived=0.0))
    assert taken(windows.take(32, now=1e6)[0]) == ["old"]


def test_realtime_lanes_together_have_a_capacity() -> None:
    """At the bound the submitting lane loses its own oldest window, not a neighbour's."""
    windows = queue(capacity=3)
    first, second = Lane(depth=6), Lane(depth=6)
    for lane, name in ((first, "a"), (second, "b"), (second, "c")):
        windows.submit(lane, FakeJob(name))
    assert names(windows.submit(second, FakeJob("d"))) == ["b"]
    assert windows.waiting == 3


def test_at_capacity_a_lane_with_nothing_waiting_loses_its_new_window() -> None:
    """There is nothing else of its own that could go."""
    windows = queue(capacity=1)
    windows.submit(Lane(), FakeJob("a"))
    assert names(windows.submit(Lane(), FakeJob("b"))) == ["b"]


def test_lossless_windows_are_never_shed_and_take_nobodys_place() -> None:
    """Credit bounds them, so the capacity neither hits them nor shrinks by them."""
    windows, lossless, realtime = queue(capacity=2), Lane(depth=None), Lane(depth=6)
    for n in range(10):
        assert windows.submit(lossless, FakeJob(f"l{n}")) == []
    assert [names(windows.submit(realtime, FakeJob(f"r{n}"))) for n in range(3)] == [[], [], ["r0"]]
    assert windows.submit(lossless, FakeJob("l10")) == []
    assert windows.waiting == 13


def test_a_lane_that_becomes_realtime_keeps_what_it_was_promised() -> None:
    """Windows taken in as lossless ones wait as long as it takes; those that come after them are bounded."""
    windows, lane, other = queue(capacity=3), Lane(depth=None), Lane(depth=6)
    for n in range(5):
        windows.submit(lane, FakeJob(str(n), arrived=0.0))
    lane.bound(2)
    assert windows.late_for(100.0) == 0.0
    shed = [windows.submit(lane, FakeJob(str(n), arrived=100.0)) for n in range(5, 9)]
    assert [names(jobs) for jobs in shed] == [[], [], ["5"], ["6"]]
    assert windows.submit(other, FakeJob("a", arrived=100.0)) == []
    assert names(windows.submit(lane, FakeJob("9", arrived=100.0))) == ["7"]
    gone = []
    for _ in range(6):
        batch, late = windows.take(32, now=101.5)
        assert late == []
        gone += [name for name in taken(batch) if name != "a"]
        windows.finish(lane)
    assert gone == ["0", "1", "2", "3", "4", "8"]
    batch, late = windows.take(32, now=103.0)
    assert (names(late), taken(batch), lane.owed) == (["9"], [], 0)
    windows.finish(other)


def test_a_lane_that_is_realtime_for_a_moment_loses_nothing_by_it() -> None:
    """What waits when it becomes lossless again waits as long as it takes, too."""
    windows, lane = queue(), Lane(depth=None)
    windows.submit(lane, FakeJob("a", arrived=0.0))
    lane.bound(2)
    windows.submit(lane, FakeJob("b", arrived=0.0))
    lane.bound(None)
    lane.bound(1)
    assert names(windows.submit(lane, FakeJob("c", arrived=0.0))) == []
    assert names(windows.submit(lane, FakeJob("d", arrived=0.0))) == ["c"]
    assert lane.owed == 2


def test_a_closed_lane_gives_its_windows_back_and_takes_no_more() -> None:
    """Nothing of a session that is gone stays in the queue."""
    windows, lane = queue(), Lane()
    job = FakeJob("a")
    windows.submit(lane, job)
    assert windows.close(lane) == [job]
    later = FakeJob("b")
    assert windows.submit(lane, later) == [later]
    assert (windows.waiting, windows.ready, windows.late_for(1e6)) == (0, 0, 0.0)


# Lateness ---------------------------------------------------------------------------------------------------


def test_a_queue_in_time_is_not_late() -> None:
    """Windows wait a little, go, and come anew."""
    windows, lane = queue(), Lane()
    for second in range(20):
        windows.submit(lane, FakeJob("w", arrived=float(second)))
        windows.take(32, second + 0.9)
        windows.finish(lane)
        assert windows.late_for(second + 0.9) == 0.0


def test_a_queue_that_stands_still_is_late_after_half_the_deadline() -> None:
    """From then on every second counts, whoever looks or not."""
    windows, lane = queue(), Lane()
    windows.submit(lane, FakeJob("a", arrived=10.0))
    assert [windows.late_for(now) for now in (10.5, 11.0, 12.0, 18.0)] == [0.0, 0.0, 1.0, 7.0]


def test_shedding_the_oldest_does_not_make_a_lane_younger() -> None:
    """With short hops no window waits for long, as the newest two are always new; their session does."""
    windows, lane = queue(), Lane(depth=2)
    for tenth in range(60):
        windows.submit(lane, FakeJob("w", arrived=tenth / 10))
    assert windows.late_for(6.0) == 5.0


def test_windows_past_the_deadline_are_lateness() -> None:
    """A backlog that is served all the time, but too slowly."""
    windows, lane = queue(), Lane(depth=6)
    for _ in range(6):
        windows.submit(lane, FakeJob("w", arrived=0.0))
    for now in (0.8, 1.6):
        windows.take(1, now)
        windows.finish(lane)
    assert windows.late_for(2.4) == 0.0
    windows.take(1, 2.4)
    assert windows.late_for(2.4) == pytest.approx(1.4)


def test_a_queue_that_caught_up_is_in_time_after_a_calm_second() -> None:
    """One batch alone does not clear it."""
    windows, lane = queue(), Lane()
    windows.submit(lane, FakeJob("a", arrived=0.0))
    windows.take(32, 7.0)
    assert (windows.late_for(7.5), windows.late_for(9.0)) == (6.0, 0.0)


def test_recordings_may_wait() -> None:
    """A lossless backlog is no lateness, nor one of a session that has become lossless."""
    windows, lossless, changing = queue(), Lane(depth=None), Lane(depth=2)
    windows.submit(lossless, FakeJob("a", arrived=0.0))
    windows.submit(changing, FakeJob("b", arrived=0.0))
    changing.bound(None)
    assert windows.late_for(100.0) == 0.0


# Properties -------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(STEPS)
def test_every_window_has_exactly_one_fate_and_in_order(steps: list[tuple[str, int]]) -> None:
    """Whatever happens, each window is waiting, taken or handed back: once, and each lane's in order."""
    windows = queue(capacity=7)
    lanes = [Lane(depth, space) for depth in (2, None, 6) for space in (None, "a")]
    now, submitted = 0.0, 0
    fates: dict[Lane, list[int]] = defaultdict(list)
    owner: dict[str, Lane] = {}

    def settle(jobs: Iterable[Job]) -> None:
        for name in names(jobs):
            fates[owner[name]].append(int(name))

    for step, number in steps:
        match step:
            case "submit":
                submitted += 1
                owner[str(submitted)] = lanes[number]
                settle(windows.submit(lanes[number], FakeJob(str(submitted), arrived=now)))
            case "take":
                batch, late = windows.take(number, now)
                settle(late)
                settle(job for _, job in batch.items)
            case "finish" if lanes[number].in_flight is not None:
                windows.finish(lanes[number])
            case "close":
                settle(windows.close(lanes[number]))
            case "wait":
                now += number
            case "delivery":
                lanes[number].bound(2 if lanes[number].depth is None else None)
    waiting = {lane: [int(name) for name in names(lane.waiting)] for lane in lanes}
    assert windows.waiting == sum(map(len, waiting.values()))
    told = {lane: sorted(fates[lane]) + waiting[lane] for lane in lanes}
    assert told == {lane: [int(name) for name in owner if owner[name] is lane] for lane in lanes}


@settings(max_examples=300)
@given(STEPS)
def test_capacity_bounds_realtime_windows_and_only_them(steps: list[tuple[str, int]]) -> None:
    """No more of them wait than set; one that was waiting while its lane was lossless comes back only when
    that is closed."""
    windows, capacity = queue(capacity=4), 4
    lanes = [Lane(depth) for depth in (2, None, 6, 1, None, 3)]
    promised: list[Job] = []
    now = 0.0
    for step, number in steps:
        lost: list[Job] = []
        match step:
            case "submit":
                job = FakeJob("w", arrived=now)
                promised += [job] if lanes[number].depth is None else []
                lost = windows.submit(lanes[number], job)
                lost = lost if not lanes[number].closed else []
                assert not lost or lanes[number].depth is not None
                assert not any(job in promised for job in lost)
            case "take":
                assert not any(job in promised for job in windows.take(number, now)[1])
            case "finish" if lanes[number].in_flight is not None:
                windows.finish(lanes[number])
            case "close":
                windows.close(lanes[number])
            case "wait":
                now += number
            case "delivery" if not lanes[number].closed:
                lanes[number].bound(None if lanes[number].depth is not None else 2)
                promised += [job for job in lanes[number].waiting if lanes[number].depth is None]
        if step != "delivery":
            assert sum(lane.sheddable for lane in lanes if lane is lanes[number]) <= capacity
        for lane in lanes:
            assert lane.owed <= len(lane.waiting)
            assert lane.depth is None or lane.sheddable <= lane.depth


@settings(max_examples=300)
@given(STEPS)
def test_no_place_in_a_batch_stays_free_while_somebody_could_take_it(steps: list[tuple[str, int]]) -> None:
    """The queue is work-conserving: a batch that is not full leaves nobody behind who could go."""
    windows = queue()
    lanes = [Lane(depth, space) for depth in (2, None, 6) for space in (None, "a")]
    now = 0.0
    for step, number in steps:
        match step:
            case "submit":
                windows.submit(lanes[number], FakeJob("w", arrived=now))
            case "take":
                batch, _ = windows.take(number, now)
                able = [lane for lane in lanes if lane.waiting and lane.in_flight is None and not lane.closed]
                assert len(batch.items) == number or not able
                assert windows.ready == len(able)
            case "finish" if lanes[number].in_flight is not None:
                windows.finish(lanes[number])
            case "close":
                windows.close(lanes[number])
            case "wait":
                now += number


@settings(max_examples=200)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    seed=st.integers(0, 2**32),
)
def test_backlogged_namespaces_share_alike_and_so_do_the_sessions_of_each(
    sizes: list[int], shares: list[float], seed: int
) -> None:
    """Within one window, after every batch, however unequal their numbers of sessions, recordings included.

    Batches are small enough that no namespace runs out of sessions that have nothing in flight; their answers
    come in any order.
    """
    order = random.Random(seed)
    windows = queue()
    spaces = [[Lane(order.choice((2, None)), f"{at}") for _ in range(size)] for at, size in enumerate(sizes)]
    lanes = [lane for space in spaces for lane in space]
    order.shuffle(lanes)
    served: Counter[Lane] = Counter()
    most = len(sizes) * min(sizes)
    for share in shares:
        for lane in lanes:
            while len(lane.waiting) < 2:
                windows.submit(lane, FakeJob("w"))
        batch, _ = windows.take(max(1, round(share * most)), now=0.0)
        served.update(lane for lane, _ in batch.items)
        for lane, _ in order.sample(batch.items, len(batch.items)):
            windows.finish(lane)
        of_each = [[served[lane] for lane in space] for space in spaces]
        for counts in ([sum(counts) for counts in of_each], *of_each):
            assert max(counts) - min(counts) <= 1
