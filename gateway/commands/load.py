"""`undertone load`: many paced sessions against a server process, and an honest account of them."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.interrupt import Interrupt
from gateway.commands.link import reason_of, unreachable
from gateway.commands.load_audio import pieces
from gateway.commands.load_audio import speech_like as speech_like  # benchmarks send the same
from gateway.commands.load_loop import connected, load_loop
from gateway.commands.load_observers import Crowd
from gateway.commands.load_options import LoadOptions, session_url
from gateway.commands.load_profiles import Profile, Start, Stretch
from gateway.commands.load_series import Moment, Step, refusal
from gateway.commands.load_session import Load, LoadSession
from gateway.commands.load_stats import OBSERVED, UNOBSERVED, Histogram, Latency, Tally, latency_of
from gateway.commands.load_storm import StormSession
from gateway.commands.load_wire import ready_made
from gateway.commands.procfs import Usage, usage
from gateway.commands.wheel import Wheel
from protocol.audio import AudioFormat
from protocol.failures import ConnectFailed
from protocol.resumption import Retry

_END_S = 30.0
"""Seconds a session may take after its last frame"""
_CUT_SHORT_S = 5.0
"""Seconds of the same where the run was ended early"""


class EndedAtOnce(Exception):
    """A signal that left no time for a report.

    Args:
        code: how to exit.
    """

    def __init__(self, code: ExitCode) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class CutShort:
    """A run that was ended before its time."""

    after_s: float
    """Seconds from the run's begin"""
    code: ExitCode
    """How to exit"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: what the sessions saw, and what both processes used while they were live."""

    options: LoadOptions
    tally: Tally
    audio: AudioFormat
    steps: Sequence[Step]
    """What was measured: one stretch, or each step of a ramp"""
    moments: Sequence[Moment]
    """The run, about once a second"""
    began_s: float
    """On the clock of the latencies"""
    late_frames: int
    worst_late_ms: float
    idle: Usage | None
    cut_short: CutShort | None = None
    """None where it ran to its end"""

    @property
    def own_busy(self) -> float:
        """CPU of the load tool over wall time in the busiest step, 1 = one core."""
        return max(step.own_busy for step in self.steps)

    @property
    def refused(self) -> str | None:
        """Why no latencies of the whole run are told."""
        return refusal(self.own_busy, self.late_frames)


class LoadRun:
    """One run on one event loop.

    Args:
        options: what to do.
        watch: called about once a second with how things are.
        interrupt: ends it early.
    """

    def __init__(
        self, options: LoadOptions, watch: Callable[[Moment, Tally], None], interrupt: Interrupt
    ) -> None:
        self._options = options
        self._watch = watch
        self._interrupt = interrupt
        self.audio, found = pieces(options.file, options.audio, options.frame_ms)
        self._tally = Tally.grouped(OBSERVED, UNOBSERVED) if options.observers else Tally()
        self._load = Load(
            url=session_url(options, self.audio),
            frames=[ready_made(piece) for piece in found],
            frame_samples=self.audio.sample_rate * options.frame_ms // 1000,
            sample_rate=self.audio.sample_rate,
            tally=self._tally,
            now=time.monotonic,
            on_done=self._done,
            bearer=options.bearer,
        )
        self._crowd = Crowd(self._load, options.observers)
        self._live: set[LoadSession] = set()
        self._all_done = asyncio.Event()
        self._moments: list[Moment] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._wheel = Wheel(options.frame_ms / 1000, time.monotonic)
        self._began = self._ends = 0.0

    async def run(self) -> Measured:
        """Start the sessions, measure while they are live, let them end.

        From the first connection on, an interruption ends all that and what was measured is returned.
        """
        idle = _usage(self._options.pid)
        starts = self._options.shape.starts()
        # The first connection is made alone: an address without a gateway is one clear error, not many.
        await self._start(0, next(starts))
        self._began = time.monotonic()
        self._interrupt.gentle = True
        wheel = asyncio.create_task(self._wheel.turn())
        looking = asyncio.create_task(self._look_on())
        starting = asyncio.create_task(self._start_all(starts))
        try:
            steps: list[Step] = []
            for stretch in self._options.shape.stretches():
                if not steps or not self._interrupted:
                    steps.append(await self._measure(stretch))
            await starting
            await self._finish()
            self._look()
        finally:
            ending = [wheel, looking, starting, *self._tasks]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await self._crowd.close()
        return Measured(
            options=self._options,
            tally=self._tally,
            audio=self.audio,
            steps=steps,
            moments=self._moments,
            began_s=self._began,
            late_frames=self._wheel.late,
            worst_late_ms=self._wheel.worst_late_s * 1_000,
            idle=idle,
            cut_short=self._cut_short(),
        )

    def _cut_short(self) -> CutShort | None:
        after_s = self._interrupt.at_s - self._began
        return CutShort(after_s, self._interrupt.code) if self._interrupted else None

    @property
    def _interrupted(self) -> bool:
        return self._interrupt.event.is_set()

    async def _measure(self, stretch: Stretch) -> Step:
        """One step; where it is interrupted before it is measured, from the moment its sessions start."""
        await self._until(stretch.from_s)
        before = self._look()
        first, seen, seconds = self._marks()
        if await self._until(stretch.begin_s):
            self._look()
            first, seen, seconds = self._marks()
        whole = await self._until(stretch.end_s)
        self._look()
        latencies: dict[str, Latency | None] = {}
        for name, now in self._histograms().items():
            p99s = sorted(one.p99 for one in self._tally.latencies[name].seconds[seconds[name] :])
            found = now.since(seen[name])
            calm = p99s[len(p99s) // 2] if p99s else found.percentile(99) if found.count else 0.0
            latencies[name] = latency_of(found, calm)
        return Step(stretch.sessions, before, self._moments[first:], latencies, whole=whole)

    def _marks(self) -> tuple[int, dict[str, Histogram], dict[str, int]]:
        """What lies before that which is measured: moments, latencies, and seconds of them."""
        seconds = {name: len(one.seconds) for name, one in self._tally.latencies.items()}
        return len(self._moments) - 1, self._histograms(), seconds

    def _histograms(self) -> dict[str, Histogram]:
        return {name: one.histogram() for name, one in self._tally.latencies.items()}

    async def _start_all(self, starts: Iterator[Start]) -> None:
        for index, start in enumerate(starts, start=1):
            if not await self._until(start.at_s):
                return
            self._do(self._start_quietly(index, start))

    async def _start_quietly(self, index: int, start: Start) -> None:
        try:
            await self._start(index, start)
        except CommandError as error:
            self._tally.failures[error.message.rpartition(": ")[2]] += 1

    async def _start(self, index: int, start: Start) -> None:
        self._tally.sessions += 1
        url = self._load.url
        made: list[LoadSession] = []

        def make() -> LoadSession:
            made.append(self._session(index, start))
            return made[-1]

        try:
            session = await connected(url, make)
        except OSError as error:
            for one in made:  # an event loop may make it before it connects
                self._done(one)
            late = isinstance(error, TimeoutError)
            raise unreachable(url, "no answer in time" if late else reason_of(error)) from None
        self._ends = max(self._ends, time.monotonic() + start.audio_s)
        self._wheel.add(session)

    def _session(self, index: int, start: Start) -> LoadSession:
        first = index * 37 % len(self._load.frames)
        count = max(1, math.ceil(start.audio_s * 1000 / self._options.frame_ms - 1e-6))
        session: LoadSession
        group, welcome = self._company(index, start)
        if self._options.profile is Profile.STORM:
            session = StormSession(
                self._load,
                first=first,
                count=count,
                cut_every_s=self._options.cut_every_s,
                random=Random(index),
                come_back=lambda one, retry: self._do(self._come_back(one, retry)),
                group=group,
                welcome=welcome,
            )
        else:
            session = LoadSession(self._load, first=first, count=count, group=group, welcome=welcome)
        if self._interrupted:
            session.stop()
        self._live.add(session)
        self._all_done.clear()
        return session

    def _company(self, index: int, start: Start) -> tuple[str | None, Callable[[str], None] | None]:
        """Where a session's latencies are counted, too, and who is told its id."""
        options = self._options
        if not options.observers or index >= options.observed:
            return (UNOBSERVED if options.observers else None), None
        over_s = min(options.ramp_s, start.audio_s / 2)
        return OBSERVED, lambda session_id: self._crowd.watch(session_id, over_s)

    async def _come_back(self, session: StormSession, retry: Retry) -> None:
        await asyncio.sleep(retry.after_s)
        try:
            await connected(retry.url, lambda: session)
        except TimeoutError:
            session.not_connected(ConnectFailed("no answer in time"))
        except OSError as error:
            session.not_connected(ConnectFailed(reason_of(error)))

    def _done(self, session: LoadSession) -> None:
        self._live.discard(session)
        if not self._live:
            self._all_done.set()

    async def _finish(self) -> None:
        """Wait for the sessions to end; an interruption ends them, and shortens the wait."""
        over = asyncio.create_task(self._over())
        interrupted = asyncio.create_task(self._interrupt.event.wait())
        left_s = max(0.0, self._ends - time.monotonic()) + _END_S
        try:
            await asyncio.wait({over, interrupted}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if self._interrupted and not over.done():
                for session in self._live:
                    session.stop()
                await asyncio.wait({over}, timeout=_CUT_SHORT_S)
        finally:
            over.cancel()
            interrupted.cancel()
        for session in list(self._live):
            session.give_up("no summary in time")

    async def _over(self) -> None:
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        await self._all_done.wait()

    async def _look_on(self) -> None:
        seconds = 0
        while True:
            seconds += 1
            await asyncio.sleep(max(0.0, self._began + seconds - time.monotonic()))
            self._watch(self._look(), self._tally)

    def _look(self) -> Moment:
        tally, pid = self._tally, self._options.pid
        used: Usage | None = None
        with contextlib.suppress(CommandError):  # a server that went away fails its sessions, which is told
            used = _usage(pid)
        moment = Moment(
            at_s=time.monotonic() - self._began,
            live=len(self._live),
            events=tally.events.total(),
            gap_samples=tally.gap_samples,
            failed=tally.failures.total(),
            late_frames=self._wheel.late,
            own_cpu_s=time.process_time(),
            usage=used,
        )
        self._moments.append(moment)
        return moment

    async def _until(self, at_s: float) -> bool:
        """Wait for that moment of the run; False where it is interrupted before."""
        try:
            async with asyncio.timeout(max(0.0, self._began + at_s - time.monotonic())):
                await self._interrupt.event.wait()
        except TimeoutError:
            return True
        return False

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def load(options: LoadOptions, *, watch: Callable[[Moment, Tally], None]) -> Measured:
    """Run it. Ctrl-C (or SIGTERM) ends it early, and what was measured until then is returned.

    Raises:
        CommandError: it can't even start.
        EndedAtOnce: by a second Ctrl-C, or one before the gateway was reached.
    """

    async def main() -> Measured:
        interrupt = Interrupt()
        with interrupt.installed():
            try:
                return await LoadRun(options, watch, interrupt).run()
            except asyncio.CancelledError:
                raise EndedAtOnce(interrupt.code) from None

    with load_loop() as runner:
        return runner.run(main())


def exit_code(measured: Measured, broken: Sequence[str]) -> ExitCode:
    """The signal's where one ended it; FAILED where a session or observer failed, or a bound was passed."""
    if measured.cut_short is not None:
        return measured.cut_short.code
    tally = measured.tally
    return ExitCode.FAILED if tally.failed or tally.observer_failures or broken else ExitCode.OK


def _usage(pid: int | None) -> Usage | None:
    if pid is None:
        return None
    try:
        return usage(pid)
    except (OSError, ValueError, IndexError):
        message = f"the process {pid} can't be measured: it is gone, or this is no Linux"
        raise CommandError(message) from None
