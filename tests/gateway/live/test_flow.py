"""Flow arithmetic: the ledger, the credit, the flood budget, the meter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.live.flow import Credit, FloodBudget, FlowMeter, Ledger
from protocol.events import FlowState, GapReason

MOVES = st.lists(
    st.tuples(st.sampled_from(["receive", "skip", "classify", "lose"]), st.integers(0, 5_000)), max_size=60
)


@given(MOVES)
def test_the_identity_holds_after_every_move(moves: list[tuple[str, int]]) -> None:
    """next = classified + gap + pending and received = next - client gap, whatever happened."""
    ledger = Ledger()
    for move, samples in moves:
        match move:
            case "receive":
                ledger.receive(samples)
            case "skip":
                ledger.skip(samples)
            case "classify":
                ledger.classify(min(samples, ledger.pending_samples))
            case "lose":
                ledger.lose(min(samples, ledger.pending_samples), GapReason.OVERLOAD)
        counts = ledger.counts()
        assert counts["next_sample"] == (
            counts["classified_samples"] + counts["gap_samples"] + counts["pending_samples"]
        )
        assert counts["received_samples"] == counts["next_sample"] - counts["client_gap_samples"]
        assert ledger.gap_samples == sum(ledger.gaps_by_reason.values())


def test_nothing_settles_twice() -> None:
    """More than is pending can be neither classified nor lost."""
    ledger = Ledger()
    ledger.receive(10)
    ledger.classify(8)
    with pytest.raises(ValueError, match="3 samples settled, 2 pending"):
        ledger.lose(3, GapReason.DRAIN)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=80))
def test_credit_never_goes_back_and_keeps_five_seconds_ahead(steps: list[tuple[float, float]]) -> None:
    """However the client and the classifier progress, the limit rises only, and nobody starves."""
    rate = 16_000
    credit, sent, settled = Credit.opening(rate), 0, 0
    for send, settle in steps:
        sent += int((credit.limit - sent) * send)
        settled += int((sent - settled) * settle)
        before = credit.limit
        credit.renew(next_sample=sent, settled=settled)
        assert credit.limit >= before
        assert credit.limit >= settled + 5 * rate
        assert credit.limit <= settled + 10 * rate or credit.limit == before


def test_credit_is_renewed_when_half_is_used_and_not_before() -> None:
    """A report for each classified window would be noise."""
    credit = Credit.opening(100)
    assert not credit.renew(next_sample=499, settled=400)
    assert credit.renew(next_sample=500, settled=400)
    assert credit.limit == 1_400


def test_the_flood_budget_lets_a_burst_and_four_times_real_time_pass() -> None:
    """Five seconds at once, then four seconds of audio in each second; not one sample more."""
    budget = FloodBudget(bytes_per_s=100, updated=0.0)
    assert budget.spend(500, now=0.0)
    assert budget.spend(400, now=1.0)
    assert not budget.spend(401, now=2.0)


def test_the_flood_budget_does_not_save_up_beyond_its_burst() -> None:
    """An hour of silence buys no hour of audio at once."""
    budget = FloodBudget(bytes_per_s=100, updated=0.0)
    assert not budget.spend(501, now=3_600.0)


def state_of(meter: FlowMeter) -> FlowState:
    """Asked anew each time, which a type checker can't know."""
    return meter.state


def test_flow_is_reported_once_a_second_and_at_each_change() -> None:
    """Calm seconds give one report each; a change of state gives one at once."""
    meter = FlowMeter()
    assert meter.due(0.0, now=0.0)
    assert not meter.due(0.0, now=0.5)
    assert meter.due(5_000.0, now=0.6)
    assert state_of(meter) is FlowState.LAGGING
    meter.shed()
    assert meter.due(5_000.0, now=0.7)
    assert state_of(meter) is FlowState.SHEDDING


def test_a_report_without_news_waits_for_something_to_go_with() -> None:
    """A second longer at most, and not at all where the state changes."""
    meter = FlowMeter()
    assert meter.due(0.0, now=0.0, alone=True)
    assert not meter.due(0.0, now=1.9, alone=True)
    assert meter.due(0.0, now=2.0, alone=True)
    assert meter.due(0.0, now=3.0)
    assert meter.due(5_000.0, now=3.1, alone=True)
    assert state_of(meter) is FlowState.LAGGING


def test_shedding_is_over_only_after_a_calm_second() -> None:
    """A session at its limit does not flutter between states."""
    meter = FlowMeter()
    meter.shed()
    assert meter.due(0.0, now=0.0)
    assert not meter.due(0.0, now=0.2)
    meter.shed()
    assert meter.due(0.0, now=1.0)
    assert state_of(meter) is FlowState.SHEDDING
    assert meter.due(0.0, now=2.0)
    assert state_of(meter) is FlowState.OK
