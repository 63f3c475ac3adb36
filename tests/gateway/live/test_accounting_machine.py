"""Every sample has one fate, and a client can tell it from the events alone.

The pipeline is driven through whatever clients, classifiers and time may do to it, with a classifier that
says one thing of each window it answers. So the ranges of its events and those of the gaps must tile the
session: never overlapping, and at the end without a hole. Model, ledger, metrics and summary count the same a
second, third and fourth time.
"""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.classify.port import QueueObservation
from protocol.audio import AudioEncoding, AudioFormat
from protocol.control import Configure, Delivery, SessionConfig
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Error, Flow, Gap, GapReason, Queue
from tests.fakes import Bench, bench

QUIET = QueueObservation(label="silence", confidence=0.9)
FORMATS = [
    AudioFormat(),
    AudioFormat(sample_rate=44_100, channels=2),
    AudioFormat(AudioEncoding.MULAW, 8_000),
    AudioFormat(AudioEncoding.PCM_F32LE, 11_025),
    AudioFormat(AudioEncoding.PCM_F32LE, 48_000, 2),
]
WINDOWS = [(200, 100), (200, 200), (333, 111), (1_000, 333), (1_000, 1_000), (1_700, 900)]
"""Milliseconds of a window and its hop."""

Span = tuple[int, int]


class Fates(RuleBasedStateMachine):
    """One session's audio."""

    on: Bench

    def __init__(self) -> None:
        super().__init__()
        self.next_sample = 0
        """Where the audio must stand."""
        self.bytes_over = 0
        """Bytes of an unfinished sample."""
        self.trim = 0
        """Bytes still to come that the server has already."""
        self.client_gaps = 0
        """Samples that were never sent, or not usably."""
        self.dropped = 0
        """Unfinished samples that the client must have been told of."""

    @initialize(
        audio=st.sampled_from(FORMATS),
        window=st.sampled_from(WINDOWS),
        delivery=st.sampled_from(Delivery),
        held_off=st.one_of(st.none(), st.integers(0, 50_000)),
    )
    def begin(self, audio: AudioFormat, window: Span, delivery: Delivery, held_off: int | None) -> None:
        """Somebody opens a session."""
        self.held_off = held_off
        """Bytes that still come once the node is going away; None where it isn't."""
        self.on = bench(audio, SessionConfig(window_ms=window[0], hop_ms=window[1], delivery=delivery))
        self.width = audio.bytes_per_sample

    # What a client does ----------------------------------------------------------------------------------

    @rule(ms=st.integers(0, 2_500), odd=st.integers(-7, 7), late=st.booleans())
    def audio(self, ms: int, odd: int, late: bool) -> None:
        """A frame of any size, cut anywhere; in real time, or as much as may come at once."""
        size = self.on.pipeline.audio.sample_rate * ms // 1_000 * self.width + odd
        self.frame(bytes(max(0, size)), in_time=not late)

    @precondition(lambda self: self.on.pipeline.audio.encoding is AudioEncoding.PCM_F32LE)
    @rule(count=st.integers(1, 6_000), odd=st.integers(0, 7))
    def nonsense(self, count: int, odd: int) -> None:
        """A frame that is no audio still takes its time: a gap of the client's."""
        self.frame(np.full(count, np.nan, "<f4").tobytes() + bytes(odd), in_time=True)

    def frame(self, data: bytes, *, in_time: bool) -> None:
        """Send one frame, which may be refused as no audio. A fatal refusal costs the connection."""
        on, refusal = self.on, None
        if in_time:
            on.clock.advance(on.pipeline.audio.seconds(on.pipeline.audio.samples(len(data))))
        try:
            on.pipeline.feed(data)
        except ProtocolError as error:
            refusal = error
        if refusal is not None and refusal.fatal:
            assert refusal.code in (ErrorCode.FLOOD, ErrorCode.OVERRUN)
            self.attach()
            return
        assert refusal is None or refusal.code is ErrorCode.INVALID_AUDIO
        kept = max(0, len(data) - self.trim)
        self.trim = max(0, self.trim - len(data))
        whole, self.bytes_over = divmod(self.bytes_over + kept, self.width)
        self.next_sample += whole
        self.client_gaps += whole if refusal is not None else 0

    @rule(offset=st.integers(-20_000, 20_000))
    def position(self, offset: int) -> None:
        """Muted, or resent: the clock jumps ahead over a gap, or the overlap is trimmed."""
        sample = max(0, self.next_sample + offset)
        self.on.pipeline.position(sample)
        self.void(told=True)
        self.trim = max(0, self.next_sample - sample) * self.width
        self.client_gaps += max(0, sample - self.next_sample)
        self.next_sample = max(self.next_sample, sample)

    @rule()
    def flush(self) -> None:
        """Classify the partial window now."""
        self.on.pipeline.cut_short()

    @rule(window=st.sampled_from(WINDOWS), delivery=st.sampled_from([None, *Delivery]))
    def configure(self, window: Span, delivery: Delivery | None) -> None:
        """Other windows from now on, perhaps another delivery."""
        self.on.pipeline.configure(Configure(window_ms=window[0], hop_ms=window[1], delivery=delivery))

    @rule()
    def attach(self) -> None:
        """Lost and back on another socket, which goes on from `next_sample`."""
        self.on.pipeline.attached()
        self.void(told=False)

    def void(self, *, told: bool) -> None:
        self.dropped += told and self.bytes_over > 0
        self.bytes_over = self.trim = 0

    # What happens to it ----------------------------------------------------------------------------------

    @rule(answers=st.integers(1, 4))
    def answer(self, answers: int) -> None:
        """The classifier answers."""
        for _ in range(answers):
            self.on.scheduler.answer([QUIET])

    @rule()
    def fail(self) -> None:
        """The classifier fails."""
        self.on.scheduler.fail()

    @rule()
    def shed(self) -> None:
        """A window's deadline passes."""
        self.on.scheduler.shed()

    @rule(seconds=st.sampled_from([0.3, 2.0, 6.0]))
    def wait(self, seconds: float) -> None:
        """Time goes by, the grace after an attach with it."""
        self.on.clock.advance(seconds)

    # What must hold --------------------------------------------------------------------------------------

    @property
    def classified(self) -> list[Span]:
        return [(one.start_sample, one.end_sample) for one in self.on.events if isinstance(one, Queue)]

    @property
    def gaps(self) -> list[Gap]:
        return [one for one in self.on.events if isinstance(one, Gap)]

    @property
    def told(self) -> list[Span]:
        """Every stretch that an event has told the fate of, in order."""
        return sorted([*self.classified, *((gap.start_sample, gap.end_sample) for gap in self.gaps)])

    @invariant()
    def the_account_holds(self) -> None:
        """Model, ledger, events and metrics say the same, and no sample has two fates."""
        pipeline, told = self.on.pipeline, self.told
        counts = pipeline.ledger.counts()
        assert all(start < end for start, end in told)
        assert all(one[1] <= two[0] for one, two in pairwise(told))
        assert counts == {
            "next_sample": self.next_sample,
            "received_samples": self.next_sample - self.client_gaps,
            "classified_samples": length(self.classified),
            "gap_samples": sum(gap.end_sample - gap.start_sample for gap in self.gaps),
            "client_gap_samples": self.client_gaps,
            "pending_samples": self.next_sample - length(told),
        }
        assert pipeline.cutter.dangling == self.bytes_over
        assert {f"{name}_samples": number for name, number in self.on.telemetry.samples().items()} == {
            f"{name.removesuffix('_samples').removesuffix('_sample')}_samples": number
            for name, number in counts.items()
        }

    @invariant()
    def each_reason_is_counted(self) -> None:
        """The gaps of each reason, in events, ledger and metrics."""
        by_reason: Counter[GapReason] = Counter()
        for gap in self.gaps:
            by_reason[gap.reason] += gap.end_sample - gap.start_sample
        assert by_reason[GapReason.CLIENT] == self.client_gaps
        assert self.on.pipeline.ledger.gaps_by_reason == by_reason
        assert {name: number for name, number in self.on.telemetry.gaps.items() if number} == by_reason

    @invariant()
    def what_was_dropped_was_told(self) -> None:
        """Bytes that can't become a sample any more."""
        told = [event for event in self.on.told if isinstance(event, Error)]
        assert [event.code for event in told] == [ErrorCode.INCOMPLETE_SAMPLE] * self.dropped

    def teardown(self) -> None:
        """It ends in order, with some windows answered, and the rest given up at the deadline."""
        if not hasattr(self, "on"):
            return
        pipeline = self.on.pipeline
        if self.held_off is not None:
            self.go_away(self.held_off)
        self.void(told=True)
        pipeline.stop_accepting()
        self.the_account_holds()
        for _ in range(len(self.on.scheduler.jobs) // 2):
            self.on.scheduler.answer([QUIET])
        late = list(self.on.scheduler.jobs)
        pipeline.abort()
        for job in late:  # an answer that comes after all changes nothing
            job.shed()
        summary = pipeline.announcer.summarise(pipeline.ledger, record_truncated=False)
        self.the_account_holds()
        self.each_reason_is_counted()
        self.what_was_dropped_was_told()
        assert length(self.told) == self.next_sample, "a hole"
        assert {name: getattr(summary, name) for name in pipeline.ledger.counts()} == pipeline.ledger.counts()
        assert summary.events == Counter(event.type for event in self.on.events)
        assert self.drained_as_one()

    def go_away(self, held_off: int) -> None:
        """The node drains: what still comes isn't taken in, unless the session ends here after all."""
        pipeline = self.on.pipeline
        pipeline.suspend()
        overlap, self.bytes_over = self.trim, 0
        pipeline.feed(bytes(held_off))
        self.the_account_holds()
        self.next_sample += max(0, held_off - overlap) // self.width
        self.trim = 0

    def drained_as_one(self) -> bool:
        """What was left at the deadline is one gap for each contiguous stretch."""
        drained = [gap for gap in self.gaps if gap.reason is GapReason.DRAIN]
        return all(one.end_sample < two.start_sample for one, two in pairwise(drained))


def length(spans: list[Span]) -> int:
    """Samples in `spans`."""
    return sum(end - start for start, end in spans)


TestFates = Fates.TestCase
TestFates.settings = settings(max_examples=120, stateful_step_count=40, deadline=None, derandomize=True)


def test_a_skip_beyond_the_credit_renews_it() -> None:
    """A lossless client that goes on far ahead is told the new limit at once, or it would wait for ever."""
    on = bench(config=SessionConfig(delivery=Delivery.LOSSLESS))
    assert on.pipeline.credit is not None
    ahead = on.pipeline.credit.limit + 1
    on.pipeline.position(ahead)
    limits = [event.limit for event in on.told if isinstance(event, Flow)]
    assert limits == [ahead + 10 * 16_000]
    on.pipeline.feed(bytes(32_000))


def test_what_is_no_audio_uses_up_no_credit() -> None:
    """Each refused frame is a gap, and a gap is settled."""
    on = bench(AudioFormat(AudioEncoding.PCM_F32LE), SessionConfig(delivery=Delivery.LOSSLESS))
    for _ in range(20):
        with pytest.raises(ProtocolError, match="finite"):
            on.pipeline.feed(np.full(16_000, np.nan, "<f4").tobytes())
    assert on.pipeline.ledger.client_gap_samples == 20 * 16_000
