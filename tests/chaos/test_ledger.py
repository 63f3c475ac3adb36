"""The ledger passes what is right, and finds whatever is not: each of its rules is seen red."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocol.events import (
    Drain,
    Error,
    Event,
    Flow,
    Gap,
    GapReason,
    Pong,
    Summary,
    Tone,
    Welcome,
)
from tests.chaos import ledger
from tests.chaos.history import Closed, Heard, History, Record, Sent, Skipped, Visit
from tests.chaos.ledger import audit
from tests.chaos.scribe import Scribe

Spoil = Callable[[History, random.Random], bool]
"""Spoils a history; False where it has nothing that could be spoiled so."""
Change = Callable[[Event], Event]

seeds = st.integers(0, 2**32)
sockets = st.integers(1, 5)


@given(seeds, sockets, st.booleans())
def test_what_is_right_passes(seed: int, number: int, refused: bool) -> None:
    """Whatever was lost on the way, as long as it is told."""
    assert audit(Scribe(random.Random(seed)).write(number, refused=refused)) == []


def heard(history: History, kind: type[Event], rng: random.Random) -> tuple[Visit, int] | None:
    """Some place where an event of `kind` was heard."""
    places = [
        (visit, place)
        for visit in history.visits
        for place, one in enumerate(visit.story)
        if isinstance(one, Heard) and isinstance(one.event, kind)
    ]
    return rng.choice(places) if places else None


def changing(kind: type[Event], change: Callable[..., Event], *, skip: int = 0) -> Spoil:
    """Another event in place of one of `kind`, on any socket but the first few."""

    def spoil(history: History, rng: random.Random) -> bool:
        found = heard(History(visits=history.visits[skip:]), kind, rng)
        if found is None:
            return False
        visit, place = found
        one = visit.story[place]
        assert isinstance(one, Heard)
        changed = change(one.event)
        visit.story[place] = Heard(changed)
        return changed != one.event

    return spoil


def without(kind: type[Event]) -> Spoil:
    """One event of `kind` less."""

    def spoil(history: History, rng: random.Random) -> bool:
        found = heard(history, kind, rng)
        if found is not None:
            del found[0].story[found[1]]
        return found is not None

    return spoil


def twice(kind: type[Event]) -> Spoil:
    """An event once more."""

    def spoil(history: History, rng: random.Random) -> bool:
        found = heard(history, kind, rng)
        if found is not None:
            visit, place = found
            visit.story.insert(place, visit.story[place])
        return found is not None

    return spoil


def ending(*records: Record, instead: bool = False) -> Spoil:
    """More at the end of the last socket, or something else instead of its close."""

    def spoil(history: History, _: random.Random) -> bool:
        story = history.visits[-1].story
        if instead:
            story.pop()
        story.extend(records)
        return True

    return spoil


def leaving(*records: Record) -> Spoil:
    """An end like this one, before the session had its own."""

    def spoil(history: History, rng: random.Random) -> bool:
        for visit in history.visits:
            visit.story = [
                one for one in visit.story if not (isinstance(one, Heard) and isinstance(one.event, Summary))
            ]
        return ending(*records, instead=True)(history, rng)

    return spoil


def first_gap_again(history: History, rng: random.Random) -> bool:
    """The same samples are declared lost twice, under two numbers."""
    gaps = [event for event in history.events if isinstance(event, Gap)]
    if len(gaps) < 2:
        return False
    first = min(gaps, key=lambda gap: gap.seq)

    def repeated(gap: Gap) -> Gap:
        return gap if gap.seq == first.seq else replace(first, seq=gap.seq, reason=gap.reason)

    return changing(Gap, repeated)(history, rng)


def over_the_window_before(history: History, rng: random.Random) -> bool:
    """A gap reaches into a window that was heard."""
    tones = [event for event in history.events if isinstance(event, Tone)]

    def wider(gap: Gap) -> Gap:
        return replace(gap, start_sample=min(gap.start_sample, tones[0].start_sample))

    return bool(tones) and changing(Gap, wider)(history, rng)


def before_the_last_time(history: History, _: random.Random) -> bool:
    """The session goes on at a sample that it was past already."""
    for before, visit in pairwise(history.visits):
        past, welcome = before.welcome, visit.welcome
        assert past is not None
        assert welcome is not None
        if past.next_sample:
            visit.story[0] = Heard(replace(welcome, next_sample=past.next_sample - 1))
            return True
    return False


def a_position_unsaid(history: History, rng: random.Random) -> bool:
    """The client never passed over what was declared as its gap."""
    places = [(visit, one) for visit in history.visits for one in visit.story if isinstance(one, Skipped)]
    if not places:
        return False
    visit, one = rng.choice(places)
    visit.story[visit.story.index(one)] = Sent(one.start, one.end)
    return True


def other_samples(history: History, _: random.Random) -> bool:
    """Audio goes out under an index that is not its own."""
    for visit in history.visits:
        for place, one in enumerate(visit.story):
            if isinstance(one, Sent):
                visit.story[place] = replace(one, true=False)
                return True
    return False


def back_from_nowhere(history: History, _: random.Random) -> bool:
    """The client comes back with a number that it hasn't."""
    history.visits[-1].after = (history.visits[-1].after or 0) + 1
    return len(history.visits) > 1


def one_more_classified(history: History, _: random.Random) -> bool:
    """An account that doesn't balance, at some moment."""
    if not history.counts:
        return False
    history.counts[0] = {**history.counts[0], "classified_samples": 1 + history.counts[0]["next_sample"]}
    return True


def one_more(name: str) -> Change:
    """The same event with a larger figure."""
    return lambda event: replace(event, **{name: (getattr(event, name) or 0) + 1})


def overlooked(event: Event) -> Event:
    """A welcome that hides, or makes up, a loss."""
    assert isinstance(event, Welcome)
    return replace(event, recovered=not event.recovered)


def far_ahead(event: Event) -> Event:
    """A welcome that has samples which nobody sent."""
    assert isinstance(event, Welcome)
    return replace(event, next_sample=event.next_sample + 1_000_000)


def of_the_future(event: Event) -> Event:
    """A welcome that replays what is not there yet."""
    assert isinstance(event, Welcome)
    return replace(event, replay_from=event.replay_from or event.next_seq, replay_to=event.next_seq)


def uncounted(event: Event) -> Event:
    """A summary that forgot an event."""
    assert isinstance(event, Summary)
    return replace(event, events={**event.events, "tone": event.events.get("tone", 0) + 1})


def at_the_end(event: Event) -> Event:
    """A gap of nothing."""
    assert isinstance(event, Gap)
    return replace(event, start_sample=event.end_sample)


def too_soon(event: Event) -> Event:
    """A flow that has classified what didn't come."""
    assert isinstance(event, Flow)
    return replace(event, classified=event.received + 1)


def of_the_client(event: Event) -> Event:
    """A gap for which the client is blamed."""
    assert isinstance(event, Gap)
    return replace(event, reason=GapReason.CLIENT)


NEED_ALL = {"summary_is_true", "lost_is_declared"}
"""Rules that can judge only who has heard everything."""
FATAL = Error(code="flood", message="too fast", fatal=True)

SPOILT: list[tuple[str, str, Spoil]] = [
    ("welcome not first", "opens_with_welcome", without(Welcome)),
    ("welcomed twice", "opens_with_welcome", twice(Welcome)),
    ("an event lost", "numbers_in_order asks_for_the_rest", without(Tone)),
    ("an event twice", "numbers_in_order", twice(Tone)),
    ("a gap never told", "numbers_in_order asks_for_the_rest", without(Gap)),
    ("a loss hidden or made up", "tells_what_is_replayed", changing(Welcome, overlooked, skip=1)),
    ("a replay of the future", "tells_what_is_replayed", changing(Welcome, of_the_future)),
    ("the wrong number asked for", "asks_for_the_rest", back_from_nowhere),
    ("samples made up", "goes_on_where_it_was", changing(Welcome, far_ahead, skip=1)),
    ("samples forgotten", "goes_on_where_it_was", before_the_last_time),
    ("other samples", "samples_keep_their_index", other_samples),
    ("a gap of nothing", "gaps_are_exact", changing(Gap, at_the_end)),
    ("a gap twice", "gaps_are_exact", first_gap_again),
    ("a gap over a window", "heard_or_gap", over_the_window_before),
    ("a gap one sample short", "summary_is_true", changing(Gap, one_more("start_sample"))),
    ("the client blamed", "lost_is_declared", changing(Gap, of_the_client)),
    ("a loss that was none", "lost_is_declared", a_position_unsaid),
    ("a sample in no account", "account_balances", changing(Summary, one_more("next_sample"))),
    ("a sample in two accounts", "account_balances", one_more_classified),
    ("more client gap than gap", "account_balances", changing(Summary, one_more("client_gap_samples"))),
    ("an event uncounted", "summary_is_true", changing(Summary, uncounted)),
    ("pending for ever", "summary_is_true", changing(Summary, one_more("pending_samples"))),
    ("classified before it came", "flow_is_true", changing(Flow, too_soon)),
    ("1000 without summary", "ends_are_explained", without(Summary)),
    ("1012 without drain", "ends_are_explained", ending(Closed(1012), instead=True)),
    ("4009 without error", "ends_are_explained", ending(Closed(4009), instead=True)),
    ("another error", "ends_are_explained", ending(Heard(FATAL), Closed(4005), instead=True)),
    ("something after the close", "ends_are_explained", ending(Heard(Pong(t=1)))),
    ("lost and left so", "end_is_final", leaving(Closed(1006))),
    ("drained and left so", "end_is_final", leaving(Heard(Drain(retry_after_ms=1)), Closed(1012))),
    ("never closed", "end_is_final", ending(instead=True)),
]


@pytest.mark.parametrize(("rules", "spoil"), [pytest.param(*one[1:], id=one[0]) for one in SPOILT])
@given(seed=seeds, number=sockets)
def test_what_is_spoilt_is_found(rules: str, spoil: Spoil, seed: int, number: int) -> None:
    """Wherever it happened, in any history."""
    rng = random.Random(seed)
    history = Scribe(rng, forgets=rules not in NEED_ALL).write(number)
    assume(spoil(history, rng))
    assert {found.partition(":")[0] for found in audit(history)} & set(rules.split())


def test_each_rule_is_seen_red() -> None:
    """A new rule needs a history that breaks it."""
    assert {rule for _, rules, _ in SPOILT for rule in rules.split()} == set(ledger.RULES)


def test_gone_is_an_end() -> None:
    """A client that gave up has told its user so."""
    history = Scribe(random.Random(1)).write(2)
    leaving(Closed(1006))(history, random.Random(1))
    assert audit(history)
    history.gone = 1006
    assert audit(history) == []


@pytest.mark.parametrize("code", [1006, 1012])
def test_after_the_summary_a_lost_close_is_none(code: int) -> None:
    """The last word was said; nobody has to come back for a close frame."""
    history = Scribe(random.Random(1)).write(2)
    drained = [Heard(Drain(retry_after_ms=1))] if code == 1012 else []
    ending(*drained, Closed(code), instead=True)(history, random.Random(1))
    assert audit(history) == []
