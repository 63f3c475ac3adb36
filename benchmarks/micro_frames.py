"""Frame → ring → window without a socket: CPU per 100 ms frame, memory per session.

    python -m benchmarks.micro_frames

Hundreds of sessions take turns, so each one's buffers are out of the cache when its frame comes, as on a
server. The baseline does what is usual: it keeps the frames in a list and joins them into a window.
"""

import gc
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.rows import Row, table
from gateway.audio.window import WindowCutter
from gateway.classify.lanes import Job, Lane, Timing
from gateway.clock import SystemClock
from gateway.live.announcer import Announcer
from gateway.live.log import EventLog
from gateway.live.pipeline import Pipeline
from gateway.sessions.tail import BoundedTail
from gateway.stores.memory import MemoryEventStore
from gateway.telemetry.metrics import Telemetry
from protocol.audio import AudioEncoding, AudioFormat
from protocol.control import SessionConfig
from protocol.events import Event

SESSIONS = 400
TURNS = 60
"""Frames of 100 ms for each session in one pass."""
REPEATS = 5
BASELINE = "baseline: list of frames, b''.join, frombuffer"

Feed = Callable[[bytes], None]

_FORMATS = (
    AudioFormat(),
    AudioFormat(channels=2),
    AudioFormat(AudioEncoding.PCM_F32LE),
    AudioFormat(AudioEncoding.MULAW, 8_000),
    AudioFormat(sample_rate=8_000),
    AudioFormat(sample_rate=44_100),
    AudioFormat(sample_rate=48_000),
)


def rows() -> list[Row]:
    """Measure everything once; takes about twenty seconds of one core."""
    base = _cpu_us_per_frame(Baseline, AudioFormat(), SESSIONS)
    found = [Row(BASELINE, base, "µs/frame")]
    for name, make, fmt in _cases():
        sessions = SESSIONS if fmt.sample_rate == 16_000 else SESSIONS // 8
        cost = _cpu_us_per_frame(make, fmt, sessions)
        found.append(Row(name, cost, "µs/frame", BASELINE, cost / base))
    memory = [_kib_in_fresh_process(fmt) for fmt in (None, *_FORMATS)]
    found.append(Row(BASELINE, memory[0], "KiB/session"))
    for fmt, kib in zip(_FORMATS, memory[1:], strict=True):
        found.append(Row(_name(fmt), kib, "KiB/session", BASELINE, kib / memory[0]))
    return found


def _cases() -> list[tuple[str, Callable[[AudioFormat], Feed], AudioFormat]]:
    cases: list[tuple[str, Callable[[AudioFormat], Feed], AudioFormat]] = [
        (_name(fmt), lambda fmt: _session(fmt, 1000), fmt) for fmt in _FORMATS
    ]
    cases.append((_name(AudioFormat()) + ", hop 500 ms", lambda fmt: _session(fmt, 500), AudioFormat()))
    cases.append((_name(AudioFormat()) + ", tapped", _tapped, AudioFormat()))
    cases.append((_name(AudioFormat()) + ", whole pipeline: budget, account, flow", pipeline, AudioFormat()))
    return cases


def _session(fmt: AudioFormat, hop_ms: int) -> Feed:
    """What the pipeline does with a frame: feed it, and copy each window it completes."""
    cutter = WindowCutter(fmt, 1000, hop_ms, waiting=2)

    def feed(frame: bytes) -> None:
        for cut in cutter.feed(frame):
            cutter.samples(cut)

    return feed


def _tapped(fmt: AudioFormat) -> Feed:
    cutter = WindowCutter(fmt, 1000, 1000, waiting=2)
    cutter.tap()

    def feed(frame: bytes) -> None:
        for cut in cutter.feed(frame):
            cutter.samples(cut)
        cutter.tap()

    return feed


class _Unlimited(SystemClock):
    """Each look is 100 ms later, so that frames fed as fast as can be pass for real time."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 0.1
        return self._now


class _Answered:
    """A scheduler that answers each window at once, with nothing."""

    def submit(self, lane: Lane, job: Job) -> None:
        job.classified([], Timing(0.0, 0.0))

    def close(self, lane: Lane) -> list[Job]:
        return []


def pipeline(fmt: AudioFormat) -> Feed:
    """All that happens to a frame between the socket and the scheduler."""
    clock, telemetry = _Unlimited(), Telemetry()
    log = EventLog("0123456789abcdef012345", MemoryEventStore(clock), clock, BoundedTail(512, 2**20, 1e9))
    return Pipeline(
        audio=fmt,
        config=SessionConfig(),
        announcer=Announcer(log, fmt, telemetry),
        scheduler=_Answered(),
        clock=clock,
        telemetry=telemetry,
        tell=_told,
        owner_backlog=lambda: 0,
    ).feed


def _told(event: Event) -> None: ...


class Baseline:
    """Frames kept as they came; every tenth time they are joined."""

    def __init__(self, fmt: AudioFormat) -> None:
        self._frames: list[bytes] = []

    def __call__(self, frame: bytes) -> None:
        self._frames.append(frame)
        if len(self._frames) == 10:
            np.frombuffer(b"".join(self._frames), np.int16).copy()
            self._frames.clear()


def _cpu_us_per_frame(make: Callable[[AudioFormat], Feed], fmt: AudioFormat, sessions: int) -> float:
    """Least CPU µs for each 100 ms frame of `REPEATS` passes over all sessions, windows included.

    Every frame is a bytes object of its own, as it is when it comes from a socket; what making it costs is
    measured in the same way and taken off.
    """
    frames = _frames(fmt)
    feeds = [make(fmt) for _ in range(sessions)]
    nothing: list[Feed] = [_ignore] * sessions
    _run(feeds, frames, 20)
    gc.disable()
    try:
        passes = [(_run(feeds, frames, TURNS), _run(nothing, frames, TURNS)) for _ in range(REPEATS)]
    finally:
        gc.enable()
    best = min(used for used, _ in passes) - min(idle for _, idle in passes)
    return best / (sessions * TURNS) * 1e6


def _ignore(frame: bytes) -> None:
    """A session that costs nothing."""


def _run(feeds: Sequence[Feed], frames: list[bytes], turns: int) -> float:
    """CPU seconds to feed every session `turns` frames, one at a time."""
    views = [memoryview(frame) for frame in frames]
    begun = time.process_time()
    for turn in range(turns):
        view = views[turn % len(views)]
        for feed in feeds:
            feed(bytes(view))
    return time.process_time() - begun


def _frames(fmt: AudioFormat) -> list[bytes]:
    """One second of noise in ten frames."""
    rng = np.random.default_rng(7)
    count = fmt.sample_rate // 10 * fmt.channels
    if fmt.encoding is AudioEncoding.PCM_F32LE:
        return [rng.uniform(-0.3, 0.3, count).astype("<f4").tobytes() for _ in range(10)]
    if fmt.encoding is AudioEncoding.PCM_S16LE:
        return [rng.integers(-9_000, 9_000, count).astype("<i2").tobytes() for _ in range(10)]
    return [rng.integers(0, 256, count).astype(np.uint8).tobytes() for _ in range(10)]


def _kib_in_fresh_process(fmt: AudioFormat | None) -> float:
    """`_kib_per_session` where no memory freed before can hide growth."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_kib_per_session, fmt).result()


def _kib_per_session(fmt: AudioFormat | None, sessions: int = 200) -> float:
    """Growth of the resident set for each session that has heard 2.9 s; None for the baseline."""
    frames = _frames(fmt or AudioFormat())

    def make() -> Feed:
        return Baseline(AudioFormat()) if fmt is None else _session(fmt, 1000)

    _run([make()], frames, 29)
    gc.collect()
    before = _resident_kib()
    feeds = [make() for _ in range(sessions)]
    _run(feeds, frames, 29)
    return (_resident_kib() - before) / sessions


def _resident_kib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4.0


def _name(fmt: AudioFormat) -> str:
    return f"{fmt.encoding} {fmt.sample_rate} Hz, {fmt.channels} ch"


if __name__ == "__main__":
    print(table(rows()))
