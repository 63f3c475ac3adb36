"""What the gateway counts.

Facts are told to one `Telemetry` object, whose methods add integers and nothing more; all work is left to
the moment somebody reads. What has a present state rather than a history (sessions, readers, queues) isn't
recorded at all but looked up then, through the one source given to `watch`.

All methods are called on the event loop's thread.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway import build
from gateway.telemetry.histogram import Histogram
from gateway.telemetry.sharing import SharingCounts
from gateway.telemetry.sidecars import SidecarCounts
from protocol.close import NO_CLOSE_FRAME, CloseCode
from protocol.events import GapReason

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Media type of what `Telemetry.render` returns."""

NO_STATUS = 1005
"""RFC 6455 section 7.4.1: a close frame without a code. Never on the wire, but what a server is told."""

_BATCH_BOUNDS = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32)
_WAIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_LAG_BOUNDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 4.0)
_TASK_BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CLOSE_CODES = frozenset({*CloseCode, NO_STATUS, NO_CLOSE_FRAME})

Counts: TypeAlias = Mapping[str, int]
Outcome: TypeAlias = Literal["classified", "gap"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The present state, taken when somebody reads the metrics."""

    sessions: Counts = field(default_factory=dict)
    """Sessions by status."""
    readers: Counts = field(default_factory=dict)
    """Connected readers of event logs, by role."""
    windows_waiting: int = 0
    """Windows waiting for dispatch."""
    dispatch_late_s: float = 0.0
    """For how many seconds realtime windows have waited too long for dispatch, where it is longest."""
    classifier_sessions: Counts = field(default_factory=dict)
    """Live sessions by what listens to them."""
    classifier_waiting: Counts = field(default_factory=dict)
    """Windows waiting for dispatch, by classifier."""
    classifier_late_s: Mapping[str, float] = field(default_factory=dict)
    """For how many seconds each classifier's windows have waited too long."""
    classifier_ready: Counts = field(default_factory=dict)
    """1 for each classifier that can answer, else 0."""
    classifier_workers: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Workers of each classifier, by classifier and kind of worker."""
    classifier_workers_ended: Counts = field(default_factory=dict)
    """Worker processes that ended by themselves so far, by classifier; only ever grows."""
    classifier_batch_limit: Counts = field(default_factory=dict)
    """Most windows in a call now, by classifier."""
    classifier_call_limit: Counts = field(default_factory=dict)
    """Most calls at the same time now, by classifier."""
    decoders: Counts = field(default_factory=dict)
    """Decoder processes of the transcriber, by state."""
    utterances: Counts = field(default_factory=dict)
    """Utterances so far, by what became of them; only ever grows."""
    tasks: Counts = field(default_factory=dict)
    """Background tasks that are not over, by state."""
    task_result_bytes: int = 0
    """Bytes of the results of tasks held."""
    nodes: int = 0
    """Nodes that share their sessions, this one included."""
    audit_rows_waiting: int = 0
    """Rows that the audit trail does not have yet."""


class Telemetry:
    """Takes facts, and shows them in the Prometheus text format."""

    __slots__ = (
        "_registry",
        "_source",
        "allocations",
        "audio_bytes",
        "batch_size",
        "classified_samples",
        "classifier_calls",
        "classifier_failed",
        "classifier_seconds",
        "classifier_windows",
        "classify_failures",
        "classify_seconds",
        "closes",
        "cutoffs",
        "errors",
        "events",
        "evictions",
        "frames",
        "gaps",
        "lag_seconds",
        "node",
        "notices",
        "queue_wait_seconds",
        "received_samples",
        "refusals",
        "resumes",
        "sharing",
        "sidecars",
        "task_outcomes",
        "task_seconds",
        "window_outcomes",
    )

    def __init__(self) -> None:
        self.node: str | None = None
        """What this node is called, where it has a name."""
        self.frames = 0
        self.audio_bytes = 0
        self.received_samples = 0
        self.classified_samples = 0
        self.classify_failures = 0
        self.evictions = 0
        self.classifier_calls: dict[str, int] = {}
        self.classifier_windows: dict[str, int] = {}
        self.classifier_failed: dict[str, int] = {}
        self.classifier_seconds: dict[str, float] = {}
        self.notices: dict[str, int] = {}
        self.allocations = dict.fromkeys(("granted", "extended", "refused", "released", "left"), 0)
        self.window_outcomes: dict[str, int] = dict.fromkeys(get_args(Outcome), 0)
        self.gaps = {reason.value: 0 for reason in GapReason}
        self.events: dict[str, int] = {}
        self.closes: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.refusals: dict[str, int] = {}
        self.cutoffs: dict[str, int] = {}
        self.resumes = {"all": 0, "part": 0}
        self.task_outcomes = {"ready": 0, "failed": 0, "cancelled": 0, "discarded": 0}
        self.sharing = SharingCounts()
        self.sidecars = SidecarCounts()
        self.batch_size = Histogram(_BATCH_BOUNDS)
        self.queue_wait_seconds = Histogram(_WAIT_BOUNDS)
        self.classify_seconds = Histogram(_WAIT_BOUNDS)
        self.lag_seconds = Histogram(_LAG_BOUNDS)
        self.task_seconds = Histogram(_TASK_BOUNDS)
        self._source: Callable[[], Snapshot] = Snapshot
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Declared(self))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    # Audio in ------------------------------------------------------------------------------------------

    def frame(self, nbytes: int) -> None:
        """A frame of audio came in."""
        self.frames += 1
        self.audio_bytes += nbytes

    def received(self, samples: int) -> None:
        """`samples` sample indices took their place in a session's audio."""
        self.received_samples += samples

    def windows(self, outcome: Outcome) -> None:
        """A window was settled; `classified` or `gap` tells its samples."""
        self.window_outcomes[outcome] += 1

    def classified(self, samples: int) -> None:
        """`samples` sample indices were classified."""
        self.classified_samples += samples

    def gap(self, reason: GapReason, samples: int) -> None:
        """`samples` sample indices were declared a gap."""
        self.gaps[reason.value] += samples

    # Classifying ---------------------------------------------------------------------------------------

    def batch(self, size: int, waited_s: Sequence[float], took_s: float, *, failed: int) -> None:
        """A batch came back from the classifier.

        Args:
            size: windows in it.
            waited_s: for each window, seconds from its arrival to its dispatch.
            took_s: seconds in the classifier.
            failed: how many of its windows have no answer.
        """
        self.batch_size.observe(size)
        self.classify_seconds.observe(took_s)
        if failed:
            self.classify_failures += 1
        for waited in waited_s:
            self.queue_wait_seconds.observe(waited)
            if failed < size:
                self.lag_seconds.observe(waited + took_s)

    def listener(self, kind: str) -> "ClassifierFacts":
        """Where one classifier's batches are told, so that they are counted for it as well."""
        for counts in (self.classifier_calls, self.classifier_windows, self.classifier_failed):
            counts.setdefault(kind, 0)
        self.classifier_seconds.setdefault(kind, 0.0)
        return ClassifierFacts(self, kind)

    def allocation(self, outcome: str) -> None:
        """What became of a request to the orchestrator."""
        self.allocations[outcome] += 1

    def notice(self, status: str) -> None:
        """A session was told how a part of its backend is."""
        self.notices[status] = self.notices.get(status, 0) + 1

    # Events out ----------------------------------------------------------------------------------------

    def event(self, type: str) -> None:
        """A durable event of this type was said."""
        self.events[type] = self.events.get(type, 0) + 1

    def error(self, code: str) -> None:
        """A peer was told of an error."""
        self.errors[code] = self.errors.get(code, 0) + 1

    def close(self, code: int) -> None:
        """A WebSocket was closed, by either side. Codes that a peer made up are counted as one."""
        label = str(int(code)) if code in _CLOSE_CODES else "other"
        self.closes[label] = self.closes.get(label, 0) + 1

    def refused(self, code: str) -> None:
        """A handshake or request was refused before it became a session."""
        self.refusals[code] = self.refusals.get(code, 0) + 1

    def cutoff(self, reason: str) -> None:
        """The server ended a connection against its peer's will."""
        self.cutoffs[reason] = self.cutoffs.get(reason, 0) + 1

    def resumed(self, *, recovered: bool) -> None:
        """A client came back; `recovered`: nothing that it missed was lost."""
        self.resumes["all" if recovered else "part"] += 1

    def evicted(self) -> None:
        """A reader fell out of the event log and was told so."""
        self.evictions += 1

    # Background work -----------------------------------------------------------------------------------

    def task(self, outcome: str, took_s: float | None) -> None:
        """A task is over, in the state `outcome` or discarded with its session, after running for `took_s`
        seconds; None: it never ran."""
        self.task_outcomes[outcome] += 1
        if took_s is not None:
            self.task_seconds.observe(took_s)

    # Reading -------------------------------------------------------------------------------------------

    def watch(self, source: Callable[[], Snapshot]) -> None:
        """Ask `source` for the present state each time somebody reads."""
        self._source = source

    def snapshot(self) -> Snapshot:
        """The present state."""
        return self._source()

    def samples(self) -> Counts:
        """The five counts of all sessions so far, and what is pending now."""
        client_gap, gap = self.gaps[GapReason.CLIENT.value], sum(self.gaps.values())
        next_sample = self.received_samples + client_gap
        return {
            "next": next_sample,
            "received": self.received_samples,
            "classified": self.classified_samples,
            "gap": gap,
            "client_gap": client_gap,
            "pending": next_sample - self.classified_samples - gap,
        }

    def render(self) -> bytes:
        """Everything in the Prometheus text exposition format 0.0.4."""
        return generate_latest(self._registry)


@dataclass(frozen=True, slots=True)
class ClassifierFacts:
    """Takes the facts of one classifier; kinds are few, and none is a client's word."""

    telemetry: Telemetry
    kind: str

    def batch(self, size: int, waited_s: Sequence[float], took_s: float, *, failed: int) -> None:
        """See `Telemetry.batch`."""
        self.telemetry.batch(size, waited_s, took_s, failed=failed)
        self.telemetry.classifier_calls[self.kind] += 1
        self.telemetry.classifier_windows[self.kind] += size
        self.telemetry.classifier_failed[self.kind] += failed
        self.telemetry.classifier_seconds[self.kind] += took_s


# Declarations ---------------------------------------------------------------------------------------------

Value: TypeAlias = int | float | Mapping[str, float] | Mapping[tuple[str, str], int] | Histogram


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: what it is called, what it means, where its value is read."""

    name: str
    """Without the `_total` that counters get."""
    kind: str
    """`counter`, `gauge` or `histogram`."""
    help: str
    read: Callable[[Telemetry, Snapshot], Value]
    label: str = ""
    """One name, or several with blanks between them; values are then by tuple."""

    @property
    def shown_name(self) -> str:
        """The name to use in a query."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    def collect(self, telemetry: Telemetry, snapshot: Snapshot) -> Metric:
        """The metric as it stands."""
        value = self.read(telemetry, snapshot)
        if isinstance(value, Histogram):
            histogram = HistogramMetricFamily(self.name, self.help)
            histogram.add_metric([], list(value.cumulative()), value.total)
            return histogram
        make = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        metric = make(self.name, self.help, labels=self.label.split())
        if isinstance(value, int | float):
            metric.add_metric([], value)
            return metric
        for label, number in value.items():
            metric.add_metric([label] if isinstance(label, str) else [*label], number)
        return metric


_BUILD = {(build.version(), build.kind()): 1}


def _settled(counts: Counts) -> Counts:
    return {kind: number for kind, number in counts.items() if kind != "pending"}


FAMILIES: tuple[Family, ...] = (
    Family(
        "undertone_build_info",
        "gauge",
        "Always 1: the version that runs, and whether it is `compiled` or `interpreted`.",
        lambda *_: _BUILD,
        "version kind",
    ),
    Family(
        "undertone_node_info",
        "gauge",
        "Always 1, where the node has a name (`UNDERTONE_NODE_NAME`); one of several processes has a number "
        "behind it.",
        lambda t, _: {} if t.node is None else {t.node: 1},
        "node",
    ),
    Family("undertone_sessions", "gauge", "Sessions held, by status.", lambda _, now: now.sessions, "state"),
    Family("undertone_frames", "counter", "Frames of audio received.", lambda t, _: t.frames),
    Family("undertone_audio_bytes", "counter", "Bytes of audio received.", lambda t, _: t.audio_bytes),
    Family(
        "undertone_samples",
        "counter",
        "Sample indices of all sessions: next = classified + gap + undertone_pending_samples, "
        "and received = next - client_gap.",
        lambda t, _: _settled(t.samples()),
        "kind",
    ),
    Family(
        "undertone_pending_samples",
        "gauge",
        "Sample indices received and not settled yet.",
        lambda t, _: t.samples()["pending"],
    ),
    Family(
        "undertone_gap_samples",
        "counter",
        "Sample indices not classified, by reason.",
        lambda t, _: t.gaps,
        "reason",
    ),
    Family(
        "undertone_windows",
        "counter",
        "Windows settled, by what became of them.",
        lambda t, _: t.window_outcomes,
        "outcome",
    ),
    Family(
        "undertone_windows_waiting",
        "gauge",
        "Windows waiting for dispatch, over all sessions.",
        lambda _, now: now.windows_waiting,
    ),
    Family(
        "undertone_dispatch_late_seconds",
        "gauge",
        "For how long realtime windows have waited too long for dispatch, without a calm second, at the "
        "classifier where it is longest; at UNDERTONE_ADMISSION_LATE_S its new sessions are refused.",
        lambda _, now: now.dispatch_late_s,
    ),
    Family(
        "undertone_classifier_sessions",
        "gauge",
        "Live sessions, by what listens to them.",
        lambda _, now: now.classifier_sessions,
        "classifier",
    ),
    Family(
        "undertone_classifier_ready",
        "gauge",
        "1 for a classifier that can answer, else 0.",
        lambda _, now: now.classifier_ready,
        "classifier",
    ),
    Family(
        "undertone_classifier_waiting",
        "gauge",
        "Windows waiting for dispatch, by classifier.",
        lambda _, now: now.classifier_waiting,
        "classifier",
    ),
    Family(
        "undertone_classifier_late_seconds",
        "gauge",
        "For how long realtime windows have waited too long for dispatch, by classifier.",
        lambda _, now: now.classifier_late_s,
        "classifier",
    ),
    Family(
        "undertone_classifier_calls",
        "counter",
        "Classify calls, by classifier.",
        lambda t, _: t.classifier_calls,
        "classifier",
    ),
    Family(
        "undertone_classifier_windows",
        "counter",
        "Windows handed to a classifier.",
        lambda t, _: t.classifier_windows,
        "classifier",
    ),
    Family(
        "undertone_classifier_failed_windows",
        "counter",
        "Windows that a classifier had no answer to.",
        lambda t, _: t.classifier_failed,
        "classifier",
    ),
    Family(
        "undertone_classifier_seconds",
        "counter",
        "Seconds in classify calls, by classifier.",
        lambda t, _: t.classifier_seconds,
        "classifier",
    ),
    Family(
        "undertone_classifier_workers",
        "gauge",
        "Workers of a classifier of this machine, `process` or `thread`.",
        lambda _, now: now.classifier_workers,
        "classifier kind",
    ),
    Family(
        "undertone_classifier_workers_ended",
        "counter",
        "Worker processes that ended by themselves.",
        lambda _, now: now.classifier_workers_ended,
        "classifier",
    ),
    Family(
        "undertone_classifier_batch_limit",
        "gauge",
        "Most windows in a classify call now, by classifier: as set, measured, or as its sidecars take.",
        lambda _, now: now.classifier_batch_limit,
        "classifier",
    ),
    Family(
        "undertone_classifier_call_limit",
        "gauge",
        "Most classify calls at the same time now, by classifier.",
        lambda _, now: now.classifier_call_limit,
        "classifier",
    ),
    Family(
        "undertone_orchestrator_requests",
        "counter",
        "What became of requests for sidecars; those `left` could not be given back and end with their time. "
        "Held are granted - released - left.",
        lambda t, _: t.allocations,
        "outcome",
    ),
    Family(
        "undertone_service_notices",
        "counter",
        "Times that a session was told how a part of its backend is, by status.",
        lambda t, _: t.notices,
        "status",
    ),
    Family("undertone_batch_size", "histogram", "Windows in a classify call.", lambda t, _: t.batch_size),
    Family(
        "undertone_queue_wait_seconds",
        "histogram",
        "From a window's last sample to its dispatch.",
        lambda t, _: t.queue_wait_seconds,
    ),
    Family(
        "undertone_classify_seconds",
        "histogram",
        "Duration of a classify call.",
        lambda t, _: t.classify_seconds,
    ),
    Family(
        "undertone_classify_failures",
        "counter",
        "Classify calls without an answer.",
        lambda t, _: t.classify_failures,
    ),
    Family(
        "undertone_lag_seconds",
        "histogram",
        "From a window's last sample to its answer.",
        lambda t, _: t.lag_seconds,
    ),
    Family(
        "undertone_sidecar_calls",
        "counter",
        "Calls to sidecars, by the sidecar's place in UNDERTONE_CLASSIFIER_URL (from 0) and by outcome: "
        "`ok`, or how it failed.",
        lambda t, _: t.sidecars.calls,
        "replica outcome",
    ),
    Family(
        "undertone_sidecar_retries",
        "counter",
        "Calls that were made again.",
        lambda t, _: t.sidecars.retries,
    ),
    Family(
        "undertone_sidecar_in_flight", "gauge", "Calls to sidecars open.", lambda t, _: t.sidecars.in_flight
    ),
    Family(
        "undertone_sidecar_breakers",
        "gauge",
        "Sidecars, by the state of their breaker; one that is not closed is not asked, but for a probe.",
        lambda t, _: t.sidecars.breakers,
        "state",
    ),
    Family(
        "undertone_sidecar_bad_windows",
        "counter",
        "Windows without an answer in a call that was answered: malformed, or refused by the sidecar.",
        lambda t, _: t.sidecars.windows,
        "fault",
    ),
    Family(
        "undertone_sidecar_events_passed_over",
        "counter",
        "Events of a type or with a label that this version doesn't know.",
        lambda t, _: t.sidecars.passed_over,
    ),
    Family("undertone_events", "counter", "Durable events, by type.", lambda t, _: t.events, "type"),
    Family(
        "undertone_readers",
        "gauge",
        "Connected readers of events, by role.",
        lambda _, now: now.readers,
        "role",
    ),
    Family(
        "undertone_resumes",
        "counter",
        "Readers that came back, by whether all they had missed could be replayed.",
        lambda t, _: t.resumes,
        "replayed",
    ),
    Family(
        "undertone_reader_evictions",
        "counter",
        "Readers that fell out of the event log.",
        lambda t, _: t.evictions,
    ),
    Family(
        "undertone_websocket_closes",
        "counter",
        "WebSockets closed, by close code; 1005 is a close without a code, 1006 a connection lost.",
        lambda t, _: t.closes,
        "code",
    ),
    Family("undertone_errors", "counter", "Errors told to peers, by code.", lambda t, _: t.errors, "code"),
    Family(
        "undertone_refusals",
        "counter",
        "WebSocket handshakes, requests for a session and for a task refused, by code.",
        lambda t, _: t.refusals,
        "code",
    ),
    Family(
        "undertone_server_cutoffs",
        "counter",
        "Connections ended against their peers' will, by reason: floods, late or malformed requests, "
        "violations of RFC 6455, unanswered pings and closes.",
        lambda t, _: t.cutoffs,
        "reason",
    ),
    Family(
        "undertone_transcribe_decoders",
        "gauge",
        "Decoder processes of the transcriber, by state.",
        lambda _, now: now.decoders,
        "state",
    ),
    Family(
        "undertone_transcribe_utterances",
        "counter",
        "Utterances, by what became of them.",
        lambda _, now: now.utterances,
        "outcome",
    ),
    Family(
        "undertone_tasks",
        "gauge",
        "Background tasks that are not over, by state.",
        lambda _, now: now.tasks,
        "state",
    ),
    Family(
        "undertone_tasks_ended",
        "counter",
        "Background tasks that are over, by what became of them; discarded: their session went first.",
        lambda t, _: t.task_outcomes,
        "outcome",
    ),
    Family(
        "undertone_task_seconds",
        "histogram",
        "For how long tasks ran, without their wait for a worker.",
        lambda t, _: t.task_seconds,
    ),
    Family(
        "undertone_task_result_bytes",
        "gauge",
        "Bytes of the results of tasks held in memory.",
        lambda _, now: now.task_result_bytes,
    ),
    Family("undertone_nodes", "gauge", "Nodes that share their sessions.", lambda _, now: now.nodes),
    Family(
        "undertone_store_away",
        "gauge",
        "1 where the store, or the audit trail, can't be reached.",
        lambda t, _: t.sharing.away,
        "part",
    ),
    Family(
        "undertone_store_commits",
        "counter",
        "Round trips by which sessions were made safe in the store.",
        lambda t, _: t.sharing.commits,
    ),
    Family(
        "undertone_store_events", "counter", "Events made safe in the store.", lambda t, _: t.sharing.events
    ),
    Family(
        "undertone_store_events_dropped",
        "counter",
        "Events that had no room while the store was away: other nodes never see them.",
        lambda t, _: t.sharing.dropped,
    ),
    Family(
        "undertone_sessions_claimed",
        "counter",
        "Sessions that this node made its own: new ones, and those taken from another node.",
        lambda t, _: t.sharing.claims,
        "from",
    ),
    Family(
        "undertone_sessions_lost",
        "counter",
        "Sessions live here that were claimed or deleted elsewhere, or whose claim the store lost.",
        lambda t, _: t.sharing.lost,
        "how",
    ),
    Family(
        "undertone_audit_rows_waiting",
        "gauge",
        "Rows that the audit trail does not have yet.",
        lambda _, now: now.audit_rows_waiting,
    ),
    Family(
        "undertone_audit_rows_dropped",
        "counter",
        "Rows that the audit trail will never have.",
        lambda t, _: t.sharing.rows_dropped,
    ),
)
"""Every metric of our own. `process_*` and `python_gc_*` come with the Prometheus client."""


class _Declared(Collector):
    """Reads every declared family off a `Telemetry` object."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def collect(self) -> Iterable[Metric]:
        snapshot = self._telemetry.snapshot()
        return [family.collect(self._telemetry, snapshot) for family in FAMILIES]
