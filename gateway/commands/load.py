"""`undertone load`: many paced sessions against a server process, and an honest account of them."""

import asyncio
import contextlib
import gc
import math
import ssl
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlencode, urlsplit

from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.link import reason_of, unreachable, voice_url
from gateway.commands.load_audio import pieces
from gateway.commands.load_audio import speech_like as speech_like  # benchmarks send the same
from gateway.commands.load_profiles import Profile, Shape, Start, Stretch
from gateway.commands.load_series import Moment, Step, refusal
from gateway.commands.load_session import Load, LoadSession
from gateway.commands.load_stats import Histogram, Latency, Tally, latency_of
from gateway.commands.load_storm import StormSession
from gateway.commands.load_wire import ready_made
from gateway.commands.procfs import Usage, usage
from gateway.commands.wheel import Wheel
from protocol.audio import AudioFormat
from protocol.failures import ConnectFailed
from protocol.resumption import Retry

_OPEN_S = 15.0
_GC_THRESHOLD = (50_000, 20, 100)
_END_S = 30.0
"""Seconds a session may take after its last frame"""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What to do."""

    url: str
    sessions: int
    duration_s: float
    """Seconds of audio of each session; in a ramp and a soak, of the whole run"""
    ramp_s: float
    """Seconds over which sessions start"""
    audio: AudioFormat
    frame_ms: int
    config: Mapping[str, Any] = field(default_factory=dict)
    file: str | None = None
    pid: int | None = None
    """The server's process, to measure"""
    bearer: str | None = field(default=None, repr=False)
    """The key, where the gateway needs one"""
    profile: Profile = Profile.HOLD
    steps: int = 5
    """Of a ramp"""
    lifetime_s: float = 60.0
    """Mean seconds of a session, in a soak"""
    cut_every_s: tuple[float, float] = (2.0, 6.0)
    """Least and most seconds between two cuts, in a storm"""

    @property
    def shape(self) -> Shape:
        """When sessions start."""
        return Shape(self.profile, self.sessions, self.duration_s, self.ramp_s, self.steps, self.lifetime_s)


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
    """

    def __init__(self, options: LoadOptions, watch: Callable[[Moment, Tally], None]) -> None:
        self._options = options
        self._watch = watch
        self.audio, found = pieces(options.file, options.audio, options.frame_ms)
        self._tally = Tally()
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
        self._live: set[LoadSession] = set()
        self._all_done = asyncio.Event()
        self._moments: list[Moment] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._wheel = Wheel(options.frame_ms / 1000, time.monotonic)
        self._began = self._ends = 0.0

    async def run(self) -> Measured:
        """Start the sessions, measure while they are live, let them end."""
        idle = _usage(self._options.pid)
        starts = self._options.shape.starts()
        # The first connection is made alone: an address without a gateway is one clear error, not many.
        await self._start(0, next(starts))
        self._began = time.monotonic()
        wheel = asyncio.create_task(self._wheel.turn())
        looking = asyncio.create_task(self._look_on())
        starting = asyncio.create_task(self._start_all(starts))
        try:
            steps = [await self._measure(stretch) for stretch in self._options.shape.stretches()]
            await starting
            await self._finish()
            self._look()
        finally:
            ending = [wheel, looking, starting, *self._tasks]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
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
        )

    async def _measure(self, stretch: Stretch) -> Step:
        await self._until(stretch.from_s)
        before = self._look()
        await self._until(stretch.begin_s)
        self._look()
        first = len(self._moments) - 1
        seen = self._histograms()
        seconds = {name: len(one.seconds) for name, one in self._tally.latencies.items()}
        await self._until(stretch.end_s)
        self._look()
        latencies: dict[str, Latency | None] = {}
        for name, now in self._histograms().items():
            p99s = sorted(one.p99 for one in self._tally.latencies[name].seconds[seconds[name] :])
            found = now.since(seen[name])
            calm = p99s[len(p99s) // 2] if p99s else found.percentile(99) if found.count else 0.0
            latencies[name] = latency_of(found, calm)
        return Step(stretch.sessions, before, self._moments[first:], latencies)

    def _histograms(self) -> dict[str, Histogram]:
        return {name: one.histogram() for name, one in self._tally.latencies.items()}

    async def _start_all(self, starts: Iterator[Start]) -> None:
        for index, start in enumerate(starts, start=1):
            await self._until(start.at_s)
            self._do(self._start_quietly(index, start))

    async def _start_quietly(self, index: int, start: Start) -> None:
        try:
            await self._start(index, start)
        except CommandError as error:
            self._tally.failures[error.message.rpartition(": ")[2]] += 1

    async def _start(self, index: int, start: Start) -> None:
        self._tally.sessions += 1
        url = self._load.url
        try:
            session = await _connect(url, lambda: self._session(index, start))
        except TimeoutError:
            raise unreachable(url, "no answer in time") from None
        except OSError as error:
            raise unreachable(url, reason_of(error)) from None
        self._ends = max(self._ends, time.monotonic() + start.audio_s)
        self._wheel.add(session)

    def _session(self, index: int, start: Start) -> LoadSession:
        first = index * 37 % len(self._load.frames)
        count = max(1, math.ceil(start.audio_s * 1000 / self._options.frame_ms - 1e-6))
        session: LoadSession
        if self._options.profile is Profile.STORM:
            session = StormSession(
                self._load,
                first=first,
                count=count,
                cut_every_s=self._options.cut_every_s,
                random=Random(index),
                come_back=lambda one, retry: self._do(self._come_back(one, retry)),
            )
        else:
            session = LoadSession(self._load, first=first, count=count)
        self._live.add(session)
        self._all_done.clear()
        return session

    async def _come_back(self, session: StormSession, retry: Retry) -> None:
        await asyncio.sleep(retry.after_s)
        try:
            await _connect(retry.url, lambda: session)
        except TimeoutError:
            session.not_connected(ConnectFailed("no answer in time"))
        except OSError as error:
            session.not_connected(ConnectFailed(reason_of(error)))

    def _done(self, session: LoadSession) -> None:
        self._live.discard(session)
        if not self._live:
            self._all_done.set()

    async def _finish(self) -> None:
        left_s = max(0.0, self._ends - time.monotonic()) + _END_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                while self._tasks:
                    await asyncio.wait(set(self._tasks))
                await self._all_done.wait()
        for session in list(self._live):
            session.give_up("no summary in time")

    async def _look_on(self) -> None:
        seconds = 0
        while True:
            seconds += 1
            await self._until(seconds)
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

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, self._began + at_s - time.monotonic()))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def load(options: LoadOptions, *, watch: Callable[[Moment, Tally], None]) -> Measured:
    """Run it. Raises CommandError where it can't even start."""

    async def main() -> Measured:
        return await LoadRun(options, watch).run()

    with _rare_collections(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main())


def session_url(options: LoadOptions, audio: AudioFormat) -> str:
    """Where each session is opened, with its format and settings in the query."""
    url = voice_url(options.url)
    query = urlencode(
        {name: _as_text(value) for name, value in {**audio.to_dict(), **options.config}.items()}
    )
    return f"{url}{'&' if urlsplit(url).query else '?'}{query}"


def exit_code(measured: Measured, broken: Sequence[str]) -> ExitCode:
    """FAILED where a session failed or an expectation did not hold."""
    return ExitCode.FAILED if measured.tally.failed or broken else ExitCode.OK


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for garbage seldom: thousands of sessions are none, and a pass over them all takes long."""
    before = gc.get_threshold()
    gc.set_threshold(*_GC_THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def _connect(url: str, made: Callable[[], LoadSession]) -> LoadSession:
    """Raises OSError and TimeoutError."""
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "wss" else None
    port = parts.port or (443 if secure else 80)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_OPEN_S):
        _, session = await loop.create_connection(made, parts.hostname or "", port, ssl=secure)
        return session


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _usage(pid: int | None) -> Usage | None:
    if pid is None:
        return None
    try:
        return usage(pid)
    except (OSError, ValueError, IndexError):
        message = f"the process {pid} can't be measured: it is gone, or this is no Linux"
        raise CommandError(message) from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
