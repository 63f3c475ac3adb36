"""One frame's way from a loopback socket to the application: the server's CPU per frame, its memory.

    python -m benchmarks.micro_lane

Each server runs in a process of its own on the first core, and is sent frames of 100 ms (3,200 bytes) from
the second one at a steady pace far below what it could take, so the figure is work and not waiting. It is the
process's whole CPU time, the kernel's part included: one `recv` and one wake-up a frame are most of it.
"""

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

from benchmarks.rows import Row, table
from gateway.commands.procfs import Usage, usage
from gateway.fastlane import fast_lane
from gateway.server.facts import ServerConfig
from gateway.server.frames import BINARY
from gateway.server.http import HttpProtocol
from gateway.server.websocket import WebSocketProtocol

CONNECTIONS = 400
FRAME_BYTES = 3_200
FRAMES_A_SECOND = 6_000
SECONDS = 6
PASSES = 3
"""Taken in turns; of each server the cheapest pass counts, as whatever else runs here only adds."""

STOCK = "uvicorn's websockets-sansio, ASGI receive"
SERVERS = {
    "stock": STOCK,
    "asgi": "our protocol, ASGI receive",
    "lane": "our protocol, sink",
}

_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_FRAME = bytes((0x80 | BINARY, 0x80 | 126)) + FRAME_BYTES.to_bytes(2) + bytes(range(4)) + bytes(FRAME_BYTES)


def rows() -> list[Row]:
    """Measure each server three times; takes about a minute and a half."""
    passes = [{kind: _measure(kind) for kind in SERVERS} for _ in range(PASSES)]
    cost = {kind: min(one[kind][0] for one in passes) for kind in SERVERS}
    memory = {kind: min(one[kind][1] for one in passes) for kind in SERVERS}
    found = []
    for unit, figures in (("µs/frame", cost), ("KiB/connection", memory)):
        for kind, name in SERVERS.items():
            base = None if kind == "stock" else STOCK
            ratio = None if base is None else figures[kind] / figures["stock"]
            found.append(Row(name, figures[kind], unit, base, ratio))
    return found


def _measure(kind: str) -> tuple[float, float]:
    """CPU µs per frame, and KiB per connection after all of them were used."""
    with _server(kind) as (port, pid):
        for _ in range(2):  # what the first connections allocate for good is not theirs
            _connect(port, 8).close()
        idle = usage(pid)
        with contextlib.closing(_connect(port, CONNECTIONS)) as fleet:
            fleet.send(CONNECTIONS * 4)
            before = usage(pid)
            frames = fleet.send(FRAMES_A_SECOND * SECONDS)
            after = usage(pid)
    return (after.cpu_s - before.cpu_s) / frames * 1e6, _rss_kib(after, idle) / CONNECTIONS


def _rss_kib(after: Usage, before: Usage) -> float:
    return (after.rss - before.rss) / 1024


class _Fleet:
    """Connections that take turns sending."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets

    def send(self, frames: int) -> int:
        """Send `frames`, evenly spread over the connections and over time."""
        begin = time.perf_counter()
        for number in range(frames):
            due = begin + number / FRAMES_A_SECOND
            while time.perf_counter() < due:
                time.sleep(0.0002)
            self._sockets[number % len(self._sockets)].sendall(_FRAME)
        return frames

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
def _server(kind: str) -> Iterator[tuple[int, int]]:
    """A server process; its port and process id."""
    cores = sorted(os.sched_getaffinity(0))
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
        lane.listen(lambda _: None, lambda _: None)
    while (await receive())["type"] != "websocket.disconnect":
        pass


_app_listens = False


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
