"""Whatever a session went through, another node can go on with it, and every sample still has one fate.

The pipeline is driven as in `test_accounting_machine`, and now and then its node is lost: what it said so far
is said, and another pipeline is made of its last snapshot. The client resends what it still has. All that was
said on all nodes must tile the session as if it had been one.
"""

from collections import Counter
from itertools import pairwise
from typing import cast

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.classify.port import QueueObservation
from gateway.clock import ManualClock
from gateway.live.snapshot import Snapshot
from gateway.sessions.ports import Entry
from gateway.stores.memory import MemoryEventStore
from protocol.audio import AudioEncoding, AudioFormat
from protocol.control import Configure, Delivery, SessionConfig
from protocol.errors import ProtocolError
from protocol.events import DurableEvent, Gap, GapReason, Queue
from tests.fakes import Bench, bench

QUIET = QueueObservation(label="silence", confidence=0.9)
FORMATS = [
    AudioFormat(),
    AudioFormat(sample_rate=44_100, channels=2),
    AudioFormat(AudioEncoding.MULAW, 8_000),
    AudioFormat(AudioEncoding.PCM_F32LE, 11_025),
]
WINDOWS = [(200, 100), (200, 200), (333, 111), (1_000, 1_000), (1_700, 900)]
"""Milliseconds of a window and its hop."""

Span = tuple[int, int]


class Takeovers(RuleBasedStateMachine):
    """One session, on one node after the other."""

    on: Bench

    @initialize(
        audio=st.sampled_from(FORMATS),
        window=st.sampled_from(WINDOWS),
        delivery=st.sampled_from(Delivery),
    )
    def begin(self, audio: AudioFormat, window: Span, delivery: Delivery) -> None:
        """Somebody opens a session."""
        self.store = MemoryEventStore(ManualClock())
        self.config = SessionConfig(window_ms=window[0], hop_ms=window[1], delivery=delivery)
        self.audio = audio
        self.on = bench(audio, self.config, store=self.store)
        self.entries: list[Entry] = []
        """Said on earlier nodes."""
        self.at = 0
        """How far the client has come."""
        self.recorded = 0
        """How far it ever came."""

    # What a client does ----------------------------------------------------------------------------------

    @rule(ms=st.integers(1, 2_500))
    def say(self, ms: int) -> None:
        """A frame in real time: of what it has recorded, where it is behind that."""
        samples = self.audio.sample_rate * ms // 1_000
        self.on.clock.advance(self.audio.seconds(samples))
        self.send(bytes(samples * self.audio.bytes_per_sample), samples)

    @precondition(lambda self: self.audio.encoding is AudioEncoding.PCM_F32LE)
    @rule(count=st.integers(1, 6_000))
    def nonsense(self, count: int) -> None:
        """A frame that is no audio still takes its time."""
        self.on.clock.advance(1.0)
        self.send(np.full(count, np.nan, "<f4").tobytes(), count)

    def send(self, data: bytes, samples: int) -> None:
        try:
            self.on.pipeline.feed(data)
        except ProtocolError as error:
            if error.fatal:  # too much at once: nothing of it was taken in
                self.on.pipeline.attached()
                return
        self.at += samples
        self.recorded = max(self.recorded, self.at)

    @rule(samples=st.integers(1, 40_000))
    def mute(self, samples: int) -> None:
        """The clock jumps ahead."""
        self.on.pipeline.position(self.at + samples)
        self.at += samples
        self.recorded = max(self.recorded, self.at)

    @rule()
    def flush(self) -> None:
        """Classify the partial window now."""
        self.on.pipeline.cut_short()

    @rule(window=st.sampled_from(WINDOWS), delivery=st.sampled_from([None, *Delivery]))
    def configure(self, window: Span, delivery: Delivery | None) -> None:
        """Other windows from now on, perhaps another delivery."""
        self.on.pipeline.configure(Configure(window_ms=window[0], hop_ms=window[1], delivery=delivery))
        self.config = self.on.pipeline.config

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
        """Time goes by."""
        self.on.clock.advance(seconds)

    @rule(backlog_s=st.sampled_from([0.0, 0.4, 1.0, 2.5, 5.0, 60.0]), tells=st.booleans())
    def take_over(self, backlog_s: float, tells: bool) -> None:
        """The node is lost; the client resends what it has, and goes on."""
        before = self.on
        snapshot = Snapshot.unpack(before.pipeline.snapshot().packed())
        self.entries += before.log.read(len(self.entries), 100_000)
        before.pipeline.abandon()
        for job in list(before.scheduler.jobs):  # an answer that comes after all changes nothing
            job.shed()
        assert before.log.top == self.entries[-1].seq if self.entries else not before.log.top
        self.on = on = bench(self.audio, self.config, store=self.store)
        on.pipeline.restore(snapshot)
        assert on.log.next_seq == len(self.entries) + 1
        assert on.pipeline.ledger.next_sample == snapshot.sample
        assert on.pipeline.expected_sample == snapshot.wanted_from <= self.recorded
        oldest = max(0, self.recorded - int(backlog_s * self.audio.sample_rate))
        self.at = on.pipeline.expected_sample
        on.pipeline.attached()
        if oldest > self.at:
            on.pipeline.position(oldest)
            self.at = oldest
        if tells:  # it resends at once, else as the rules have it
            self.send(bytes((self.recorded - self.at) * self.audio.bytes_per_sample), self.recorded - self.at)

    # What must hold --------------------------------------------------------------------------------------

    @property
    def events(self) -> list[DurableEvent]:
        entries = [*self.entries, *self.on.log.read(len(self.entries), 100_000)]
        return [cast("DurableEvent", entry.event()) for entry in entries]

    def told(self) -> tuple[list[Span], list[Gap]]:
        events = self.events
        classified = [(one.start_sample, one.end_sample) for one in events if isinstance(one, Queue)]
        return classified, [one for one in events if isinstance(one, Gap)]

    @invariant()
    def no_sample_has_two_fates(self) -> None:
        """On whatever nodes they were told."""
        if not hasattr(self, "on"):
            return
        classified, gaps = self.told()
        told = sorted([*classified, *((gap.start_sample, gap.end_sample) for gap in gaps)])
        assert all(start < end for start, end in told)
        assert all(one[1] <= two[0] for one, two in pairwise(told)), told
        ledger = self.on.pipeline.ledger
        assert ledger.next_sample == ledger.classified_samples + ledger.gap_samples + ledger.pending_samples
        assert ledger.next_sample - ledger.pending_samples <= length(told)

    def teardown(self) -> None:
        """It ends in order: no hole, and the account is that of all nodes together."""
        if not hasattr(self, "on"):
            return
        pipeline = self.on.pipeline
        if self.at < self.recorded:
            pipeline.position(self.recorded)
        pipeline.stop_accepting()
        for _ in range(len(self.on.scheduler.jobs) // 2):
            self.on.scheduler.answer([QUIET])
        pipeline.abort()
        summary = pipeline.announcer.summarise(pipeline.ledger, record_truncated=False)
        classified, gaps = self.told()
        assert length(classified) == summary.classified_samples
        by_reason: Counter[GapReason] = Counter()
        for gap in gaps:
            by_reason[gap.reason] += gap.end_sample - gap.start_sample
        assert {reason: n for reason, n in pipeline.ledger.gaps_by_reason.items() if n} == by_reason
        assert summary.gap_samples == by_reason.total()
        assert summary.next_sample == self.recorded == length(classified) + by_reason.total(), "a hole"
        assert summary.events == Counter(event.type for event in self.events)
        assert [event.seq for event in self.events] == list(range(1, len(self.events) + 1))


def length(spans: list[Span]) -> int:
    """Samples in `spans`."""
    return sum(end - start for start, end in spans)


TestTakeovers = Takeovers.TestCase
TestTakeovers.settings = settings(max_examples=120, stateful_step_count=30, deadline=None, derandomize=True)
