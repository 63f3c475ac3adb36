"""Sessions that ask for more than the classifier can do, and one in trouble: what is promised then."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.classify.port import SAMPLE_RATE
from protocol.events import FlowState, GapReason
from tests.chaos.slow import Cost, Trouble
from tests.crowd import RECORDING, Crowd, Span, Talker
from tests.virtual_time import VirtualLoop, run


def jain(shares: Sequence[float]) -> float:
    """Jain, Chiu & Hawe 1984: 1 where all have the same, 1/n where one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def declared(crowd: Crowd, talker: Talker) -> list[Span]:
    """All that was classified or declared a gap, in order."""
    gaps = [span for reason in GapReason for span in talker.gaps(reason)]
    return sorted([*crowd.answered(talker), *gaps])


def assert_exact(crowd: Crowd, talker: Talker) -> None:
    """Each sample was classified, declared or is pending: once, and the account says the same."""
    spans, ledger = declared(crowd, talker), talker.pipeline.ledger
    ends = [0, *(end for _, end in spans)]
    assert [start for start, _ in spans] == ends[:-1]
    assert ends[-1] == ledger.next_sample - ledger.pending_samples
    for reason in GapReason:
        told = sum(end - start for start, end in talker.gaps(reason))
        assert ledger.gaps_by_reason.get(reason, 0) == told


def test_a_classifier_three_times_too_slow_for_two_minutes() -> None:
    """What is told is less than 4 s old, all else is declared, nobody is favoured, and it counts as late."""

    async def steps(clock: VirtualLoop) -> Crowd:
        crowd = Crowd(clock, Cost.times_slower(3, 60))
        talkers = [crowd.join(namespace="large" if n % 3 else "small") for n in range(60)]
        await crowd.run(*(talker.talk(120) for talker in talkers))
        return crowd

    crowd = run(steps)
    assert crowd.staleness.quantile(0.99) < 4.0
    assert crowd.scheduler.late_for(crowd.clock.monotonic()) > 115
    for talker in crowd.talkers:
        assert_exact(crowd, talker)
        assert talker.flows[-1].state is FlowState.SHEDDING
    served = [len(crowd.answered(talker)) for talker in crowd.talkers]
    small, large = served[::3], [count for n, count in enumerate(served) if n % 3]
    assert (len(small), len(large)) == (20, 40)
    assert sum(small) == pytest.approx(sum(large), rel=0.05)
    fair = [count / sum(small) * len(small) for count in small]
    fair += [count / sum(large) * len(large) for count in large]
    assert jain(fair) >= 0.95
    assert sum(served) == pytest.approx(60 * 120 / 3, rel=0.05)


@pytest.mark.parametrize("sessions", [1, 6, 30, 100])
def test_no_answer_is_older_than_the_deadline_and_one_call(sessions: int) -> None:
    """That is the bound, however few sessions there are and however long a call takes."""
    cost = Cost.times_slower(3, sessions)

    async def steps(clock: VirtualLoop) -> Crowd:
        crowd = Crowd(clock, cost)
        await crowd.run(*(_late_by(n / sessions, crowd.join()) for n in range(sessions)))
        return crowd

    longest = cost.audio * min(sessions, 32)
    assert run(steps).staleness.quantile(1.0) <= 2.0 + longest + 0.001


async def _late_by(seconds: float, talker: Talker) -> None:
    """Speak, but not in step with the others."""
    await asyncio.sleep(seconds)
    await talker.talk(30)


def test_flow_tells_each_step_down_and_up_again() -> None:
    """ok, lagging, shedding, and ok again; what it says was dropped is what was declared."""

    async def steps(clock: VirtualLoop) -> Crowd:
        crowd = Crowd(clock)
        await crowd.run(crowd.join().talk(40), _slow(crowd, Cost(audio=3.0), after_s=8, for_s=15))
        return crowd

    crowd = run(steps)
    (talker,) = crowd.talkers
    states = [flow.state for flow in talker.flows]
    assert list(dict.fromkeys(states)) == [FlowState.OK, FlowState.LAGGING, FlowState.SHEDDING]
    assert states[-1] is FlowState.OK
    dropped = [flow.dropped_ms for flow in talker.flows]
    assert dropped == sorted(dropped)
    lost = sum(end - start for start, end in talker.gaps(GapReason.OVERLOAD))
    assert dropped[-1] == pytest.approx(lost / SAMPLE_RATE * 1e3)
    assert lost > 0
    assert_exact(crowd, talker)


async def _slow(crowd: Crowd, cost: Cost, *, after_s: float, for_s: float) -> None:
    await asyncio.sleep(after_s)
    crowd.classifier.cost = cost
    await asyncio.sleep(for_s)
    crowd.classifier.cost = Cost()


def test_recordings_take_what_is_left() -> None:
    """Beside a backlog that would fill the classifier for minutes, who speaks now is heard in time."""

    async def steps(clock: VirtualLoop) -> Crowd:
        crowd = Crowd(clock, Cost(audio=1 / 40))
        talkers = [crowd.join() for _ in range(10)]
        recordings = [crowd.join(RECORDING) for _ in range(10)]
        speech = [talker.talk(30) for talker in talkers]
        await crowd.run(*speech, *(recording.send(120) for recording in recordings))
        return crowd

    crowd = run(steps)
    for talker in crowd.talkers:
        assert talker.pipeline.ledger.gap_samples == 0
        assert_exact(crowd, talker)
    sent = [talker.pipeline.ledger.classified_samples / SAMPLE_RATE for talker in crowd.talkers[10:]]
    assert min(sent) >= 105  # all but the last of their credit


def test_recordings_lose_nothing_where_nobody_keeps_up() -> None:
    """An overload that costs those who speak a third of their audio only slows a recording down."""

    async def steps(clock: VirtualLoop) -> Crowd:
        crowd = Crowd(clock, Cost(audio=1 / 12))
        talkers = [crowd.join() for _ in range(15)]
        recordings = [crowd.join(RECORDING) for _ in range(3)]
        speech = [talker.talk(40) for talker in talkers]
        await crowd.run(*speech, *(recording.send(40) for recording in recordings))
        return crowd

    crowd = run(steps)
    assert all(talker.pipeline.ledger.gap_samples for talker in crowd.talkers[:15])
    assert not any(talker.pipeline.ledger.gap_samples for talker in crowd.talkers[15:])
    for talker in crowd.talkers:
        assert_exact(crowd, talker)


@pytest.mark.parametrize("trouble", Trouble)
def test_a_classifier_in_trouble_costs_declared_windows_and_nothing_after(trouble: Trouble) -> None:
    """Failed and unanswered windows are gaps to the sample; the first window after it is answered at once."""

    async def steps(clock: VirtualLoop) -> Crowd:
        crowd = Crowd(clock, Cost(call_s=0.05), call_s=1.5)
        talkers = [crowd.join() for _ in range(5)]
        await crowd.run(*(talker.talk(30) for talker in talkers), _trouble(crowd, trouble))
        return crowd

    crowd = run(steps)
    for talker in crowd.talkers:
        assert_exact(crowd, talker)
        failed = talker.gaps(GapReason.CLASSIFIER)
        assert failed
        assert all(start >= 10 * SAMPLE_RATE and end <= 20 * SAMPLE_RATE for start, end in failed)
        lost_until = max(end for _, end in [*failed, *talker.gaps(GapReason.OVERLOAD)])
        assert lost_until <= 21 * SAMPLE_RATE
    assert crowd.staleness.quantile(1.0) < 3.0


async def _trouble(crowd: Crowd, trouble: Trouble) -> None:
    """From 10.5 s to 20.5 s."""
    await asyncio.sleep(10.5)
    crowd.classifier.trouble = trouble
    await asyncio.sleep(10)
    crowd.classifier.trouble = None
