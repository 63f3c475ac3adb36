"""Facts told to `Telemetry` come out in the Prometheus text format, and their sums agree."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.histogram import Histogram
from gateway.telemetry.metrics import CONTENT_TYPE, FAMILIES, Family, Snapshot, Telemetry
from protocol.close import CloseCode
from protocol.events import GapReason


def exposed(telemetry: Telemetry) -> dict[str, float]:
    """Every sample of our own, as `name{label="value"}` → number, read by an independent parser."""
    found = {}
    for family in text_string_to_metric_families(telemetry.render().decode()):
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return {name: value for name, value in found.items() if name.startswith("undertone_")}


FACTS: list[tuple[Callable[[Telemetry], None], dict[str, float]]] = [
    (
        lambda t: t.frame(3_200),
        {"undertone_frames_total": 1, "undertone_audio_bytes_total": 3_200},
    ),
    (
        lambda t: t.received(1_600),
        {
            'undertone_samples_total{kind="next"}': 1_600,
            'undertone_samples_total{kind="received"}': 1_600,
            "undertone_pending_samples": 1_600,
        },
    ),
    (lambda t: t.windows("classified"), {'undertone_windows_total{outcome="classified"}': 1}),
    (lambda t: t.windows("gap"), {'undertone_windows_total{outcome="gap"}': 1}),
    (
        lambda t: t.gap(GapReason.CLIENT, 70),
        {
            'undertone_gap_samples_total{reason="client"}': 70,
            'undertone_samples_total{kind="next"}': 70,
            'undertone_samples_total{kind="gap"}': 70,
            'undertone_samples_total{kind="client_gap"}': 70,
        },
    ),
    (lambda t: t.event("tone"), {'undertone_events_total{type="tone"}': 1}),
    (lambda t: t.error("flood"), {'undertone_errors_total{code="flood"}': 1}),
    (lambda t: t.refused("overloaded"), {'undertone_refusals_total{code="overloaded"}': 1}),
    (lambda t: t.close(4101), {'undertone_websocket_closes_total{code="4101"}': 1}),
    (lambda t: t.close(CloseCode.NORMAL), {'undertone_websocket_closes_total{code="1000"}': 1}),
    (lambda t: t.task("cancelled", None), {'undertone_tasks_ended_total{outcome="cancelled"}': 1}),
    (lambda t: t.evicted(), {"undertone_reader_evictions_total": 1}),
    (
        lambda t: t.watch(
            lambda: Snapshot(
                sessions={"live": 3, "detached": 1},
                readers={"owner": 3},
                windows_waiting=7,
                decoders={"busy": 1},
                utterances={"decoded": 9},
                tasks={"queued": 2, "running": 1},
                task_result_bytes=4_096,
            )
        ),
        {
            'undertone_sessions{state="live"}': 3,
            'undertone_sessions{state="detached"}': 1,
            'undertone_readers{role="owner"}': 3,
            "undertone_windows_waiting": 7,
            'undertone_transcribe_decoders{state="busy"}': 1,
            'undertone_transcribe_utterances_total{outcome="decoded"}': 9,
            'undertone_tasks{state="queued"}': 2,
            'undertone_tasks{state="running"}': 1,
            "undertone_task_result_bytes": 4_096,
        },
    ),
]


@pytest.mark.parametrize(("tell", "expected"), FACTS)
def test_a_fact_changes_its_own_numbers_and_no_others(
    tell: Callable[[Telemetry], None], expected: dict[str, float]
) -> None:
    """Before and after a fact, exactly the metrics that speak of it differ."""
    telemetry = Telemetry()
    before = exposed(telemetry)
    tell(telemetry)
    after = exposed(telemetry)
    assert {name: value for name, value in after.items() if before.get(name) != value} == expected


def test_a_batch_is_seen_from_all_sides() -> None:
    """Its size, each window's wait, the call's duration, and each window's lag, which is their sum."""
    telemetry = Telemetry()
    telemetry.batch(2, [0.001, 0.1], 0.2, failed=0)
    found = exposed(telemetry)
    assert found['undertone_batch_size_bucket{le="2.0"}'] == 1
    assert found["undertone_queue_wait_seconds_count"] == 2
    assert found["undertone_queue_wait_seconds_sum"] == pytest.approx(0.101)
    assert found["undertone_classify_seconds_sum"] == pytest.approx(0.2)
    assert found["undertone_lag_seconds_sum"] == pytest.approx(0.501)
    assert found["undertone_classify_failures_total"] == 0


def test_a_failed_batch_has_no_lag() -> None:
    """Windows without an answer would make the answers look slower, or faster, than they are."""
    telemetry = Telemetry()
    telemetry.batch(1, [0.1], 2.0, failed=1)
    found = exposed(telemetry)
    assert found["undertone_classify_failures_total"] == 1
    assert found["undertone_lag_seconds_count"] == 0


def test_only_tasks_that_ran_are_timed() -> None:
    """One that was cancelled while it waited took no time, which is none at all rather than zero seconds."""
    telemetry = Telemetry()
    telemetry.task("cancelled", None)
    telemetry.task("ready", 0.25)
    found = exposed(telemetry)
    assert found["undertone_task_seconds_count"] == 1
    assert found["undertone_task_seconds_sum"] == pytest.approx(0.25)


@given(st.lists(st.integers(0, 65_535)))
def test_peers_cannot_multiply_labels(codes: list[int]) -> None:
    """Whatever close codes peers make up, the metric keeps to a known, small set of labels."""
    telemetry = Telemetry()
    for code in codes:
        telemetry.close(code)
    known = {str(int(code)) for code in CloseCode} | {"1005", "1006", "other"}
    assert set(telemetry.closes) <= known
    assert sum(telemetry.closes.values()) == len(codes)


class _Books:
    """What the pipeline does with samples, kept a second time."""

    def __init__(self) -> None:
        self.telemetry = Telemetry()
        self.pending = 0

    def step(self, kind: str, samples: int) -> None:
        if kind == "receive":
            self.telemetry.received(samples)
            self.pending += samples
        elif kind == "skip":
            self.telemetry.gap(GapReason.CLIENT, samples)
        else:
            settled = min(samples, self.pending)
            self.pending -= settled
            if kind == "classify":
                self.telemetry.classified(settled)
            else:
                self.telemetry.gap(GapReason.OVERLOAD, settled)


@given(
    st.lists(st.tuples(st.sampled_from(["receive", "skip", "classify", "lose"]), st.integers(0, 1_000_000)))
)
def test_the_five_counts_agree_at_every_instant(steps: list[tuple[str, int]]) -> None:
    """next = classified + gap + pending, and received = next - client gap, whatever happens."""
    books = _Books()
    for kind, samples in steps:
        books.step(kind, samples)
        counts = books.telemetry.samples()
        assert counts["pending"] == books.pending
        assert counts["next"] == counts["classified"] + counts["gap"] + counts["pending"]
        assert counts["received"] == counts["next"] - counts["client_gap"]


def test_nothing_is_shared_between_gateways() -> None:
    """Two gateways in one process count apart, and the client library's global registry stays untouched."""
    before = {family.name for family in REGISTRY.collect()}
    one, other = Telemetry(), Telemetry()
    one.frame(1)
    assert exposed(other)["undertone_frames_total"] == 0
    assert {family.name for family in REGISTRY.collect()} == before


def test_the_process_is_measured_too() -> None:
    """CPU, memory and open files come with every answer, in the format the content type names."""
    text = Telemetry().render().decode()
    assert "process_cpu_seconds_total" in text
    assert "process_resident_memory_bytes" in text
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_declarations_follow_the_naming_rules(family: Family) -> None:
    """Prefix, base units, no `_total` in the declaration, a label exactly where there are several values."""
    assert family.name.startswith("undertone_")
    assert not family.name.endswith(("_total", "_ms"))
    assert family.help.endswith(".")
    value = family.read(Telemetry(), Snapshot())
    assert isinstance(value, Histogram) == (family.kind == "histogram")
    assert isinstance(value, int | float | Histogram) == (not family.label)
