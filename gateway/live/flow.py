"""Flow: what became of each sample, how far the client may send, and how fast it may.

All of it is arithmetic on sample indices at the client's own rate, with time handed in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from protocol.events import FlowState, GapReason

REALTIME_FACTOR = 4
"""How many times real time a realtime session may send."""
BURST_S = 5
"""Seconds of audio that it may send at once."""


@dataclass(slots=True)
class Ledger:
    """Where every sample of a session went.

    `next_sample == classified + gap + pending` holds at every instant; the three move only through the
    methods below, each of which takes from one account exactly what it puts into another.
    """

    next_sample: int = 0
    """Index of the next sample: all that was received or declared missing so far."""
    classified_samples: int = 0
    pending_samples: int = 0
    """Received, neither classified nor given up yet."""
    gap_samples: int = 0
    client_gap_samples: int = 0
    """The part of `gap_samples` that the client never sent in a usable form."""
    gaps_by_reason: dict[GapReason, int] = field(default_factory=dict)

    @property
    def received_samples(self) -> int:
        """Samples that came in."""
        return self.next_sample - self.client_gap_samples

    def receive(self, samples: int) -> None:
        """`samples` more came in."""
        self.next_sample += samples
        self.pending_samples += samples

    def skip(self, samples: int) -> None:
        """`samples` that the client did not send, or not usably: a gap from the start."""
        self.next_sample += samples
        self.client_gap_samples += samples
        self._gap(samples, GapReason.CLIENT)

    def classify(self, samples: int) -> None:
        """`samples` pending ones were classified."""
        self._settle(samples)
        self.classified_samples += samples

    def lose(self, samples: int, reason: GapReason) -> None:
        """`samples` pending ones were given up."""
        self._settle(samples)
        self._gap(samples, reason)

    def restore(self, sample: int, classified: int, gaps: Mapping[GapReason, int]) -> None:
        """Go on at `sample`, before which so many were classified or given up, by reason."""
        self.next_sample, self.classified_samples = sample, classified
        self.gaps_by_reason = dict(gaps)
        self.gap_samples = sum(gaps.values())
        self.client_gap_samples = gaps.get(GapReason.CLIENT, 0)

    def counts(self) -> dict[str, int]:
        """The five counts of the protocol and what is still pending, by name."""
        return {
            "next_sample": self.next_sample,
            "received_samples": self.received_samples,
            "classified_samples": self.classified_samples,
            "gap_samples": self.gap_samples,
            "client_gap_samples": self.client_gap_samples,
            "pending_samples": self.pending_samples,
        }

    def _settle(self, samples: int) -> None:
        if not 0 <= samples <= self.pending_samples:
            raise ValueError(f"{samples} samples settled, {self.pending_samples} pending")
        self.pending_samples -= samples

    def _gap(self, samples: int, reason: GapReason) -> None:
        self.gap_samples += samples
        self.gaps_by_reason[reason] = self.gaps_by_reason.get(reason, 0) + samples


@dataclass(slots=True)
class Traffic:
    """What came in, for the session's statistics."""

    chunks_received: int = 0
    chunks_processed: int = 0
    messages: int = 0
    last_activity: float = 0.0
    """Monotonic seconds of the last audio, ping or control message."""


@dataclass(slots=True)
class Credit:
    """How far a lossless client may send: an absolute sample index that never goes back.

    The span keeps `limit` at least half a span ahead of what is settled, and is renewed when half of it
    is used, so a client at any distance never starves and the server never holds more than one span.
    """

    span: int
    """Samples; ten seconds' worth, so that the promised five are always ahead."""
    limit: int = 0

    @classmethod
    def opening(cls, sample_rate: int, at: int = 0) -> "Credit":
        """The credit of a session at sample index `at`."""
        span = 10 * sample_rate
        return cls(span=span, limit=at + span)

    def renew(self, *, next_sample: int, settled: int) -> bool:
        """Raise the limit if half of it is used; whether it was raised.

        Args:
            next_sample: how far the client has come.
            settled: samples classified or declared lost.
        """
        raised = settled + self.span
        if next_sample * 2 < self.limit * 2 - self.span or raised <= self.limit:
            return False
        self.limit = raised
        return True


@dataclass(slots=True)
class FloodBudget:
    """A token bucket in bytes of audio: `rate` times real time with a burst of `burst_s` seconds."""

    bytes_per_s: int
    """Of the session's format, in real time."""
    updated: float
    """Monotonic seconds."""
    rate: float = REALTIME_FACTOR
    burst_s: float = BURST_S
    tokens: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = self.burst_s * self.bytes_per_s

    def spend(self, nbytes: int, now: float) -> bool:
        """Take `nbytes`; False where the client is too far beyond real time."""
        refill = (now - self.updated) * self.rate * self.bytes_per_s
        self.tokens = min(self.tokens + refill, self.burst_s * self.bytes_per_s) - nbytes
        self.updated = now
        return self.tokens >= 0


@dataclass(slots=True)
class FlowMeter:
    """Says how a session keeps up, at most once a second and at every change of state."""

    interval_s: float = 1.0
    lagging_ms: float = 1_000.0
    """Age of the oldest unanswered window from which a session lags."""
    state: FlowState = FlowState.OK
    reported_at: float | None = None
    _shed_since_report: bool = False

    def shed(self) -> None:
        """A window was given up for lack of time."""
        self._shed_since_report = True

    def due(self, lag_ms: float, now: float, *, alone: bool = False) -> bool:
        """Whether a report is due now; updates the state and, if due, the time of the last one.

        Args:
            alone: nothing else is said just now. A report in which nothing has changed then waits for
                something to go with, for one more interval at most: what costs is the writing.
        """
        state = self._judge(lag_ms)
        rest_s = 2 * self.interval_s if alone and state is self.state else self.interval_s
        rested = self.reported_at is None or now - self.reported_at >= rest_s
        # Back from shedding is believed only after a calm second, or a session at its limit would flutter.
        changed = state is not self.state and (rested or self.state is not FlowState.SHEDDING)
        if not (changed or rested):
            return False
        self.state = state
        self.reported_at = now
        self._shed_since_report = False
        return True

    def _judge(self, lag_ms: float) -> FlowState:
        if self._shed_since_report:
            return FlowState.SHEDDING
        return FlowState.LAGGING if lag_ms > self.lagging_ms else FlowState.OK


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted spans with neighbours that touch made one."""
    stretches: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if stretches and stretches[-1][1] == start:
            stretches[-1] = (stretches[-1][0], end)
        else:
            stretches.append((start, end))
    return stretches
