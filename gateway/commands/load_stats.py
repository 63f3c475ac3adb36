"""What a load run adds up: latencies, events, gaps, closes. One `Tally` for all sessions."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

LATENCY_TYPES = ("tone", "speaker", "queue")
"""Events whose latency is the gateway's; a transcript waits for the utterance to end"""


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float
    calm_p99: float
    """Median of the p99s of each second: one stall of the machine cannot set it"""


class Samples:
    """Latencies as they come: seconds, and the moment each was seen."""

    def __init__(self) -> None:
        self._latency_s = array("d")
        self._at_s = array("d")

    def __len__(self) -> int:
        return len(self._latency_s)

    def add(self, latency_s: float, at_s: float) -> None:
        """One event, `latency_s` after its last sample was due, seen at `at_s` of the run."""
        self._latency_s.append(latency_s)
        self._at_s.append(at_s)

    def distribution(self) -> Latency | None:
        """None where nothing was seen."""
        if not self._latency_s:
            return None
        return _distribution([self])

    def milliseconds(self) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        return np.frombuffer(self._latency_s, dtype=np.float64) * 1_000

    def seconds_seen(self) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        return np.frombuffer(self._at_s, dtype=np.float64).astype(np.int64)


@dataclass(slots=True)
class Tally:
    """The whole run."""

    sessions: int
    """Wanted"""
    welcomed: int = 0
    finished: int = 0
    """Ended with a summary that fits what was sent"""
    frames: int = 0
    late_frames: int = 0
    """Frames sent more than one frame later than due: the load tool itself did not keep up"""
    events: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """`error` events by code"""
    failures: Counter[str] = field(default_factory=Counter)
    """Why sessions failed, in words"""
    closes: Counter[int] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    """Samples not analysed, by reason"""
    classified_samples: int = 0
    latencies: dict[str, Samples] = field(default_factory=lambda: {name: Samples() for name in LATENCY_TYPES})

    @property
    def failed(self) -> int:
        """Sessions that did not finish as they should."""
        return self.sessions - self.finished

    @property
    def gap_samples(self) -> int:
        """Samples not analysed."""
        return sum(self.gaps.values())

    def latency(self, kind: str | None = None) -> Latency | None:
        """The distribution of one type of event, or of all; None where none was seen."""
        chosen = [self.latencies[kind]] if kind is not None else list(self.latencies.values())
        seen = [samples for samples in chosen if len(samples)]
        return _distribution(seen) if seen else None


def _distribution(samples: Sequence[Samples]) -> Latency:
    latency = np.concatenate([one.milliseconds() for one in samples])
    second = np.concatenate([one.seconds_seen() for one in samples])
    p50, p95, p99 = (float(np.percentile(latency, share)) for share in (50, 95, 99))
    each = [float(np.percentile(latency[second == one], 99)) for one in np.unique(second)]
    return Latency(len(latency), p50, p95, p99, float(latency.max()), float(np.median(each)))
