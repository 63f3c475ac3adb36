"""`undertone load`: many paced sessions against a server process, and an honest account of them."""

import asyncio
import contextlib
import math
import ssl
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO
from urllib.parse import urlencode, urlsplit

import numpy as np
import soxr

from gateway.commands import synth
from gateway.commands.exits import CommandError, ExitCode
from gateway.commands.link import reason_of, unreachable, voice_url
from gateway.commands.load_session import LoadSession, ready_made
from gateway.commands.load_stats import Tally
from gateway.commands.procfs import Usage, usage
from gateway.commands.sources import RawFormat, open_file
from gateway.commands.wheel import Wheel
from protocol.audio import AudioFormat

_MAX_AUDIO_S = 60
"""Seconds of a file that are used, over and over"""
_OPEN_S = 15.0
_END_S = 30.0
"""Seconds a session may take after its last frame"""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What to do."""

    url: str
    sessions: int
    duration_s: float
    """Seconds of audio of each session"""
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


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: what the sessions saw, and what both processes used while all of them were live."""

    options: LoadOptions
    tally: Tally
    audio: AudioFormat
    steady_s: float
    """Seconds between the last start and the first end"""
    live_session_s: float
    """Session-seconds inside that stretch"""
    own_busy: float
    """CPU of the load tool over wall time in that stretch, 1 = one core"""
    late_frames: int
    worst_late_ms: float
    idle: Usage | None
    begin: Usage | None
    end: Usage | None


class LoadRun:
    """One run on one event loop."""

    def __init__(self, options: LoadOptions, progress: Callable[[str], None]) -> None:
        self._options = options
        self._progress = progress
        self.audio, pieces = _pieces(options)
        self._frames = [ready_made(piece) for piece in pieces]
        self._frame_samples = self.audio.sample_rate * options.frame_ms // 1000
        self._tally = Tally(sessions=options.sessions)
        self._live: set[LoadSession] = set()
        self._all_done = asyncio.Event()
        self._wheel = Wheel(options.frame_ms / 1000, time.monotonic)

    async def run(self) -> Measured:
        """Ramp up, measure while all sessions are live, let them end."""
        idle = _usage(self._options.pid)
        # The first connection is made alone: an address without a gateway is one clear error, not many.
        await self._start(0)
        wheel = asyncio.create_task(self._wheel.turn())
        telling = asyncio.create_task(self._tell())
        try:
            await self._ramp()
            begin, began, own = _usage(self._options.pid), time.monotonic(), time.process_time()
            live_before = len(self._live)
            await asyncio.sleep(max(0.1, self._options.duration_s - self._options.ramp_s))
            end, steady_s = _usage(self._options.pid), time.monotonic() - began
            busy = (time.process_time() - own) / steady_s
            live = (live_before + len(self._live)) / 2
            await self._finish()
        finally:
            wheel.cancel()
            telling.cancel()
            await asyncio.gather(wheel, telling, return_exceptions=True)
        return Measured(
            options=self._options,
            tally=self._tally,
            audio=self.audio,
            steady_s=steady_s,
            live_session_s=live * steady_s,
            own_busy=busy,
            late_frames=self._wheel.late,
            worst_late_ms=self._wheel.worst_late_s * 1_000,
            idle=idle,
            begin=begin,
            end=end,
        )

    async def _ramp(self) -> None:
        """Start the others at jittered times (always the same ones), evenly over the ramp."""
        random = np.random.default_rng(1)
        count = self._options.sessions - 1
        times = np.sort((np.arange(count) + random.random(count)) * self._options.ramp_s / max(1, count))
        started = time.monotonic()
        starting: set[asyncio.Task[None]] = set()
        for index, at in enumerate(times, start=1):
            await asyncio.sleep(max(0.0, started + at - time.monotonic()))
            task = asyncio.create_task(self._start_quietly(index))
            starting.add(task)
            task.add_done_callback(starting.discard)
        if starting:
            await asyncio.wait(starting)
        await asyncio.sleep(max(0.0, started + self._options.ramp_s - time.monotonic()))

    async def _start_quietly(self, index: int) -> None:
        try:
            await self._start(index)
        except CommandError as error:
            self._tally.failures[error.message.rpartition(": ")[2]] += 1

    async def _start(self, index: int) -> None:
        url = session_url(self._options, self.audio)
        parts = urlsplit(url)
        secure = ssl.create_default_context() if parts.scheme == "wss" else None
        loop = asyncio.get_running_loop()
        opening: Coroutine[Any, Any, tuple[Any, LoadSession]] = loop.create_connection(
            lambda: self._session(url, index),
            parts.hostname or "",
            parts.port or (443 if secure else 80),
            ssl=secure,
        )
        try:
            async with asyncio.timeout(_OPEN_S):
                _, session = await opening
        except TimeoutError:
            raise unreachable(url, "no answer in time") from None
        except OSError as error:
            raise unreachable(url, reason_of(error)) from None
        self._wheel.add(session)

    def _session(self, url: str, index: int) -> LoadSession:
        options = self._options
        session = LoadSession(
            url,
            self._frames,
            first=index * 37 % len(self._frames),
            count=math.ceil(options.duration_s * 1000 / options.frame_ms),
            frame_samples=self._frame_samples,
            sample_rate=self.audio.sample_rate,
            tally=self._tally,
            now=time.monotonic,
            on_done=self._done,
            bearer=options.bearer,
        )
        self._live.add(session)
        self._all_done.clear()
        return session

    def _done(self, session: LoadSession) -> None:
        self._live.discard(session)
        if not self._live:
            self._all_done.set()

    async def _finish(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.ramp_s + _END_S):
                await self._all_done.wait()
        for session in list(self._live):
            session.give_up("no summary in time")

    async def _tell(self) -> None:
        started = time.monotonic()
        while True:
            await asyncio.sleep(1)
            tally, seconds = self._tally, time.monotonic() - started
            latency = tally.latency()
            told = f", p99 {latency.p99:.0f} ms" if latency is not None else ""
            self._progress(
                f"{seconds:4.0f} s  {len(self._live)} live, {sum(tally.events.values()):,} events{told}"
            )


def load(options: LoadOptions, *, errors: TextIO) -> Measured:
    """Run it. Raises CommandError where it can't even start."""

    def progress(line: str) -> None:
        if errors.isatty():
            errors.write(f"\r\x1b[K{line}")
            errors.flush()

    async def main() -> Measured:
        return await LoadRun(options, progress).run()

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(main())
    finally:
        progress("")


def session_url(options: LoadOptions, audio: AudioFormat) -> str:
    """Where each session is opened, with its format and settings in the query."""
    url = voice_url(options.url)
    query = urlencode(
        {name: _as_text(value) for name, value in {**audio.to_dict(), **options.config}.items()}
    )
    return f"{url}{'&' if urlsplit(url).query else '?'}{query}"


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def exit_code(measured: Measured, broken: Sequence[str]) -> ExitCode:
    """FAILED where a session failed or an expectation did not hold."""
    return ExitCode.FAILED if measured.tally.failed or broken else ExitCode.OK


def speech_like(rate: int) -> bytes:
    """20 s of two voices with pauses, as s16le; the same on each call."""
    turns = ((5.5, synth.CALM), (5.0, synth.ANIMATED), (5.5, synth.SECOND))
    parts = [
        piece for seconds, manner in turns for piece in (synth.voice(seconds, manner), synth.silence(1.3))
    ]
    sound = np.asarray(soxr.resample(np.concatenate(parts), synth.RATE, rate))
    return bytes(np.clip(np.rint(sound * 32_767), -32_768, 32_767).astype("<i2").tobytes())


def _pieces(options: LoadOptions) -> tuple[AudioFormat, list[bytes]]:
    """The audio cut into frames; what is left over at the end is not used."""
    audio, data = options.audio, b""
    if options.file is None:
        data = speech_like(audio.sample_rate)
    else:
        source = open_file(options.file, RawFormat(audio, forced=False))
        audio = source.audio
        data = b"".join(source.blocks)[: audio.bytes(_MAX_AUDIO_S * audio.sample_rate)]
        source.close()
    if audio.sample_rate * options.frame_ms % 1000:
        message = f"{options.frame_ms} ms are no whole number of samples at {audio.sample_rate:,} Hz"
        raise CommandError(message, hint="Choose another --frame-ms, such as 40 or 80.")
    size = audio.bytes(audio.samples_of_ms(options.frame_ms))
    pieces = [data[start : start + size] for start in range(0, len(data) - size + 1, size)]
    if not pieces:
        raise CommandError(f"{options.file} is shorter than one frame")
    return audio, pieces


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
