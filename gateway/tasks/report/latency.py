"""How quickly a session's events came, from the receipts they carry."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from gateway.tasks.story import Story
from protocol.events import ClassifiedEvent, Transcript

QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Latency:
    """One figure of the receipts."""

    what: str
    number: int
    """Receipts."""
    quantiles: tuple[float, ...]
    """Milliseconds, for each of `QUANTILES`."""
    longest: float
    """Milliseconds."""


def latencies(story: Story) -> Sequence[Latency]:
    """Of windows and of words; those that nobody gave a receipt for are left out."""
    receipts = [event for event in story.events if isinstance(event, ClassifiedEvent)]
    windows = _once(event for event in receipts if not isinstance(event, Transcript))
    words = [event for event in receipts if isinstance(event, Transcript)]
    rows = (
        _row("Windows: waiting for the classifier", (one.queued_ms for one in windows)),
        _row("Windows: in the classifier", (one.classify_ms for one in windows)),
        _row("Words: waiting for the transcriber", (one.queued_ms for one in words)),
        _row("Words: in the transcriber", (one.classify_ms for one in words)),
    )
    return [row for row in rows if row is not None]


def _once(events: Iterable[ClassifiedEvent]) -> Sequence[ClassifiedEvent]:
    """One event of each window: all that is said of a window carries the same receipt."""
    return [next(same) for _, same in groupby(events, key=lambda one: one.end_sample)]


def _row(what: str, values: Iterable[float | None]) -> Latency | None:
    known = sorted(value for value in values if value is not None and math.isfinite(value) and value >= 0)
    if not known:
        return None
    ranks = (max(0, math.ceil(share * len(known)) - 1) for share in QUANTILES)
    return Latency(what, len(known), tuple(known[rank] for rank in ranks), known[-1])
