"""A classify node: what a window costs over each contract, and how many a second one worker does.

    python -m benchmarks.classify_node

The sidecar is a process of its own, pinned to the first core that it may use, with one worker; its caller is
pinned to the last one. The baseline calls the same classifier in its own process, on the sidecar's core. All
classify the same windows of 32 sessions, by turns. Callers always have a few calls under way, so that the
classifier never waits for them. CPU is the sidecar's alone, and moves less between runs than the rate.
"""

import asyncio
import base64
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import httpx

from benchmarks.micro_acoustic import _sessions
from benchmarks.rows import Row, table
from gateway.classify.acoustic.classifier import AcousticClassifier
from gateway.classify.port import Window
from gateway.classify.sidecar.batch import REQUEST_TYPE, Asked, Told, decode_answer, encode_request
from gateway.commands.procfs import usage

SESSIONS = 32
SECONDS = 4.0
ROUNDS = 3
BATCHES_AHEAD = 2
SINGLES_AHEAD = 64
BASELINE = "in process, batches of 32"

Turn = Callable[[], Awaitable[int]]
"""Classifies some windows; returns how many."""


@dataclass
class _Figures:
    windows: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0


def rows() -> list[Row]:
    """Measure everything by turns; takes about a minute."""
    cores = sorted(os.sched_getaffinity(0))
    with _sidecar(cores[0]) as (url, pid), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        found = {BASELINE: _Figures(), "batch contract": _Figures(), "single contract": _Figures()}
        for _ in range(ROUNDS):
            for name, work in (
                (BASELINE, partial(_in_process, cores[0])),
                ("batch contract", partial(_called, _batched, cores[-1], url, pid)),
                ("single contract", partial(_called, _singly, cores[-1], url, pid)),
            ):
                one = pool.submit(work).result()
                found[name].windows += one.windows
                found[name].seconds += one.seconds
                found[name].cpu_s += one.cpu_s
    return list(_rows(found))


def _rows(found: dict[str, _Figures]) -> Iterator[Row]:
    for unit, of in (("windows/s", _rate), ("ms CPU/window", _cpu_ms)):
        base = f"{BASELINE}: {unit}"
        for name, figures in found.items():
            compared = None if name == BASELINE else base
            ratio = None if name == BASELINE else of(figures) / of(found[BASELINE])
            yield Row(f"{name}: {unit}", of(figures), unit, compared, ratio)


def _rate(one: _Figures) -> float:
    return one.windows / one.seconds


def _cpu_ms(one: _Figures) -> float:
    return 1e3 * one.cpu_s / one.windows


@contextmanager
def _sidecar(core: int) -> Iterator[tuple[str, int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "classify", "--port", "0", "--workers", "1"],
        env=os.environ | {"UNDERTONE_LOG_LEVEL": "warning"},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    assert process.stdout is not None
    try:
        url = re.search(r"http://\S+", process.stdout.readline())
        assert url is not None, "the sidecar did not start"
        yield url.group(), process.pid
    finally:
        process.terminate()
        process.wait(timeout=20)


def _in_process(core: int) -> _Figures:
    os.sched_setaffinity(0, {core})

    async def main() -> _Figures:
        windows = _sessions(SESSIONS)
        classifier = AcousticClassifier(workers=1)

        async def turn() -> int:
            return len(await classifier.classify(windows))

        figures = await _measured([turn], os.getpid())
        await classifier.aclose()
        return figures

    return asyncio.run(main())


Turns = Callable[[httpx.AsyncClient, Sequence[Window]], list[Turn]]


def _called(turns: Turns, core: int, url: str, pid: int) -> _Figures:
    os.sched_setaffinity(0, {core})

    async def main() -> _Figures:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
            return await _measured(turns(client, _sessions(SESSIONS)), pid)

    return asyncio.run(main())


def _batched(client: httpx.AsyncClient, windows: Sequence[Window]) -> list[Turn]:
    asked = [Asked(f"s{n}", one.samples, one.owned, one.end_s) for n, one in enumerate(windows)]

    async def turn(states: list[bytes | None]) -> int:
        batch = [
            Asked(one.session, one.samples, one.owned, one.end_s, state=state)
            for one, state in zip(asked, states, strict=True)
        ]
        answer = await client.post(
            "/v1/classify/batch",
            content=b"".join(encode_request(batch)),
            headers={"content-type": REQUEST_TYPE},
        )
        for n, reply in enumerate(decode_answer(answer.content, len(batch))):
            assert isinstance(reply, Told)
            states[n] = reply.state
        return len(batch)

    kept: list[list[bytes | None]] = [[None] * len(asked) for _ in range(BATCHES_AHEAD)]
    return [partial(turn, states) for states in kept]


def _singly(client: httpx.AsyncClient, windows: Sequence[Window]) -> list[Turn]:
    async def turn(number: int) -> int:
        samples = windows[number % len(windows)].samples
        call = {
            "audio_chunk": base64.b64encode(samples.tobytes()).decode(),
            "timestamp": 0.0,
            "session_id": f"s{number}",
        }
        answer = await client.post("/classify", json=call)
        assert answer.status_code == 200
        return 1

    return [partial(turn, number) for number in range(SINGLES_AHEAD)]


async def _measured(turns: Sequence[Turn], pid: int) -> _Figures:
    """All of them over and over, side by side, once they are warm."""
    await asyncio.gather(*(turn() for turn in turns))
    began, before = time.perf_counter(), usage(pid).cpu_s

    async def keep_on(turn: Turn) -> int:
        windows = 0
        while time.perf_counter() - began < SECONDS:
            windows += await turn()
        return windows

    windows = sum(await asyncio.gather(*(keep_on(turn) for turn in turns)))
    return _Figures(windows, time.perf_counter() - began, usage(pid).cpu_s - before)


if __name__ == "__main__":
    print(table(rows()))
