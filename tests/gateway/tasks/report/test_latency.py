"""How quickly events came."""

from typing import Any

import pytest

from gateway.tasks.report.latency import latencies
from protocol.events import DurableEvent, QueueLabel
from tests.gateway.tasks.report.stories import queue, said, story, tone


def test_quantiles_are_of_windows_each_counted_once() -> None:
    """A hundred windows, some with two events, give the nearest ranks of a hundred receipts."""
    events: list[DurableEvent] = []
    for number in range(100):
        receipt: dict[str, Any] = {"queued_ms": float(number + 1), "classify_ms": None}
        events.append(tone(number, **receipt))
        if number % 3 == 0:
            events.append(queue(number, number + 1, QueueLabel.SILENCE, **receipt))
    (row,) = latencies(story(events))
    assert (row.number, row.quantiles, row.longest) == (100, (50.0, 95.0, 99.0), 100.0)
    assert row.what == "Windows: waiting for the classifier"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -1.0])
def test_what_is_no_time_counts_for_nothing(value: float | None) -> None:
    """Unknown, negative and endless receipts are left out."""
    assert latencies(story([tone(0, queued_ms=value, classify_ms=value)])) == []


def test_words_have_rows_of_their_own() -> None:
    """Transcripts are timed apart from windows, which are so much quicker."""
    rows = latencies(story([tone(0, classify_ms=4.0), said(0, 1, "yes", classify_ms=400.0)]))
    assert [(row.what, row.longest) for row in rows] == [
        ("Windows: in the classifier", 4.0),
        ("Words: in the transcriber", 400.0),
    ]
