"""What a sidecar counts, and how it shows it: the Prometheus text format, as the gateway's own metrics."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.server.facts import Cutoff
from gateway.sidecar.desk import Outcome
from gateway.sidecar.memory import Dropped
from gateway.sidecar.states import Found
from gateway.telemetry.histogram import Histogram

_BATCH_BOUNDS = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32)
_TIME_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Now:
    """The present state, taken when somebody reads."""

    waiting: int = 0
    held: int = 0
    body_bytes: int = 0
    sessions: int = 0
    session_bytes: int = 0
    workers: Mapping[str, int] = field(default_factory=dict)
    """By kind."""
    workers_ended: int = 0
    batch_limit: int = 0
    draining: bool = False


class Metrics:
    """Takes facts, on the event loop's thread."""

    def __init__(self) -> None:
        self.requests: dict[str, int] = {}
        self.windows = {outcome.value: 0 for outcome in Outcome}
        self.states = {found.value: 0 for found in Found}
        self.dropped = {why.value: 0 for why in Dropped}
        self.cutoffs = {fact.value: 0 for fact in Cutoff}
        self.audio_samples = 0
        self.told_wrong = 0
        self.batch_size = Histogram(_BATCH_BOUNDS)
        self.wait_seconds = Histogram(_TIME_BOUNDS)
        self.classify_seconds = Histogram(_TIME_BOUNDS)
        self._source: Callable[[], Now] = Now
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Declared(self))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def request(self, status: int) -> None:
        """A call was answered."""
        self.requests[str(status)] = self.requests.get(str(status), 0) + 1

    def audio(self, samples: int) -> None:
        """So much came in with a call that was understood."""
        self.audio_samples += samples

    def window(self, outcome: Outcome) -> None:
        """A window is settled."""
        self.windows[outcome.value] += 1

    def untellable(self) -> None:
        """The classifier's answer to a window could not be told."""
        self.told_wrong += 1

    def state(self, found: Found) -> None:
        """A window came with this state."""
        self.states[found.value] += 1

    def drop(self, why: Dropped) -> None:
        """A session's state was dropped."""
        self.dropped[why.value] += 1

    def cutoff(self, fact: Cutoff) -> None:
        """The server ended a connection against its peer's will."""
        self.cutoffs[fact.value] += 1

    def batch(self, size: int, waited_s: Sequence[float], took_s: float, *, failed: int) -> None:
        """The classifier answered; see `gateway.classify.scheduler.Observer`."""
        self.batch_size.observe(size)
        self.classify_seconds.observe(took_s)
        for waited in waited_s:
            self.wait_seconds.observe(waited)

    def watch(self, source: Callable[[], Now]) -> None:
        """Ask `source` for the present state each time somebody reads."""
        self._source = source

    def now(self) -> Now:
        """The present state."""
        return self._source()

    def render(self) -> bytes:
        """Everything, in the Prometheus text format."""
        return generate_latest(self._registry)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric, declared."""

    name: str
    """Without the suffix of its kind."""
    kind: str
    help: str
    read: Callable[[Metrics, Now], Any]
    label: str = ""

    @property
    def shown_name(self) -> str:
        """As it is exposed."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    def collect(self, metrics: Metrics, now: Now) -> Metric:
        """Its samples."""
        value = self.read(metrics, now)
        if isinstance(value, Histogram):
            histogram = HistogramMetricFamily(self.name, self.help)
            histogram.add_metric([], list(value.cumulative()), value.total)
            return histogram
        labels = [self.label] if self.label else []
        kind = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = kind(self.name, self.help, labels=labels)
        samples: Mapping[str, float] = value if isinstance(value, Mapping) else {"": value}
        for label, number in samples.items():
            family.add_metric([label] if self.label else [], number)
        return family


FAMILIES: tuple[Family, ...] = (
    Family(
        "undertone_sidecar_requests",
        "counter",
        "Calls of both contracts answered, by HTTP status.",
        lambda m, _: m.requests,
        "status",
    ),
    Family(
        "undertone_sidecar_windows",
        "counter",
        "Windows let in, by what became of them.",
        lambda m, _: m.windows,
        "outcome",
    ),
    Family(
        "undertone_sidecar_samples",
        "counter",
        "Samples of audio in calls that were understood.",
        lambda m, _: m.audio_samples,
    ),
    Family(
        "undertone_sidecar_untellable",
        "counter",
        "Windows whose answer held what can't be told, such as a number that is none.",
        lambda m, _: m.told_wrong,
    ),
    Family(
        "undertone_sidecar_states",
        "counter",
        "States of sessions that windows came with, by what was found; and those too large to leave.",
        lambda m, _: m.states,
        "found",
    ),
    Family(
        "undertone_sidecar_held_windows", "gauge", "Windows let in and not answered.", lambda _, now: now.held
    ),
    Family(
        "undertone_sidecar_waiting_windows",
        "gauge",
        "Windows waiting for dispatch.",
        lambda _, now: now.waiting,
    ),
    Family(
        "undertone_sidecar_body_bytes",
        "gauge",
        "Bytes of the calls under way.",
        lambda _, now: now.body_bytes,
    ),
    Family(
        "undertone_sidecar_sessions",
        "gauge",
        "Sessions whose state is kept here.",
        lambda _, now: now.sessions,
    ),
    Family(
        "undertone_sidecar_session_bytes",
        "gauge",
        "Bytes of the states kept here.",
        lambda _, now: now.session_bytes,
    ),
    Family(
        "undertone_sidecar_sessions_dropped",
        "counter",
        "Sessions no longer remembered, by why.",
        lambda m, _: m.dropped,
        "reason",
    ),
    Family(
        "undertone_sidecar_batch_size",
        "histogram",
        "Windows in a call of the classifier.",
        lambda m, _: m.batch_size,
    ),
    Family(
        "undertone_sidecar_wait_seconds",
        "histogram",
        "From a window's arrival to its dispatch.",
        lambda m, _: m.wait_seconds,
    ),
    Family(
        "undertone_sidecar_classify_seconds",
        "histogram",
        "Duration of a call of the classifier.",
        lambda m, _: m.classify_seconds,
    ),
    Family(
        "undertone_sidecar_cutoffs",
        "counter",
        "Connections ended against their peers' will, by reason.",
        lambda m, _: m.cutoffs,
        "reason",
    ),
    Family(
        "undertone_sidecar_workers",
        "gauge",
        "Workers of the classifier, `process` or `thread`.",
        lambda _, now: now.workers,
        "kind",
    ),
    Family(
        "undertone_sidecar_workers_ended",
        "counter",
        "Worker processes that ended by themselves.",
        lambda _, now: now.workers_ended,
    ),
    Family(
        "undertone_sidecar_batch_limit",
        "gauge",
        "Most windows in a call of the classifier, as set or as measured.",
        lambda _, now: now.batch_limit,
    ),
    Family("undertone_sidecar_draining", "gauge", "1 once it goes away.", lambda _, now: int(now.draining)),
)
"""Every metric of our own. `process_*` and `python_gc_*` come with the Prometheus client."""


def table() -> str:
    """Markdown: one row a metric."""
    rows = (
        f"| `{one.shown_name}` | {one.kind} | {f'`{one.label}`' if one.label else ''} | {one.help} |"
        for one in FAMILIES
    )
    return "\n".join(("| metric | kind | label | meaning |", "|---|---|---|---|", *rows))


class _Declared(Collector):
    """Reads every declared family off a `Metrics` object."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        now = self._metrics.now()
        return [family.collect(self._metrics, now) for family in FAMILIES]
