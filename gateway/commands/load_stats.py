"""What a load run adds up: latencies, events, gaps, closes. One `Tally` for all sessions.

Memory stays the same however long a run is but for four numbers a second: latencies go into histograms with
buckets in constant proportion, as in HdrHistogram.
"""

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

LATENCY_TYPES = ("tone", "speaker", "queue")
"""Events whose latency is the gateway's; a transcript waits for the utterance to end"""
ALL = "all"
"""Those of every type, together"""
OBSERVED, UNOBSERVED = "observed", "unobserved"
"""The same, of sessions with observers and of those without"""

_LEAST_MS = 0.01
_GROWTH = math.log(1.001)
_BUCKETS = math.ceil(math.log(86_400_000 / _LEAST_MS) / _GROWTH)


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    p999: float
    max: float
    calm_p99: float
    """Median of the p99s of each second: one stall of the machine cannot set it"""


@dataclass(frozen=True, slots=True)
class Second:
    """The latencies of one second, in milliseconds."""

    at: int
    """Of the run's clock"""
    count: int
    p50: float
    p99: float


class Histogram:
    """Counts of latencies in milliseconds, each told to one part in a thousand."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, dtype=np.int64)
        self.max = 0.0

    @property
    def count(self) -> int:
        return int(self._counts.sum())

    def add(self, milliseconds: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> None:
        """Many at once."""
        if not len(milliseconds):
            return
        floored = np.maximum(milliseconds, _LEAST_MS)
        buckets = np.rint(np.log(floored / _LEAST_MS) / _GROWTH).astype(np.int64)
        np.add.at(self._counts, np.minimum(buckets, _BUCKETS - 1), 1)
        self.max = max(self.max, float(milliseconds.max()))

    def copy(self) -> "Histogram":
        made = Histogram()
        made._counts, made.max = self._counts.copy(), self.max
        return made

    def since(self, before: "Histogram") -> "Histogram":
        """What was added after `before`, an earlier copy, was taken; its maximum is a bucket's."""
        made = Histogram()
        made._counts = self._counts - before._counts
        filled = np.flatnonzero(made._counts)
        made.max = min(self.max, _middle(int(filled[-1]))) if len(filled) else 0.0
        return made

    def percentile(self, share: float) -> float:
        """The latency that `share` per cent were not above. Raises ValueError where there is none."""
        total = self.count
        if not total:
            raise ValueError("nothing was counted")
        rank = max(1, math.ceil(total * share / 100))
        return min(self.max, _middle(int(np.searchsorted(np.cumsum(self._counts), rank))))


class Samples:
    """Latencies as they come: seconds, and the moment each was seen."""

    def __init__(self) -> None:
        self._histogram = Histogram()
        self._pending = array("d")
        """Of the second that is not over"""
        self._second = 0
        self._until = -math.inf
        self.seconds: list[Second] = []
        """Those that are over and in which something was seen"""

    def __len__(self) -> int:
        return self._histogram.count + len(self._pending)

    def add(self, latency_s: float, at_s: float) -> None:
        """One event, `latency_s` after its last sample was due, seen at `at_s`; in order of time."""
        if at_s >= self._until:
            self._close()
            self._second = math.floor(at_s)
            self._until = self._second + 1.0
        self._pending.append(latency_s)

    def distribution(self) -> Latency | None:
        """None where nothing was seen."""
        seconds = [one.p99 for one in self.all_seconds()]
        return latency_of(self.histogram(), float(np.median(seconds)) if seconds else 0.0)

    def histogram(self) -> Histogram:
        """All that was seen until now."""
        whole = self._histogram.copy()
        whole.add(self._milliseconds())
        return whole

    def all_seconds(self) -> list[Second]:
        """The second that is not over included."""
        return [*self.seconds, *([self._told()] if self._pending else [])]

    def _close(self) -> None:
        if self._pending:
            self.seconds.append(self._told())
            self._histogram.add(self._milliseconds())
            self._pending = array("d")

    def _told(self) -> Second:
        p50, p99 = np.percentile(self._milliseconds(), (50, 99), method="inverted_cdf")
        return Second(self._second, len(self._pending), float(p50), float(p99))

    def _milliseconds(self) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        return np.array(self._pending, dtype=np.float64) * 1_000


@dataclass(slots=True)
class Tally:
    """The whole run."""

    sessions: int = 0
    """Begun"""
    welcomed: int = 0
    finished: int = 0
    """Ended with a summary that fits what was sent"""
    frames: int = 0
    events: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """`error` events by code"""
    failures: Counter[str] = field(default_factory=Counter)
    """Why sessions failed, in words"""
    closes: Counter[int] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    """Samples not analysed, by reason"""
    classified_samples: int = 0
    cuts: int = 0
    """Connections this side cut on purpose"""
    resumes: int = 0
    """Times a session was come back to"""
    unrecovered: int = 0
    """Of these, where the server had lost events, and said so"""
    missed: int = 0
    """Durable events that never came"""
    repeated: int = 0
    """Durable events that came again"""
    resent_samples: int = 0
    declared_samples: int = 0
    """Too old to be sent again, and said to be"""
    observers: int = 0
    """Sockets that only read, begun"""
    observer_messages: int = 0
    """What they were sent, all together"""
    observer_failures: Counter[str] = field(default_factory=Counter)
    """Why some did not come, or were lost"""
    latencies: dict[str, Samples] = field(
        default_factory=lambda: {name: Samples() for name in (*LATENCY_TYPES, ALL)}
    )

    @classmethod
    def grouped(cls, *groups: str) -> "Tally":
        """One that tells latencies of these groups of sessions apart, too."""
        made = cls()
        made.latencies |= {name: Samples() for name in groups}
        return made

    @property
    def failed(self) -> int:
        """Sessions that did not finish as they should."""
        return self.sessions - self.finished

    @property
    def gap_samples(self) -> int:
        """Samples not analysed."""
        return sum(self.gaps.values())

    def record(self, kind: str, latency_s: float, at_s: float, group: str | None = None) -> None:
        """One event of a type in `LATENCY_TYPES`, of a session of this group."""
        self.latencies[kind].add(latency_s, at_s)
        self.latencies[ALL].add(latency_s, at_s)
        if group is not None:
            self.latencies[group].add(latency_s, at_s)

    def latency(self, kind: str = ALL) -> Latency | None:
        """The distribution of one type of event, or of all; None where none was seen."""
        return self.latencies[kind].distribution()


def latency_of(seen: Histogram, calm_p99: float) -> Latency | None:
    """A histogram's usual figures; None where it is empty."""
    if not seen.count:
        return None
    p50, p95, p99, p999 = (seen.percentile(share) for share in (50, 95, 99, 99.9))
    return Latency(seen.count, p50, p95, p99, p999, seen.max, calm_p99)


def percentile_points(seen: Histogram) -> dict[str, float]:
    """Milliseconds by per cent: ten steps to 90 %, ten more to 99 %, and on until one value is left above."""
    count, found, nines = seen.count, dict[str, float](), 0
    while count >= 10**nines:
        shares = (100 - (100 - 10 * step) / 10**nines for step in range(10))
        found |= {f"{share:.10g}": seen.percentile(share) for share in shares}
        nines += 1
    return found


def _middle(bucket: int) -> float:
    return _LEAST_MS * math.exp(bucket * _GROWTH)
