"""The acoustic classifier per 1 s window, one thread: whole and in parts, and what it costs the event loop,
in a thread beside it and in a worker process.

    python -m benchmarks.micro_acoustic

Measured in a fresh process, whose matrix products are told to keep to one thread before numpy is imported.
Sessions have talked for a dozen windows before, so that their state is as full as usual. The baseline does
what is usual, one window and one frame at a time: a Fourier transform, mel bands, and an autocorrelation by
another transform.
"""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import msgpack  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from benchmarks.rows import Row, table
from gateway.classify.acoustic import bands, prosody, tones
from gateway.classify.acoustic.classifier import AcousticClassifier, analyse
from gateway.classify.acoustic.embedded import EmbeddedClassifier
from gateway.classify.acoustic.features import FRAME, HOP, extract
from gateway.classify.acoustic.sizing import Where, Wish
from gateway.classify.port import SAMPLE_RATE, Classifier, Window
from gateway.clock import SystemClock

WARM_UP = 12
"""Windows of each session before it is measured."""
REPEATS = 25
BATCHES = (1, 8, 32)
IN_THREAD = "event loop late, p99"
BASELINE = "baseline: numpy, frame by frame"
_SINGLE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def rows() -> list[Row]:
    """Measure everything once; takes about ten seconds of one core."""
    before = {name: os.environ.get(name) for name in _SINGLE}
    os.environ.update(dict.fromkeys(_SINGLE, "1"))
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return pool.submit(_measure).result()
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _measure() -> list[Row]:
    sessions = _sessions(max(BATCHES))
    base = _ms(partial(_usual, sessions[0]))
    found = [Row(BASELINE, base, "ms/window")]

    def row(name: str, count: int, work: Callable[[], object]) -> None:
        cost = _ms(work) / count
        found.append(Row(name, cost, "ms/window", BASELINE, cost / base))

    for count in BATCHES:
        row(f"classifier, batch {count}", count, partial(analyse, sessions[:count]))
    batch = np.stack([window.samples / np.float32(32768) for window in sessions]).astype(np.float32)
    lengths = np.full(len(batch), SAMPLE_RATE)
    features = extract(batch, lengths)
    row("of it features, batch 32", 32, lambda: extract(batch, lengths))
    row("of it prosody, batch 32", 32, lambda: prosody.measure(features))
    row("of it tones, batch 32", 32, lambda: tones.detect(batch, lengths))
    found.append(Row("state", max(len(msgpack.packb(w.state)) for w in sessions) / 1024, "KiB/session"))
    found.append(Row(IN_THREAD, asyncio.run(_beside_thread(sessions)), "ms"))
    here, late = asyncio.run(_beside_process(sessions))
    beside = found[-1].value
    found.append(Row("in a worker process, batch 32: of it here", here, "ms/window", BASELINE, here / base))
    found.append(Row("event loop late beside a worker process, p99", late, "ms", IN_THREAD, late / beside))
    return found


def _sessions(count: int) -> list[Window]:
    """Windows of voice-like sound, each of a session that has talked for a while."""
    windows = [Window(_babble(i), SAMPLE_RATE, 1.0, {}) for i in range(count)]
    for second in range(WARM_UP):
        windows = [Window(w.samples, w.owned, 1.0 + second, w.state) for w in windows]
        for window, (_, state) in zip(windows, analyse(windows), strict=True):
            window.state["acoustic"] = state
    return windows


def _babble(seed: int) -> npt.NDArray[np.int16]:
    """A second of gliding, breathing harmonics with changing formants: the classifier takes it for speech."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    f0 = rng.uniform(90, 220) * 2 ** (0.25 * np.sin(2 * np.pi * rng.uniform(2.0, 3.0) * time_s))
    phase = 2 * np.pi * np.cumsum(f0) / SAMPLE_RATE
    formant = 900 + 700 * np.sin(2 * np.pi * rng.uniform(3.0, 4.0) * time_s)
    sound = np.zeros(SAMPLE_RATE)
    for harmonic in range(1, 24):
        near = np.exp(-(((harmonic * f0 - formant) / 400) ** 2)) + 0.3 / harmonic
        sound += near * np.sin(harmonic * phase)
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * time_s)
    sound = sound * syllables / np.abs(sound).max() + rng.normal(0, 0.003, SAMPLE_RATE)
    pcm: npt.NDArray[np.int16] = np.clip(sound * 9000, -32768, 32767).astype(np.int16)
    return pcm


def _usual(window: Window) -> float:
    """Pitch and mel bands the plain way."""
    samples = window.samples.astype(np.float64) / 32768
    hann = np.hanning(FRAME)
    total = 0.0
    for start in range(0, len(samples) - FRAME + 1, HOP):
        power = np.abs(np.fft.rfft(samples[start : start + FRAME] * hann, bands.FFT)) ** 2
        mel = np.log(power[: bands.BINS] @ bands.PROJECTION + 1e-9)
        lags = np.fft.irfft(power)[32:267]
        total += float(mel[0]) + int(lags.argmax())
    return total


async def _beside_thread(sessions: list[Window]) -> float:
    classifier = AcousticClassifier()
    try:
        return await _lateness(classifier, sessions)
    finally:
        await classifier.aclose()


async def _beside_process(sessions: list[Window]) -> tuple[float, float]:
    """What a window costs this process, in ms of its CPU, and how late the event loop is."""
    classifier = EmbeddedClassifier(Wish(Where.PROCESS, 1, 32), SystemClock(), cores=2)
    await classifier.start()
    try:
        while not classifier.workers[Where.PROCESS]:  # noqa: ASYNC110 - it comes from another process
            await asyncio.sleep(0.01)
        best = float("inf")
        for _ in range(REPEATS):
            begun = time.process_time()
            await classifier.classify(sessions)
            best = min(best, time.process_time() - begun)
        return 1e3 * best / len(sessions), await _lateness(classifier, sessions)
    finally:
        await classifier.aclose()


async def _lateness(classifier: Classifier, sessions: list[Window]) -> float:
    """How late, in ms at the 99th percentile, the event loop wakes from 1 ms beside a busy classifier."""
    late: list[float] = []
    work = asyncio.create_task(_keep_busy(classifier, sessions))
    while not work.done():
        begun = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append(1e3 * (time.perf_counter() - begun) - 1.0)
    await work
    return float(np.percentile(late, 99))


async def _keep_busy(classifier: Classifier, sessions: list[Window]) -> None:
    for _ in range(REPEATS):
        await classifier.classify(sessions)


def _ms(work: Callable[[], object]) -> float:
    """Milliseconds of processor time of the best of many runs: others may use the machine meanwhile."""
    best = float("inf")
    for _ in range(REPEATS):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return 1e3 * best


if __name__ == "__main__":
    print(table(rows()))
