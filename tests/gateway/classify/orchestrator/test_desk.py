"""What is asked for, used and given back, step by step."""

import random

import pytest

from gateway.classify.orchestrator.desk import (
    LONGEST_PAUSE_S,
    MOST_ASKS,
    RELEASE_TRIES,
    RENEWAL,
    Allocation,
    Desk,
)
from gateway.classify.orchestrator.grant import Sidecar

TTL_S = 100.0


def desk() -> Desk:
    return Desk(TTL_S, random.Random(3))


def grant(desk: Desk, scope: str, now: float, id: str = "1", url: str = "http://one") -> Allocation:
    made = desk.made(id, Sidecar(url), now)
    desk.granted(scope, made, now)
    return made


def test_a_scope_asks_once_and_its_windows_go_there_when_granted() -> None:
    """Until then, and after its time, they go nowhere."""
    its = desk()
    assert its.want("a")
    assert not its.want("a")
    assert its.due(0.0).ask == ("a",)
    assert its.due(0.0).ask == ()
    assert its.route("a", 0.0) is None
    made = grant(its, "a", 0.0)
    assert its.route("a", TTL_S - 0.1) is made
    assert its.route("a", TTL_S) is None


def test_it_is_renewed_before_its_time_is_over_and_the_old_one_goes_when_nobody_uses_it() -> None:
    """Until the newer one answers two are held, and windows go to the old one."""
    its = desk()
    its.want("a")
    its.due(0.0)
    old = grant(its, "a", 0.0)
    wait = its.wait_s(0.0)
    assert wait is not None
    assert RENEWAL[0] * TTL_S <= wait <= RENEWAL[1] * TTL_S + 0.01
    assert its.due(wait).ask == ("a",)
    assert its.route("a", wait) is old
    its.enter(old)
    new = grant(its, "a", wait, "2", "http://two")
    assert (its.route("a", wait), its.coming("a")) == (old, new)
    assert its.due(wait).release == ()
    its.change_over("a")
    assert (its.route("a", wait), its.coming("a")) == (new, None)
    assert its.due(wait).release == ()
    its.leave(old)
    assert its.due(wait).release == (old,)
    its.released(old)
    assert its.held == 1


def test_what_renews_is_used_when_the_old_time_is_over_whether_it_answers_or_not() -> None:
    """Or when the old one's sidecar fails; nothing more is asked for then, and nobody pauses."""
    for fails in (False, True):
        its = desk()
        its.want("a")
        its.due(0.0)
        old = grant(its, "a", 0.0)
        its.due(80.0)
        new = grant(its, "a", 80.0, "2", "http://two")
        assert its.route("a", 99.0) is old
        if fails:
            its.suspect(old, 99.0)
        due = its.due(99.0 if fails else TTL_S)
        assert (due.ask, due.release, due.gone) == ((), (old,) if fails else (), () if fails else (old,))
        assert its.route("a", TTL_S) is new
        assert not its.failing


def test_a_session_that_ends_gives_back_what_was_coming_too() -> None:
    """Both at once."""
    its = desk()
    its.want("a")
    its.due(0.0)
    both = (grant(its, "a", 0.0), *(grant(its, scope, 80.0, "2") for scope in its.due(80.0).ask))
    its.drop("a")
    assert its.due(80.0).release == both


def test_renewals_go_first_and_wait_for_no_refusal_of_others() -> None:
    """One that is refused is tried again by itself, and says nothing of the others."""
    its = desk()
    its.want("rich")
    its.due(0.0)
    grant(its, "rich", 0.0)
    for number in range(30):
        its.want(f"poor {number}")
    for scope in its.due(1.0).ask:
        its.refused(scope, 1.0)
    renewal = RENEWAL[1] * TTL_S
    while "rich" not in (asked := its.due(renewal).ask):
        assert asked == ()
    assert asked[0] == "rich"
    its.refused("rich", renewal)
    wait = its.wait_s(renewal)
    assert wait is not None
    assert wait <= 1.01
    assert its.due(renewal + 1.0).ask[0] == "rich"
    grant(its, "rich", renewal + 1.0)
    assert its.failing


def test_a_renewal_that_is_refused_is_no_failure_of_the_others() -> None:
    """Who has none is asked for at once."""
    its = desk()
    its.want("rich")
    its.due(0.0)
    grant(its, "rich", 0.0)
    assert its.due(80.0).ask == ("rich",)
    its.refused("rich", 80.0)
    its.want("poor")
    assert its.due(80.0).ask == ("poor",)
    assert not its.failing


def test_who_shares_one_looks_after_it_when_another_made_its_time_longer() -> None:
    """And renews it when that other is over."""
    its = desk()
    for scope in ("a", "b"):
        its.want(scope)
    its.due(0.0)
    grant(its, "a", 0.0)
    grant(its, "b", 0.0)
    assert set(its.due(80.0).ask) == {"a", "b"}
    grant(its, "a", 80.0)
    its.refused("b", 80.0)
    its.drop("a")
    assert its.due(85.0).ask == ()
    assert its.due(170.0).ask == ("b",)


@pytest.mark.parametrize("other", [Sidecar("http://elsewhere"), Sidecar("http://one", "another token")])
def test_a_grant_that_is_not_what_it_was_is_none(other: Sidecar) -> None:
    """The same id at another address, or with another token."""
    its = desk()
    its.want("a")
    its.due(0.0)
    grant(its, "a", 0.0)
    its.due(80.0)
    assert not its.granted("a", its.made("1", other, 80.0), 80.0)


def test_a_renewal_that_gives_the_same_one_again_makes_its_time_longer() -> None:
    """It is not given back then."""
    its = desk()
    its.want("a")
    its.due(0.0)
    grant(its, "a", 0.0)
    its.due(80.0)
    grant(its, "a", 80.0)
    assert its.route("a", 150.0) is not None
    assert (its.due(81.0).release, its.held) == ((), 1)


def test_a_node_that_cannot_have_any_tries_ever_more_rarely_with_one_request() -> None:
    """However many sessions wait; one success opens the door for all."""
    its, now = desk(), 0.0
    for number in range(100):
        its.want(str(number))
    asked = its.due(now).ask
    assert len(asked) == MOST_ASKS
    for scope in asked:
        its.refused(scope, now)
    pauses = []
    for _ in range(12):
        wait = its.wait_s(now)
        assert wait is not None
        assert its.due(now + wait / 2 - 0.01).ask == ()
        now += wait
        pauses.append(wait)
        (scope,) = its.due(now).ask
        assert its.due(now + 1_000).ask == ()
        its.refused(scope, now)
    assert pauses[-1] <= LONGEST_PAUSE_S + 0.01
    assert pauses[-1] > pauses[0]
    now += LONGEST_PAUSE_S
    (scope,) = its.due(now).ask
    grant(its, scope, now)
    assert len(its.due(now).ask) == MOST_ASKS


def test_one_that_comes_too_late_is_given_back_at_once() -> None:
    """Its session is over, or the node is going."""
    its = desk()
    its.want("a")
    its.due(0.0)
    its.drop("a")
    made = grant(its, "a", 1.0)
    assert its.due(1.0).release == (made,)
    its.want("b")
    its.due(1.0)
    its.close()
    late = grant(its, "b", 1.0, "2")
    assert its.due(1.0).release == (late,)
    assert not its.want("c")


def test_giving_back_is_tried_a_few_times() -> None:
    """After that the allocation's own time ends it."""
    its, now = desk(), 0.0
    its.want("a")
    its.due(now)
    made = grant(its, "a", now)
    its.drop("a")
    for number in range(RELEASE_TRIES):
        assert its.due(now).release == (made,)
        assert its.kept(made, now) is (number < RELEASE_TRIES - 1)
        now += its.wait_s(now) or 0.0
    assert its.settled


def test_one_whose_sidecar_fails_is_given_back_and_another_is_asked_for() -> None:
    """By everybody who shared it, after a pause."""
    its = desk()
    for scope in ("a", "b"):
        its.want(scope)
    its.due(0.0)
    made = grant(its, "a", 0.0)
    grant(its, "b", 0.0)
    its.suspect(made, 1.0)
    assert its.route("a", 1.0) is None
    assert its.due(1.0).release == (made,)
    assert set(its.due(3.0).ask) < {"a", "b"}
