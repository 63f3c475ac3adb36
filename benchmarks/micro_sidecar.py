"""One window to a sidecar and its answer back: what it costs the gateway, by the ways of asking.

    python -m benchmarks.micro_sidecar

The sidecar is a process of its own on the first core that answers at once, with one full tone a window; this
process has the last core, asks four calls at a time, and what counts is its own CPU time, the kernel's part
included. The ways take turns, over and over, and of each the cheapest pass counts, as whatever else runs here
only adds. `naive` is what gateways do that think nothing of it: a new client for each call, the samples in
base64, in JSON. `pooled` keeps one client of httpx. Ours are the two contracts, each whole: encoding, the
call, decoding, and observations made of what was told.
"""

import asyncio
import base64
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import httpx
import numpy as np
import orjson
import uvloop

from benchmarks.instant import TONE
from benchmarks.rows import Row, table
from gateway.classify.port import SAMPLE_RATE, ClassifierError, Window
from gateway.classify.remote.classifier import RemoteClassifier
from gateway.classify.sidecar import batch
from gateway.classify.sidecar.health import Offer, SidecarHealth

AT_ONCE = 4
"""Calls open at the same time, as many as the gateway makes."""
PASSES = 15
NAIVE = "naive: a client for each call, base64 JSON"
POOLED = "httpx pooled, base64 JSON"
SINGLE = "single-window contract"
BATCHED = "batch contract, {} windows a call"
BATCHES = (8, 32)

STATE = bytes(200)

Ask = Callable[[], Awaitable[object]]


def rows() -> list[Row]:
    """Measure every way; takes about half a minute."""
    cores = sorted(os.sched_getaffinity(0))
    with _sidecar(cores[0]) as url:
        os.sched_setaffinity(0, {cores[-1]})
        try:
            cost = uvloop.run(_measure(url))
        finally:
            os.sched_setaffinity(0, cores)
    found = [Row(NAIVE, cost[NAIVE], "µs/window"), _row(cost, POOLED, NAIVE), _row(cost, SINGLE, POOLED)]
    for size in BATCHES:
        name = BATCHED.format(size)
        found += [_row(cost, name, POOLED), _row(cost, name, NAIVE)]
    return found


def _row(cost: dict[str, float], name: str, base: str) -> Row:
    return Row(name, cost[name], "µs/window", base, cost[name] / cost[base])


async def _measure(url: str) -> dict[str, float]:
    """CPU µs a window, by way of asking."""
    noise = np.random.default_rng(0).integers(-3_000, 3_000, SAMPLE_RATE).astype(np.int16)
    state = {"sidecar": STATE}
    windows = [Window(noise, SAMPLE_RATE, 1.0, state, f"{number:022}") for number in range(max(BATCHES))]
    single = RemoteClassifier([url])
    batched = {size: RemoteClassifier([url]) for size in BATCHES}
    for size, classifier in batched.items():
        classifier.replicas[0].told = SidecarHealth(True, offer=Offer(f"/batch/{size}", size))
    pooled = httpx.AsyncClient(trust_env=False)

    async def naive() -> None:
        async with httpx.AsyncClient() as client:
            (await client.post(f"{url}/classify", json=_usual_body(windows[0]))).json()

    async def kept() -> None:
        (await pooled.post(f"{url}/classify", json=_usual_body(windows[0]))).json()

    ways: dict[str, tuple[Ask, int, int]] = {
        NAIVE: (naive, 8, 1),
        POOLED: (kept, 80, 1),
        SINGLE: (partial(_well, single, windows[:1]), 160, 1),
    }
    for size in BATCHES:
        ways[BATCHED.format(size)] = (partial(_well, batched[size], windows[:size]), 40, size)
    cost = dict.fromkeys(ways, float("inf"))
    for _ in range(PASSES):
        for name, (ask, calls, size) in ways.items():
            cost[name] = min(cost[name], await _pass(ask, calls) / size)
    for one in (single, *batched.values()):
        await one.aclose()
    await pooled.aclose()
    return cost


async def _pass(ask: Ask, calls: int) -> float:
    """CPU µs of one call."""

    async def some() -> None:
        for _ in range(calls // AT_ONCE):
            await ask()

    begun = time.process_time()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return (time.process_time() - begun) / calls * 1e6


async def _well(classifier: RemoteClassifier, windows: list[Window]) -> None:
    for answer in await classifier.classify(windows):
        if isinstance(answer, ClassifierError) or len(answer) != 1:
            raise RuntimeError(f"the sidecar of the benchmark did not answer: {answer}")


def _usual_body(window: Window) -> dict[str, Any]:
    return {
        "audio_chunk": base64.b64encode(window.samples.tobytes()).decode(),
        "timestamp": window.end_s,
        "elcor": False,
        "session_id": window.session,
        "language": None,
        "num_speakers": None,
    }


# The sidecar process --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _sidecar(core: int) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.micro_sidecar", "serve", str(core)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait(timeout=10)
        if process.stdout is not None:
            process.stdout.close()


class _Instant(asyncio.Protocol):
    """Reads a request to its end, looks at no more of it than it must, and has the answer ready."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._head = b""
        self._left = 0
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        if not self._left:
            head, found, rest = (self._head + data).partition(b"\r\n\r\n")
            if not found:
                self._head = head
                return
            self._head, data = b"", rest
            fields = head.lower().split(b"\r\n")
            size = next(line for line in fields if line.startswith(b"content-length:"))
            self._left = int(size.partition(b":")[2])
            self._answer = self._answers[fields[0].split(b" ")[1]]
        self._left -= len(data)
        if self._left <= 0:
            self._transport.write(self._answer)


def _serve(core: int) -> None:
    os.sched_setaffinity(0, {core})
    one = batch.Told([dict(TONE)], STATE)
    answers = {b"/classify": _http(orjson.dumps({"events": [TONE]}), "application/json")}
    for size in BATCHES:
        answers[f"/batch/{size}".encode()] = _http(batch.encode_answer([one] * size), batch.ANSWER_TYPE)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Instant(answers), "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    uvloop.run(serve())


def _http(body: bytes, kind: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        _serve(int(sys.argv[2]))
    else:
        print(table(rows()))
