"""The ledger of `make cluster` finds what it is for."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from protocol.events import DurableEvent, Gap, GapReason, Tone
from scripts.cluster.ledger import Ledger
from tests.protocol.loopback import SUMMARY, TONE, WELCOME

WINDOW = 1_000


def heard(seq: int, start: int) -> Tone:
    """A window of which something was said."""
    return replace(TONE, seq=seq, start_sample=start, end_sample=start + WINDOW)


def lost(seq: int, start: int) -> Gap:
    """One that was not classified."""
    return Gap(
        seq=seq,
        session_id="s",
        timestamp=0.0,
        start_sample=start,
        end_sample=start + WINDOW,
        reason=GapReason.CLASSIFIER,
    )


END = replace(
    SUMMARY,
    seq=4,
    next_sample=3 * WINDOW,
    classified_samples=2 * WINDOW,
    gap_samples=WINDOW,
    client_gap_samples=0,
    received_samples=3 * WINDOW,
    events={"tone": 2, "gap": 1, "summary": 1},
)
STORY: tuple[DurableEvent, ...] = (heard(1, 0), lost(2, WINDOW), heard(3, 2 * WINDOW), END)


def found(story: Sequence[DurableEvent], sent: int = 3 * WINDOW) -> str:
    """What is wrong with it."""
    ledger = Ledger(1, lambda _: None, sent=sent)
    ledger.begin(WELCOME)
    for event in story:
        ledger.take(event)
    return "; ".join(ledger.wrong())


def test_a_session_that_adds_up() -> None:
    """Nothing is wrong with it, and its row says what there was."""
    assert found(STORY) == ""
    ledger = Ledger(1, lambda _: None, sent=3 * WINDOW)
    for event in STORY:
        ledger.take(event)
    ledger.take(WELCOME)
    assert "gaps: classifier 1000; 4 events, 0 missing, 0 twice; 1 resumes" in ledger.row()


@pytest.mark.parametrize(
    ("story", "sent", "told"),
    [
        (STORY[:1] + STORY[2:], 3_000, "1 events are missing, 0 came twice"),
        ((STORY[0], *STORY), 3_000, "0 events are missing, 1 came twice"),
        (STORY[:3], 3_000, "no summary"),
        (STORY, 3_001, "3001 samples were sent, 3000 are accounted for"),
        ((*STORY[:3], replace(END, classified_samples=1_999)), 3_000, "3000 samples are not 1999 classified"),
        ((*STORY[:3], replace(END, received_samples=2_999)), 3_000, "2999 samples received"),
        ((*STORY[:3], replace(END, events={"tone": 3})), 3_000, "it counts"),
        ((STORY[0], lost(2, 500), *STORY[2:]), 3_000, "sample 500 is heard and a gap"),
        ((lost(1, 0), lost(2, 500), *STORY[2:]), 3_000, "sample 500 is a gap and a gap"),
        (
            (*STORY[:1], heard(2, WINDOW), *STORY[2:3], replace(END, events={"tone": 3, "summary": 1})),
            3_000,
            "1000 samples are in gaps, 0 were declared",
        ),
    ],
)
def test_what_does_not_add_up(story: Sequence[DurableEvent], sent: int, told: str) -> None:
    """Each by itself."""
    assert told in found(story, sent)


def test_a_history_that_was_lost() -> None:
    """Another epoch is another history."""
    ledger = Ledger(1, lambda _: None, sent=3 * WINDOW)
    ledger.begin(WELCOME)
    ledger.take(replace(WELCOME, epoch="another"))
    for event in STORY:
        ledger.take(event)
    assert list(ledger.wrong()) == ["its history was lost"]
