"""The pipeline: every sample has one fate, and what is said of it is true."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.classify.lanes import Timing
from gateway.classify.port import QueueObservation, SpeakerObservation, ToneObservation
from gateway.live.job import WindowJob
from protocol.audio import AudioEncoding, AudioFormat
from protocol.control import Configure, Delivery, SessionConfig
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Error, Flow, FlowState, Gap, GapReason, Queue, Speaker, Tone
from tests.fakes import Bench, bench

LOSSLESS = SessionConfig(delivery=Delivery.LOSSLESS)
FORMATS = [
    AudioFormat(),
    AudioFormat(sample_rate=44_100, channels=2),
    AudioFormat(AudioEncoding.MULAW, 8_000),
    AudioFormat(AudioEncoding.PCM_F32LE, 11_025),
]

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.integers(0, 30_000)),
        st.tuples(st.just("feed"), st.integers(0, 63)),
        st.tuples(st.just("position"), st.integers(-4_000, 9_000)),
        st.tuples(st.just("nan"), st.integers(1, 400)),
        st.tuples(st.just("flush"), st.just(0)),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("fail"), st.just(0)),
        st.tuples(st.just("shed"), st.just(0)),
        st.tuples(st.just("configure"), st.sampled_from([200, 333, 500, 1_000, 1_700])),
        st.tuples(st.just("delivery"), st.integers(0, 1)),
        st.tuples(st.just("wait"), st.integers(1, 20)),
    ),
    max_size=40,
)


def step(on: Bench, name: str, number: int) -> None:
    """One thing a client, a classifier or time can do."""
    pipeline = on.pipeline
    match name:
        case "feed":
            pipeline.feed(bytes(number))
        case "nan" if pipeline.audio.encoding is AudioEncoding.PCM_F32LE:
            pipeline.feed(np.full(number, np.nan, "<f4").tobytes())
        case "position":
            pipeline.position(max(0, pipeline.ledger.next_sample + number))
        case "flush":
            pipeline.cut_short()
        case "answer":
            on.scheduler.answer()
        case "fail":
            on.scheduler.fail()
        case "shed":
            on.scheduler.shed()
        case "configure":
            pipeline.configure(Configure(window_ms=number, hop_ms=max(100, number // 2)))
        case "delivery":
            pipeline.configure(Configure(delivery=list(Delivery)[number]))
        case "wait":
            on.clock.advance(number)


def check(on: Bench) -> None:
    """The identity, and its terms counted a second way."""
    ledger, pipeline = on.pipeline.ledger, on.pipeline
    counts = ledger.counts()
    assert counts["next_sample"] == (
        counts["classified_samples"] + counts["gap_samples"] + counts["pending_samples"]
    )
    waiting = sum(job.owned_samples for job in pipeline._jobs.values())
    assert counts["pending_samples"] == pipeline.cutter.pending + waiting
    gaps = [event for event in on.events if isinstance(event, Gap)]
    assert counts["gap_samples"] == sum(gap.end_sample - gap.start_sample for gap in gaps)
    client = [gap for gap in gaps if gap.reason is GapReason.CLIENT]
    assert counts["client_gap_samples"] == sum(gap.end_sample - gap.start_sample for gap in client)
    spans = sorted((gap.start_sample, gap.end_sample) for gap in gaps)
    assert all(one[1] <= two[0] for one, two in pairwise(spans)), "gaps overlap"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FORMATS), STEPS)
def test_the_account_holds_at_every_instant(audio: AudioFormat, steps: list[tuple[str, int]]) -> None:
    """Whatever client, classifier and time do, every sample is classified, a declared gap, or pending."""
    on = bench(audio)
    for name, number in steps:
        try:
            step(on, name, number)
        except ProtocolError as error:
            check(on)
            if error.fatal:
                break
        check(on)
    on.pipeline.stop_accepting()
    check(on)
    on.scheduler.answer()
    on.pipeline.abort()
    check(on)
    assert on.pipeline.ledger.pending_samples == 0
    summary = on.pipeline.announcer.summarise(on.pipeline.ledger, record_truncated=False)
    assert summary.pending_samples == 0
    assert [event.seq for event in on.events] == list(range(1, len(on.events) + 1))


def test_answers_become_events_of_the_samples_they_own() -> None:
    """With overlapping windows each event speaks of the hop that is new."""
    on = bench(config=SessionConfig(window_ms=1_000, hop_ms=500, delivery=Delivery.LOSSLESS))
    on.pipeline.feed(bytes(2 * 24_000))
    on.scheduler.answer([QueueObservation(label="silence", confidence=0.9)])
    on.scheduler.answer([QueueObservation(label="dead_air", confidence=0.9)])
    told = [
        (event.label, event.start_sample, event.end_sample) for event in on.events if type(event) is Queue
    ]
    assert told == [("silence", 0, 16_000), ("dead_air", 16_000, 24_000)]
    first = on.events[0]
    assert isinstance(first, Queue)
    assert (first.timestamp, first.queued_ms, first.classify_ms) == (1.0, 1.0, 2.0)


def test_the_current_speaker_is_named_in_later_tones() -> None:
    """A classifier that says who speaks need not say it again with each tone."""
    on = bench(config=LOSSLESS)
    on.pipeline.feed(bytes(2 * 16_000))
    on.scheduler.answer(
        [
            SpeakerObservation(label="human_single", speaker_id="Speaker B", confidence=0.4),
            ToneObservation(label="Calm", confidence=0.5),
        ]
    )
    assert [type(event) for event in on.events] == [Speaker, Tone]
    tone = on.events[1]
    assert isinstance(tone, Tone)
    assert (tone.speaker_id, on.pipeline.announcer.speakers) == ("Speaker B", ["Speaker B"])


def test_a_stalled_classifier_costs_the_oldest_windows() -> None:
    """Realtime keeps one in flight and the newest two; six while a resent backlog may come."""
    on = bench()
    for _ in range(8):
        on.clock.advance(1.0)
        on.pipeline.feed(bytes(32_000))
    gaps = [(gap.start_sample, gap.reason) for gap in on.events if isinstance(gap, Gap)]
    assert len(on.scheduler.jobs) == 3
    assert gaps[0] == (16_000, GapReason.OVERLOAD)
    assert {reason for _, reason in gaps} == {GapReason.OVERLOAD}
    flows = [event for event in on.told if isinstance(event, Flow)]
    assert flows[-1].state is FlowState.SHEDDING
    assert flows[-1].dropped_ms == 1_000 * len(gaps)


def test_a_resent_backlog_is_not_shed() -> None:
    """Right after an attach five seconds may come at once."""
    on = bench()
    on.clock.advance(60)
    on.pipeline.attached()
    on.pipeline.feed(bytes(2 * 16_000 * 5))
    assert len(on.scheduler.jobs) == 5
    assert not on.events


def test_a_failed_window_is_a_gap() -> None:
    """The classifier's failure is declared to the sample."""
    on = bench()
    on.pipeline.feed(bytes(32_000))
    on.scheduler.fail()
    gap = on.events[0]
    assert isinstance(gap, Gap)
    assert (gap.start_sample, gap.end_sample, gap.reason) == (0, 16_000, GapReason.CLASSIFIER)


def test_an_answer_after_the_end_changes_nothing() -> None:
    """A window given up is given up, even if its answer comes after all."""
    on = bench()
    on.pipeline.feed(bytes(32_000))
    job = on.scheduler.jobs[0]
    assert isinstance(job, WindowJob)
    on.pipeline.abort()
    before = on.pipeline.ledger.counts()
    on.pipeline.window_classified(job, [QueueObservation(label="silence", confidence=1)], Timing(0.0, 0.0))
    assert on.pipeline.ledger.counts() == before
    assert [type(event) for event in on.events] == [Gap]


def test_credit_is_held_while_the_owner_is_far_behind() -> None:
    """A client that does not read gets no more to say."""
    backlog = [0]
    on = bench(config=LOSSLESS, owner_backlog=lambda: backlog[0])
    assert on.pipeline.credit is not None
    backlog[0] = 128
    limit = on.pipeline.credit.limit
    for _ in range(9):
        on.pipeline.feed(bytes(32_000))
        on.scheduler.answer()
    assert on.pipeline.credit.limit == limit
    backlog[0] = 0
    on.pipeline.feed(bytes(32_000))
    assert on.pipeline.credit.limit > limit


@pytest.mark.parametrize(("encoding", "nbytes"), [(AudioEncoding.PCM_S16LE, 3), (AudioEncoding.PCM_F32LE, 7)])
def test_an_unfinished_sample_is_told_at_the_end(encoding: AudioEncoding, nbytes: int) -> None:
    """Its bytes are dropped, with a typed error, and never counted."""
    on = bench(AudioFormat(encoding))
    on.pipeline.feed(bytes(nbytes))
    on.pipeline.stop_accepting()
    errors = [event.code for event in on.told if isinstance(event, Error)]
    assert errors == [ErrorCode.INCOMPLETE_SAMPLE]
    assert on.pipeline.ledger.next_sample == 1


def test_a_refused_configuration_changes_nothing() -> None:
    """All or nothing, so that `configured` never lies."""
    on = bench()
    with pytest.raises(ProtocolError):
        on.pipeline.configure(Configure(window_ms=500, hop_ms=800))
    assert on.pipeline.config == SessionConfig()


def test_features_not_asked_for_are_not_told() -> None:
    """A client that wants tones gets no queue states."""
    wanted = replace(LOSSLESS, features=frozenset({"tone"}))  # type: ignore[arg-type]
    on = bench(config=wanted)
    on.pipeline.feed(bytes(32_000))
    on.scheduler.answer([QueueObservation(label="silence", confidence=1)])
    assert on.events == []
    assert on.pipeline.ledger.classified_samples == 16_000


def feed_many(on: Bench, size: int, count: int) -> None:
    for _ in range(count):
        on.pipeline.feed(bytes(size))


@pytest.mark.parametrize("size", [1, 3, 3_201])
def test_frames_that_split_samples_are_budgeted_like_any(size: int) -> None:
    """Odd frames buy no more audio than whole ones: five seconds at once, not a sample more."""
    on = bench()
    with pytest.raises(ProtocolError) as refused:
        feed_many(on, size, 5 * 32_000 // size + 1)
    assert refused.value.code is ErrorCode.FLOOD
    assert on.pipeline.ledger.received_samples <= 5 * 16_000


@pytest.mark.parametrize("size", [1, 3, 3_201])
def test_frames_that_split_samples_stop_at_the_limit(size: int) -> None:
    """The last sample of credit may be completed, the next one not."""
    on = bench(config=LOSSLESS)
    assert on.pipeline.credit is not None
    limit = on.pipeline.credit.limit
    with pytest.raises(ProtocolError) as refused:
        feed_many(on, size, 2 * limit // size + 1 + size)
    assert refused.value.code is ErrorCode.OVERRUN
    assert on.pipeline.ledger.next_sample <= limit


@pytest.mark.parametrize(("window_ms", "hop_ms"), [(200, 100), (300, 300), (500, 500), (5_000, 100)])
def test_a_resent_backlog_of_short_windows_is_not_shed_either(window_ms: int, hop_ms: int) -> None:
    """Five seconds of short hops are more windows; after the grace two wait, as ever."""
    on = bench(config=SessionConfig(window_ms=window_ms, hop_ms=hop_ms))
    on.clock.advance(60)
    on.pipeline.attached()
    on.pipeline.feed(bytes(2 * 16_000 * 5))
    assert not [event for event in on.events if isinstance(event, Gap)]
    on.clock.advance(5.1)
    on.pipeline.feed(bytes(2 * 16_000))
    assert len(on.scheduler.jobs) == 3


@pytest.mark.parametrize("window_ms", [200, 500, 1_000])
def test_what_was_taken_in_losslessly_is_not_dropped_in_real_time(window_ms: int) -> None:
    """A session that becomes realtime keeps what credit has let in; only what comes after may be shed."""
    on = bench(config=SessionConfig(window_ms=window_ms, hop_ms=window_ms, delivery=Delivery.LOSSLESS))
    on.clock.advance(60)
    on.pipeline.feed(bytes(2 * 48_000))
    on.pipeline.configure(Configure(delivery=Delivery.REALTIME))
    on.pipeline.feed(bytes(2 * 48_000))
    gaps = [event for event in on.events if isinstance(event, Gap)]
    assert gaps
    assert min(gap.start_sample for gap in gaps) >= 48_000
