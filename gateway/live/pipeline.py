"""One session's way from PCM to events. The only place that knows the order of the stages.

    frame ► cutter (decode, resample, ring, cut) ► scheduler ► classifier ► annotate ► event log
                 └► transcriber ─────────────────────────────────────────────┘

Everything here is synchronous. What takes time happens in the scheduler and the transcriber, which call
back with their answers.
"""

import math
from collections.abc import Callable, Iterator
from typing import Protocol

from gateway.audio.window import Cut, WindowCutter, position
from gateway.classify.lanes import Job, Lane, Timing
from gateway.classify.port import (
    AnalysisState,
    ClassifierError,
    Hints,
    Observation,
    TranscriptObservation,
    Window,
)
from gateway.clock import Clock
from gateway.live.announcer import Announcer
from gateway.live.captions import Captions
from gateway.live.flow import Credit, FloodBudget, FlowMeter, Ledger, Traffic, merged
from gateway.live.job import WindowJob
from gateway.live.restoration import Restoration
from gateway.live.snapshot import Snapshot
from gateway.telemetry.metrics import Telemetry
from protocol.audio import AudioFormat
from protocol.control import Configure, Delivery, SessionConfig
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Configured, Event, Flow, GapReason

WAITING = 2
"""Windows that may wait for a realtime session."""
WAITING_AFTER_ATTACH = 6
"""At least as many for the first seconds after an attach, so that a resent backlog isn't shed."""
ATTACH_GRACE_S = 5.0
"""How long that is, and how much audio may be resent: with short hops it is more windows."""
MAX_SKIP_S = 24 * 3600
"""The farthest a client may move its position ahead in one step, in seconds of audio."""
FLOW_CHECK_S = 0.5
"""Frames look at the flow no more often than this; each answered or shed window does anyway."""
OWNER_LAG_EVENTS = 128
"""Lossless credit is held while the owner is this many events behind."""


class Dispatcher(Protocol):
    """Where windows go; `gateway.classify.scheduler.Scheduler` is one."""

    def submit(self, lane: Lane, job: Job) -> None:
        """Queue a window; sheds what no longer fits, through the jobs themselves. Never blocks."""
        ...

    def close(self, lane: Lane) -> list[Job]:
        """Take a lane out; returns the windows that were waiting."""
        ...


class Nowhere:
    """The dispatcher of a session whose windows are cut on another node."""

    def submit(self, lane: Lane, job: Job) -> None:
        raise RuntimeError("a session that another node holds has no windows here")

    def close(self, lane: Lane) -> list[Job]:
        return []


class Pipeline:
    """Feeds one session's audio through the stages and numbers what comes out.

    Args:
        tell: says something to the session's owner only (flow reports); not durable.
        owner_backlog: how many events the owner has not read yet.
        captions: where the 16 kHz stream also goes, if words are wanted.
        namespace: whose turn at the classifier its windows take.
        own_words: whether words that the classifier itself hears are passed on.
    """

    def __init__(
        self,
        *,
        audio: AudioFormat,
        config: SessionConfig,
        announcer: Announcer,
        scheduler: Dispatcher,
        clock: Clock,
        telemetry: Telemetry,
        tell: Callable[[Event], None],
        owner_backlog: Callable[[], int],
        captions: Captions | None = None,
        namespace: str | None = None,
        own_words: bool = True,
    ) -> None:
        self.audio = audio
        self.config = config
        self.announcer = announcer
        self.ledger = Ledger()
        self.traffic = Traffic(last_activity=clock.monotonic())
        self.state: AnalysisState = {}
        self.cutter = WindowCutter(audio, config.window_ms, config.hop_ms, waiting=1)
        self.credit: Credit | None = None
        self.ended = False
        """Whether audio is no longer accepted."""
        self._scheduler = scheduler
        self._clock = clock
        self._telemetry = telemetry
        self._tell = tell
        self._owner_backlog = owner_backlog
        self._captions = captions
        self._own_words = own_words
        self._hints = _hints_of(config)
        self._on_landed: Callable[[], None] | None = None
        self._lane = Lane(namespace=namespace)
        self._budget = FloodBudget(audio.bytes(audio.sample_rate), clock.monotonic())
        self._meter = FlowMeter()
        self._attached_at = clock.monotonic()
        self._trim = 0
        self._settled = Restoration()
        self._restoring = False
        self._held_off: int | None = None
        self._flow_due = 0.0
        self._jobs: dict[int, WindowJob] = {}
        self._submitted = 0
        self._settle_listeners: list[Callable[[], None]] = []
        self._set_delivery(config.delivery)
        if captions is not None:
            captions.on_progress = lambda: self.report_flow(clock.monotonic())
            self.cutter.tap()  # from here on the cutter keeps what comes in until it was taken

    # What comes in -------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Take one frame of PCM in the session's format, of any size.

        Raises:
            ProtocolError: the frame was not accepted. Unless fatal, the session goes on, and if the frame
                took up time on the sample clock it is declared as a gap already.
        """
        traffic = self.traffic
        traffic.last_activity = now = self._clock.monotonic()
        traffic.chunks_received += 1
        self._telemetry.frame(len(data))
        if self._trim:
            data = self._without_overlap(data)
        if self.ended:
            self._turn_away(data)
            return
        self._guard_rate(len(data), now)
        if traffic.chunks_received == 1:
            self.cutter.refuse_container(data)
        cutter = self.cutter
        samples = 0 if self._restoring else cutter.absorb(data)
        if samples:
            self._book(samples)
            if cutter.due:
                self._submit(cutter.cut())
            if self._captions is not None:
                self._caption()
        else:
            self._take_apart(data)
        traffic.chunks_processed += 1
        if now >= self._flow_due or self.credit is not None:
            self._flow_due = now + FLOW_CHECK_S
            self.report_flow(now, alone=True)

    def position(self, sample: int) -> None:
        """The next byte of PCM is sample `sample`: ahead is a gap, behind is trimmed.

        Raises:
            ProtocolError: not a place the session could be at.
        """
        if self._held_off is not None:
            return
        expected = self.expected_sample
        if sample > expected + MAX_SKIP_S * self.audio.sample_rate:
            raise ProtocolError(ErrorCode.INVALID_FIELD, "more than a day ahead", param="sample")
        self._drop_dangling()
        self._trim = max(0, expected - sample) * self.audio.bytes_per_sample
        if sample > expected:
            if self._restoring:
                self._pass_over(sample)
                self._trim = (self.expected_sample - sample) * self.audio.bytes_per_sample
            else:
                self.skip(sample - expected)

    def skip(self, samples: int, reason: GapReason = GapReason.CLIENT) -> None:
        """The client's next `samples` are missing or unusable: a gap. What came before is classified."""
        self.cut_short()
        start = self.ledger.next_sample
        self.cutter.skip(start + samples)
        self._write_off(samples, reason)
        self._declare(start, start + samples, reason)
        if self.credit is not None:
            # A skip may pass the limit, and nothing else would raise it.
            self.report_flow(self._clock.monotonic())

    def configure(self, change: Configure) -> Configured:
        """Change the session's configuration from the next window on.

        Raises:
            ProtocolError: the result would not be valid; nothing has changed.
        """
        config = self.config.apply(change)
        self.cutter.configure(config.window_ms, config.hop_ms)
        if config.delivery is not self.config.delivery:
            self._set_delivery(config.delivery)
        self.config = config
        self._hints = _hints_of(config)
        if self._captions is not None:
            self._captions.configure(config)
        return Configured.of(config)

    def cut_short(self) -> None:
        """Classify what is pending as a shorter window."""
        cut = self.cutter.flush()
        if cut is not None:
            self._submit(cut)
        self._caption()

    def stop_accepting(self) -> None:
        """No more audio; what is pending is classified. May be called twice."""
        if not self.ended:
            self._drop_dangling()
            self.cut_short()
            self.ended = True
        elif self._held_off:
            # It ends here, so nobody will send that again elsewhere: `abort` declares it.
            samples = self.audio.samples(self._held_off)
            self.ledger.receive(samples)
            self._telemetry.received(samples)
            self._held_off = 0

    def suspend(self) -> None:
        """The node is going away: what came so far is classified, and what still comes is not taken in.

        Whoever sends it goes on elsewhere, from the first sample that was not taken in. May be called twice.
        """
        if not self.ended:
            self.cutter.drop_dangling()  # that sample is sent again as a whole
            self.stop_accepting()
            self._held_off = 0

    def attached(self) -> None:
        """An owner has come (back): its resent backlog gets more room for a while.

        It goes on from `next_sample`, so what the socket before left of an unfinished sample is void.
        """
        self.cutter.drop_dangling()
        self._trim = 0
        now = self._clock.monotonic()
        self._attached_at = self.traffic.last_activity = now
        self._budget = FloodBudget(self.audio.bytes(self.audio.sample_rate), now)

    def note_message(self) -> None:
        """The client said something that is not audio."""
        self.traffic.messages += 1
        self.traffic.last_activity = self._clock.monotonic()

    def counts(self) -> dict[str, int]:
        """What came in and what became of it, by the names of the statistics."""
        return {
            "message_count": self.traffic.messages,
            "audio_chunks_received": self.traffic.chunks_received,
            "audio_chunks_processed": self.traffic.chunks_processed,
            **self.ledger.counts(),
        }

    # What comes out ------------------------------------------------------------------------------------

    def flow(self) -> Flow:
        """How the session keeps up, now."""
        overload = self.ledger.gaps_by_reason.get(GapReason.OVERLOAD, 0)
        return Flow(
            received=self.ledger.next_sample,
            classified=self.ledger.next_sample - self.ledger.pending_samples,
            limit=self.credit.limit if self.credit else None,
            lag_ms=round(self.lag_ms(self._clock.monotonic()), 1),
            dropped_ms=round(self.audio.seconds(overload) * 1e3, 1),
            state=self._meter.state,
        )

    def lag_ms(self, now: float) -> float:
        """Age of the oldest window that has no answer yet, in milliseconds."""
        oldest = next(iter(self._jobs.values()), None)
        return (now - oldest.arrived) * 1e3 if oldest is not None else 0.0

    def report_flow(self, now: float, *, alone: bool = False) -> None:
        """Raise the credit and report the flow where either is due; see `FlowMeter.due` for `alone`."""
        raised = self._renew_credit()
        if self._meter.due(self.lag_ms(now), now, alone=alone) or raised:
            self._tell(self.flow())

    def caught_up(self) -> None:
        """The owner has read something; credit that was held for it may be due."""
        if self.credit is not None:
            self.report_flow(self._clock.monotonic())

    # Windows and their answers -------------------------------------------------------------------------

    @property
    def outstanding(self) -> int:
        """Windows submitted and not settled yet."""
        return len(self._jobs)

    @property
    def last_window(self) -> int:
        """Number of the last window submitted; windows count from 1."""
        return self._submitted

    def settled_to(self, number: int) -> bool:
        """Whether every window up to `number` has had its answer or was given up."""
        return all(job > number for job in self._jobs)

    def on_settle(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each window that is settled; returns the call that ends it."""
        self._settle_listeners.append(listener)
        return lambda: self._settle_listeners.remove(listener)

    def window_of(self, job: WindowJob) -> Window:
        """What the classifier gets for `job`, at dispatch."""
        rate = self.audio.sample_rate
        owned = position(job.cut.end_sample, rate) - position(job.cut.owned_start, rate)
        return Window(
            samples=job.samples,
            owned=max(1, min(owned, len(job.samples))),
            end_s=job.cut.end_sample / rate,
            state=self.state,
            session=self.announcer.session_id,
            hints=self._hints,
        )

    def window_classified(self, job: WindowJob, observations: list[Observation], timing: Timing) -> None:
        """The classifier's answer to `job`."""
        try:
            if self._settle(job):
                self._hear(job, observations, timing)
        finally:
            self._landed()

    def _hear(self, job: WindowJob, observations: list[Observation], timing: Timing) -> None:
        if not self._own_words:
            observations = [one for one in observations if not isinstance(one, TranscriptObservation)]
        self.ledger.classify(job.owned_samples)
        self._telemetry.windows("classified")
        self._telemetry.classified(job.owned_samples)
        try:
            self.announcer.observe(observations, job.cut.owned_start, job.cut.end_sample, self.config, timing)
        finally:
            self._after_settling()

    def window_failed(self, job: WindowJob, error: ClassifierError) -> None:
        """The classifier has no answer to `job`."""
        self._lose(job, GapReason.CLASSIFIER)
        self._landed()

    def window_shed(self, job: WindowJob) -> None:
        """There was no time for `job`."""
        if job.number in self._jobs:
            self._meter.shed()
        self._lose(job, GapReason.OVERLOAD)

    def when_landed(self, then: Callable[[], None]) -> None:
        """Call `then` once none of its windows is at the classifier: now, or when that one is back."""
        self._on_landed = then
        self._landed()

    def abort(self, reason: GapReason = GapReason.DRAIN) -> None:
        """Give up everything pending at once, as one gap for each contiguous stretch."""
        self.ended = True
        self._scheduler.close(self._lane)
        spans = [(job.cut.owned_start, job.cut.end_sample) for job in self._jobs.values()]
        self._jobs.clear()
        cut_to = max(self.cutter.next_sample - self.cutter.pending, self._settled.settled_to)
        if cut_to < self.ledger.next_sample:
            spans.append((cut_to, self.ledger.next_sample))
            self.cutter.skip(self.ledger.next_sample)
        for start, end in merged(spans):
            self.ledger.lose(end - start, reason)
            self.announcer.gap(start, end, reason)
        self._after_settling()

    # Going on elsewhere --------------------------------------------------------------------------------

    @property
    def expected_sample(self) -> int:
        """Index of the sample that the client's next byte of PCM begins."""
        return self.cutter.next_sample

    def snapshot(self) -> Snapshot:
        """Where the session stands, between two events."""
        settled, ledger, announcer = self._settled_to(), self.ledger, self.announcer
        self._settled.prune(settled)
        passed = self._settled.passed
        gaps = dict(ledger.gaps_by_reason)
        for start, end, reason in passed:
            gaps[reason] -= end - start
        traffic = self.traffic
        return Snapshot(
            sample=settled,
            wanted_from=self._wanted_from(settled),
            classified_samples=ledger.classified_samples,
            gaps=gaps,
            ahead=passed + self._settled.coming,
            analysis=self.state,
            speakers=tuple(announcer.speakers),
            turns=announcer.turns,
            line=announcer.line.save(),
            counts=announcer.counts,
            traffic=(traffic.chunks_received, traffic.chunks_processed, traffic.messages),
            told_to=self._captions.told_to if self._captions is not None else 0,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from there, before anything was fed: audio is expected from `expected_sample` on."""
        self.ledger.restore(snapshot.sample, snapshot.classified_samples, snapshot.gaps)
        self.cutter.skip(snapshot.wanted_from)
        self.state = dict(snapshot.analysis)
        self.announcer.restore(snapshot)
        if self._captions is not None:
            self._captions.restore(snapshot.told_to)
        traffic = self.traffic
        traffic.chunks_received, traffic.chunks_processed, traffic.messages = snapshot.traffic
        self._settled.restore(snapshot.sample, snapshot.ahead)
        self._restoring = True
        self._set_delivery(self.config.delivery)

    def abandon(self) -> None:
        """The session is somebody else's now: give up everything, and say nothing of it."""
        self.ended = True
        self._tell = _nobody  # its owner's node may be this one again, and knows better
        self._held_off = 0
        self._scheduler.close(self._lane)
        self._jobs.clear()
        self.cutter.release()
        for listener in tuple(self._settle_listeners):
            listener()

    # Inside --------------------------------------------------------------------------------------------

    def _landed(self) -> None:
        if self._on_landed is not None and self._lane.in_flight is None:
            then, self._on_landed = self._on_landed, None
            then()

    def _take_apart(self, data: bytes) -> None:
        """Feed a frame that completes windows, or is anything but samples as they are."""
        try:
            for stretch in self._restored(data) if self._restoring else (data,):
                for piece in self.cutter.pieces(stretch):
                    cuts = self.cutter.feed(piece)
                    self._book(max(0, self.cutter.next_sample - self.ledger.next_sample))
                    for cut in cuts:
                        self._submit(cut)
                    self._caption()
        except ProtocolError:
            self._declare_unusable(data)
            raise

    def _restored(self, data: bytes) -> Iterator[bytes]:
        """`data` in stretches of one kind, without what was said to be a gap before the session came here."""
        cutter, size = self.cutter, self.audio.bytes_per_sample
        cutter.check(data)
        while data:
            at = cutter.next_sample
            if self._pass_said(at):
                self._trim += (cutter.next_sample - at) * size
            elif self._trim:
                data = self._without_overlap(data)
            elif self._settled.over(at):
                self._restoring = False
                yield data
                return
            else:
                until = self._settled.boundary(at, at + self.audio.samples(len(data) + cutter.dangling))
                # What is left is less than a sample, which stays with the decoder.
                count = (until - at) * size - cutter.dangling if until > at else len(data)
                yield data[:count]
                data = data[count:]

    def _pass_over(self, sample: int, reason: GapReason = GapReason.FAILOVER) -> None:
        """The client no longer has the audio before `sample`: what of it is not settled is a gap, by default
        one lost with the node that had heard it."""
        cutter = self.cutter
        while (at := cutter.next_sample) < sample:
            if at < self._settled.settled_to:
                self.cut_short()
                cutter.skip(self._settled.boundary(at, sample))
            elif not self._pass_said(at):
                self.skip(self._settled.boundary(at, sample) - at, reason)

    def _pass_said(self, at: int) -> bool:
        """Pass over a gap that begins at sample `at` and was said before; whether there is one."""
        span = self._settled.reached(at)
        if span is None:
            return False
        self.cut_short()
        self.cutter.skip(span[1])
        self._write_off(span[1] - at, span[2])
        self._settled.note(span, self._settled_to())
        return True

    def _write_off(self, samples: int, reason: GapReason) -> None:
        """Account for the next `samples`, which are not there."""
        if reason is GapReason.CLIENT:
            self.ledger.skip(samples)
        else:
            self.ledger.receive(samples)
            self.ledger.lose(samples, reason)

    def _declare(self, start: int, end: int, reason: GapReason) -> None:
        """Say that samples [start, end) were not classified."""
        self.announcer.gap(start, end, reason)
        self._settled.note((start, end, reason), self._settled_to())

    def _settled_to(self) -> int:
        """Sample before which everything is settled."""
        oldest = next(iter(self._jobs.values()), None)
        if oldest is not None:
            return oldest.cut.owned_start
        cut_to = self.cutter.next_sample - self.cutter.pending
        return max(self._settled.settled_to, cut_to)

    def _wanted_from(self, settled: int) -> int:
        """Where audio has to come again from, for whoever goes on at sample `settled`."""
        oldest = next(iter(self._jobs.values()), None)
        window_from = oldest.cut.start_sample if oldest is not None else self.cutter.filling_from
        words_from = self._captions.wanted_from(settled) if self._captions is not None else settled
        return self.cutter.on_grid(window_from, min(settled, window_from, words_from))

    def _book(self, samples: int) -> None:
        """So many more are in."""
        self.ledger.receive(samples)
        self._telemetry.received(samples)

    def _caption(self) -> None:
        if self._captions is not None and self._captions.wanted:
            for block in self.cutter.tap():
                self._captions.feed(block)

    def _submit(self, cut: Cut) -> None:
        if cut.owned_start < self._settled.settled_to:
            unsettled = self._settled.unsettled(cut)
            if unsettled is None:
                return
            cut = unsettled
        now = self._clock.monotonic()
        self._lane.bound(self._room(now))
        self._submitted += 1
        job = WindowJob(self, self._submitted, cut, self.cutter.samples(cut), now)
        self._jobs[job.number] = job
        self._scheduler.submit(self._lane, job)

    def _settle(self, job: WindowJob) -> bool:
        """Take `job` off the list; False where it was given up before."""
        return self._jobs.pop(job.number, None) is not None

    def _lose(self, job: WindowJob, reason: GapReason) -> None:
        if self._settle(job):
            self.ledger.lose(job.owned_samples, reason)
            self._telemetry.windows("gap")
            self._declare(job.cut.owned_start, job.cut.end_sample, reason)
            self._after_settling()

    def _after_settling(self) -> None:
        for listener in tuple(self._settle_listeners):
            listener()
        self.report_flow(self._clock.monotonic())

    def _set_delivery(self, delivery: Delivery) -> None:
        if delivery is Delivery.LOSSLESS:
            self.credit = Credit.opening(self.audio.sample_rate, self.ledger.next_sample)
        else:
            self.credit = None
        self._lane.bound(self._room(self._clock.monotonic()))

    def _room(self, now: float) -> int | None:
        """How many windows may wait."""
        if self.credit is not None:
            return None
        if now - self._attached_at > ATTACH_GRACE_S:
            return WAITING
        return max(WAITING_AFTER_ATTACH, math.ceil(ATTACH_GRACE_S * 1_000 / self.config.hop_ms))

    def _renew_credit(self) -> bool:
        if self.credit is None or self._owner_backlog() >= OWNER_LAG_EVENTS:
            return False
        ledger = self.ledger
        settled = ledger.classified_samples + ledger.gap_samples
        words_from = self._captions.pending_from if self._captions is not None else None
        if words_from is not None:
            settled = min(settled, words_from)  # a recording waits for its words, too
        return self.credit.renew(next_sample=ledger.next_sample, settled=settled)

    def _guard_rate(self, nbytes: int, now: float) -> None:
        if self.credit is not None:
            until = self.ledger.next_sample + self.audio.samples(self.cutter.dangling + nbytes)
            if until > self.credit.limit:
                raise ProtocolError(
                    ErrorCode.OVERRUN, f"sample {until} is past the limit {self.credit.limit}", fatal=True
                )
        elif not self._budget.spend(nbytes, now):
            raise ProtocolError(
                ErrorCode.FLOOD,
                "audio comes at more than four times real time; use delivery `lossless` for recordings",
                fatal=True,
            )

    def _turn_away(self, data: bytes) -> None:
        if self._held_off is None:
            raise ProtocolError(ErrorCode.AUDIO_AFTER_END, "audio after `end` is not accepted")
        self._held_off += len(data)

    def _without_overlap(self, data: bytes) -> bytes:
        """Drop what the server already has."""
        overlap = min(self._trim, len(data))
        self._trim -= overlap
        return data[overlap:]

    def _declare_unusable(self, data: bytes) -> None:
        """A frame that could not be decoded still took its time on the clock."""
        samples = self.cutter.unusable(data)
        if samples and self._restoring:
            self._pass_over(self.cutter.next_sample + samples, GapReason.CLIENT)
        elif samples:
            self.skip(samples)

    def _drop_dangling(self) -> None:
        """Bytes of an unfinished sample cannot become one any more: say so, and drop them."""
        dangling = self.cutter.drop_dangling()
        if dangling:
            error = ProtocolError(
                ErrorCode.INCOMPLETE_SAMPLE, f"{dangling} byte(s) of an unfinished sample were dropped"
            )
            self._tell(error.to_event())


def _hints_of(config: SessionConfig) -> Hints:
    return Hints(config.elcor, config.language, config.num_speakers)


def _nobody(_: Event) -> None:
    """Is told what concerns no owner any more."""
