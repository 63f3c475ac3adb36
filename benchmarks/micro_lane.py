"""One frame's way from a loopback socket to the application: the server's CPU per frame, its memory.

    python -m benchmarks.micro_lane

Each server runs in a process of its own on the first core, and is sent frames of 100 ms (3,200 bytes) from
the second one at a steady pace below what it could take, so the figure is work and not waiting. It is the
process's whole CPU time, the kernel's part included: one `recv` and one wake-up a frame are most of it.

Beside them stands the least that can be done with a frame, in C (floor.c; left out where there is no
compiler): received, unmasked and copied into a ring of one second, which is what the sink does, too.

The pace matters. A server that is done before the next frame comes sleeps, and is woken for each; one that is
sent several at once is not. So a pass counts only where the sender kept its pace, and what it used of its own
core is told.
"""

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from benchmarks import floor
from benchmarks.cpu import cpu_s
from benchmarks.rows import Row, table
from gateway.commands.procfs import usage
from gateway.fastlane import fast_lane
from gateway.server.facts import ServerConfig
from gateway.server.frames import BINARY
from gateway.server.http import HttpProtocol
from gateway.server.websocket import WebSocketProtocol

CONNECTIONS = 400
FRAME_BYTES = 3_200
FRAMES_A_SECOND = 12_000
SECONDS = 6
PASSES = 3
"""Taken in turns; of each server the cheapest pass counts, as whatever else runs here only adds."""
LATE_S = 0.005
MOST_LATE = 0.01
"""Share of frames of a pass that may be later than that: what is late comes in a burst, which is cheaper."""

STOCK = "uvicorn's websockets-sansio, ASGI receive"
SERVERS = {
    "stock": STOCK,
    "asgi": "our protocol, ASGI receive",
    "lane": "our protocol, sink into a ring of 31 KiB",
}
FLOOR = "C: epoll, recv, unmask, copy into a ring"
RING_BYTES = 32_000

_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_FRAME = bytes((0x80 | BINARY, 0x80 | 126)) + FRAME_BYTES.to_bytes(2) + bytes(range(4)) + bytes(FRAME_BYTES)


@dataclass(frozen=True, slots=True)
class _Cost:
    """One pass of one server."""

    cpu_us: float
    """Of a frame."""
    kib: float
    """Of a connection."""
    sender: float
    """Share of its core that the sender used."""
    late: float
    """Share of frames that were sent late."""


def rows() -> list[Row]:
    """Measure each server three times; takes about two minutes."""
    with floor.compiled() as program:
        kinds = [*SERVERS, *(["floor"] if program is not None else [])]
        passes = [{kind: _measure(kind, program) for kind in kinds} for _ in range(PASSES)]
    best = {kind: _best([one[kind] for one in passes]) for kind in kinds}
    cost = {kind: one.cpu_us for kind, one in best.items()}
    memory = {kind: min(one[kind].kib for one in passes) for kind in SERVERS}
    found = [] if "floor" not in cost else [Row(FLOOR, cost["floor"], "µs/frame")]
    for unit, figures in (("µs/frame", cost), ("KiB/connection", memory)):
        for kind, name in SERVERS.items():
            base = None if kind == "stock" else STOCK
            ratio = None if base is None else figures[kind] / figures["stock"]
            found.append(Row(name, figures[kind], unit, base, ratio))
        if unit == "µs/frame" and "floor" in cost:
            lane = cost["lane"]
            found.append(Row(SERVERS["lane"], lane, unit, FLOOR, lane / cost["floor"]))
    found.append(
        Row("most that the sender used of its core", max(one.sender for one in best.values()), "core")
    )
    late = max(one.late for one in best.values())
    found.append(Row(f"most frames sent more than {LATE_S * 1_000:g} ms late", late * 100, "%"))
    return found


def _best(passes: list[_Cost]) -> _Cost:
    """The cheapest of those that kept the pace; where none did, the one that was nearest to it."""
    kept = [one for one in passes if one.late <= MOST_LATE]
    return min(kept, key=lambda one: one.cpu_us) if kept else min(passes, key=lambda one: one.late)


def _measure(kind: str, program: Path | None) -> _Cost:
    """What a frame costs, and what a connection holds after all of them were used."""
    with _server(kind, program) as (port, pid):
        for _ in range(2):  # what the first connections allocate for good is not theirs
            _connect(port, 8).close()
        idle = usage(pid)
        with contextlib.closing(_connect(port, CONNECTIONS)) as fleet:
            fleet.send(CONNECTIONS * 4)
            frames = FRAMES_A_SECOND * SECONDS
            before, own, begun = cpu_s(pid), time.process_time(), time.perf_counter()
            late = fleet.send(frames)
            sender = (time.process_time() - own) / (time.perf_counter() - begun)
            used, after = cpu_s(pid) - before, usage(pid)
    kib = (after.rss - idle.rss) / 1024 / CONNECTIONS
    return _Cost(used / frames * 1e6, kib, sender, late / frames)


class _Fleet:
    """Connections that take turns sending."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets

    def send(self, frames: int) -> int:
        """Send `frames`, evenly spread over the connections and over time; returns how many were late."""
        begin, late = time.perf_counter(), 0
        for number in range(frames):
            due = begin + number / FRAMES_A_SECOND
            while (now := time.perf_counter()) < due:
                time.sleep(0.0002)
            late += now - due > LATE_S
            self._sockets[number % len(self._sockets)].sendall(_FRAME)
        return late

    def close(self) -> None:
        for one in self._sockets:
            one.close()


def _connect(port: int, connections: int) -> _Fleet:
    sockets = []
    for _ in range(connections):
        one = socket.create_connection(("127.0.0.1", port), timeout=10)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.sendall(_HANDSHAKE)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += one.recv(4_096)
        sockets.append(one)
    return _Fleet(sockets)


@contextlib.contextmanager
def _server(kind: str, program: Path | None) -> Iterator[tuple[int, int]]:
    """A server process; its port and process id."""
    cores = sorted(os.sched_getaffinity(0))
    if kind == "floor" and program is not None:
        process = floor.launched(program, cores[0])
    else:
        command = [sys.executable, "-m", "benchmarks.micro_lane", "serve", kind, str(cores[0])]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(0, {cores[-1]})
    try:
        assert process.stdout is not None
        found = re.search(r"\d+", process.stdout.readline())
        assert found is not None
        yield int(found.group()), process.pid
    finally:
        os.sched_setaffinity(0, cores)
        process.terminate()
        process.wait(timeout=10)


# The server process ---------------------------------------------------------------------------------------


async def _app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    lane = fast_lane(scope) if scope["path"] == "/" else None
    if lane is not None and _app_listens:
        lane.listen(_ring(), lambda _: None)
    while (await receive())["type"] != "websocket.disconnect":
        pass


_app_listens = False


def _ring() -> Callable[[bytes | str], None]:
    """Takes frames into one second's memory, over and over."""
    ring, at = memoryview(bytearray(RING_BYTES)), 0

    def keep(frame: bytes | str) -> None:
        nonlocal at
        if isinstance(frame, str):
            return
        end = at + len(frame)
        if end > RING_BYTES:
            first = RING_BYTES - at
            ring[at:], ring[: end - RING_BYTES] = frame[:first], frame[first:]
        else:
            ring[at:end] = frame
        at = end % RING_BYTES

    return keep


def _serve(kind: str, core: int) -> None:
    global _app_listens
    _app_listens = kind == "lane"
    os.sched_setaffinity(0, {core})
    options: dict[str, Any] = {"lifespan": "off", "log_level": "error", "ws_per_message_deflate": False}
    if kind == "stock":
        config = uvicorn.Config(_app, http="h11", ws="websockets-sansio", **options)
    else:
        config = ServerConfig(_app, http=HttpProtocol, ws=WebSocketProtocol, **options)
    with socket.create_server(("127.0.0.1", 0), backlog=1_024) as listening:
        print(listening.getsockname()[1], flush=True)
        server = uvicorn.Server(config)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(server.serve([listening]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        _serve(sys.argv[2], int(sys.argv[3]))
    else:
        print(table(rows()))
