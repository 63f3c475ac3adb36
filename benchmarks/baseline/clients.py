"""Paced clients of the baseline server, kept cheap: ready-made frames, one timer, nothing parsed in vain.

    python -m benchmarks.baseline.clients --url http://127.0.0.1:8524 --sessions 20 --pid 4711

Each session is made with a POST, listens on one connection (server-sent events) and speaks on another
(WebSocket). Latency runs as in `undertone load`: from the moment the last sample of a window was due, whether
or not it was sent in time, to the arrival of its tone. A session that comes and goes before anything is
measured keeps what a server loads with its first call off the others' account. The report, on standard
output, is JSON with the names of `undertone load --json`.

With few sessions, it decides much how many windows happen to end at once. By default they end as far from one
another as they can, which no real clients do: the kindest to the server, and the same in each run.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlsplit

import numpy as np
import orjson
import uvloop
from websockets.frames import Close, Frame, Opcode

from gateway.commands.load import speech_like
from gateway.commands.load_stats import Samples, percentile_points
from gateway.commands.procfs import Usage, usage
from gateway.commands.wheel import SLOT_S, Wheel

RATE: Final = 16_000
FRAME_S: Final = 0.1
FRAME_BYTES: Final = 3_200
WINDOW_FRAMES: Final = 10
WINDOW_S: Final = WINDOW_FRAMES * FRAME_S
WINDOW_EVENTS: Final = 2
"""What `benchmarks.instant` tells of a window."""
OPEN_S: Final = 10.0
GRACE_S: Final = 3.0
"""For the events of the last windows, after the last of them was sent."""

_KEY: Final = base64.b64encode(bytes(16)).decode()
_CLOSE: Final = Frame(Opcode.CLOSE, Close(1000, "").serialize()).serialize(mask=True)


class Refused(Exception):
    """The server did not open what it was asked for."""


@dataclass(slots=True)
class Tally:
    """What all sessions saw."""

    frames: int = 0
    acks: int = 0
    events: Counter[str] = field(default_factory=Counter)
    latencies: Samples = field(default_factory=Samples)
    failures: Counter[str] = field(default_factory=Counter)


class _Opening(asyncio.Protocol, ABC):
    """A GET, and the head of its answer; `opened` is done once that is there."""

    status: bytes

    def __init__(self, host: str, path: str, *fields: str) -> None:
        lines = (f"GET {path} HTTP/1.1", f"Host: {host}", *fields, "", "")
        self._request = "\r\n".join(lines).encode()
        self._rest = b""
        self.opened = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            self._more(data)
            return
        self._rest += data
        head, found, rest = self._rest.partition(b"\r\n\r\n")
        if not found:
            return
        self._rest = b""
        if head.split(b" ", 2)[1] != self.status:
            self.opened.set_exception(Refused(head.partition(b"\r\n")[0].decode()))
            return
        self.opened.set_result(None)
        if rest:
            self._more(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(Refused("lost before it was open"))

    @abstractmethod
    def _more(self, data: bytes) -> None:
        """What comes once it is open."""


class Events(_Opening):
    """A stream of server-sent events, of which each message is one line of JSON."""

    status = b"200"

    def __init__(self, host: str, path: str, receive: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(host, path, "Accept: text/event-stream")
        self._receive = receive

    def _more(self, data: bytes) -> None:
        *messages, self._rest = (self._rest + data).split(b"\n\n")
        for message in messages:
            # In front of it stands the size of a chunk (RFC 9112 section 7.1).
            self._receive(orjson.loads(message.partition(b"data: ")[2]))


class Audio(_Opening):
    """The WebSocket. Nothing is looked at in an acknowledgement but its size."""

    status = b"101"

    def __init__(self, host: str, path: str, tally: Tally) -> None:
        upgrade = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {_KEY}")
        super().__init__(host, path, *upgrade, "Sec-WebSocket-Version: 13")
        self._tally = tally

    def _more(self, data: bytes) -> None:
        data, at = self._rest + data, 0
        while len(data) - at >= 2:
            size = data[at + 1]  # never masked, and always below 126 from this server
            end = at + 2 + size
            if end > len(data):
                break
            if data[at] & 0x0F == Opcode.TEXT:
                self._tally.acks += 1
            elif data[at] & 0x0F == Opcode.PING:
                self.transport.write(Frame(Opcode.PONG, data[at + 2 : end]).serialize(mask=True))
            at = end
        self._rest = data[at:]

    def close(self) -> None:
        """Say so, and go."""
        self.transport.write(_CLOSE)
        self.transport.close()


class Session:
    """One paced session."""

    def __init__(self, frames: Sequence[bytes], first: int, count: int, tally: Tally) -> None:
        self._frames = frames
        self._first = first
        self._count = count
        self._tally = tally
        self._sent = 0
        self._origin: float | None = None
        self._events = 0
        self.start = 0.0
        """When its first frame is due, at the earliest (monotonic seconds)."""
        self.audio: Audio | None = None
        self.events: Events | None = None
        self.done = asyncio.Event()
        """Every window's events are there."""

    async def open(self, host: str, port: int) -> None:
        """Make it, listen to it, and be ready to speak.

        Raises:
            Refused, OSError, TimeoutError: it can't be.
        """
        async with asyncio.timeout(OPEN_S):
            path = f"/session/{await _created(host, port)}"
            connect = asyncio.get_running_loop().create_connection
            _, self.events = await connect(lambda: Events(host, f"{path}/stream", self._receive), host, port)
            await self.events.opened
            _, self.audio = await connect(lambda: Audio(host, f"{path}/audio", self._tally), host, port)
            await self.audio.opened

    def beat(self, due: float) -> bool:
        """Send the frame whose last sample is due at `due` (monotonic seconds); False after the last one."""
        assert self.audio is not None
        if due < self.start:
            return True
        if self._origin is None:
            self._origin = due - FRAME_S
        self.audio.transport.write(self._frames[(self._first + self._sent) % len(self._frames)])
        self._tally.frames += 1
        self._sent += 1
        return self._sent < self._count

    def close(self) -> None:
        """End both connections; safe to call at any time."""
        if self.audio is not None:
            self.audio.close()
        if self.events is not None:
            self.events.transport.close()

    def _receive(self, event: dict[str, Any]) -> None:
        kind = event["event_type"]
        self._tally.events[kind] += 1
        if kind == "tone" and self._origin is not None:
            now = time.monotonic()
            self._tally.latencies.add(now - self._origin - event["timestamp"], now)
        self._events += 1
        if self._events == self._count // WINDOW_FRAMES * WINDOW_EVENTS:
            self.done.set()


async def _created(host: str, port: int) -> str:
    """The id of a new session."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        lines = ("POST /session HTTP/1.1", f"Host: {host}", "Content-Length: 0", "Connection: close", "", "")
        writer.write("\r\n".join(lines).encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    if head.split(b" ", 2)[1:2] != [b"200"]:
        raise Refused(head.partition(b"\r\n")[0].decode())
    created: str = orjson.loads(body)["session_id"]
    return created


def ready_made(pcm: bytes) -> bytes:
    """A text message with a chunk of audio, masked (always the same) and complete."""
    text = orjson.dumps({"audio": base64.b64encode(pcm).decode()})
    return Frame(Opcode.TEXT, text).serialize(mask=True)


class Run:
    """All sessions, on one event loop."""

    def __init__(
        self, url: str, *, sessions: int, duration_s: float, ramp_s: float, pid: int | None, random: bool
    ) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._host, self._port = parts.hostname, parts.port
        self._wanted = sessions
        self._duration_s = duration_s
        self._ramp_s = ramp_s
        self._pid = pid
        phases = np.random.default_rng(1).random(sessions) if random else np.arange(sessions) / sessions
        self._phases_s = phases * WINDOW_S
        speech = speech_like(RATE)
        whole = range(0, len(speech) - FRAME_BYTES + 1, FRAME_BYTES)
        self._frames = [ready_made(speech[start : start + FRAME_BYTES]) for start in whole]
        self._wheel_began = time.monotonic()
        self._wheel = Wheel(FRAME_S, time.monotonic)
        self._tally = Tally()
        self._sessions: list[Session] = []

    async def run(self) -> dict[str, Any]:
        """Warm up, ramp up, measure while all sessions are live, wait for the last events."""
        turning = asyncio.create_task(self._wheel.turn())
        try:
            await self._warm_up()
            idle = _usage(self._pid)
            await self._ramp()
            begin, began, own = _usage(self._pid), time.monotonic(), time.process_time()
            await asyncio.sleep(max(0.1, self._duration_s - self._ramp_s - WINDOW_S))
            end, steady_s = _usage(self._pid), time.monotonic() - began
            busy = (time.process_time() - own) / steady_s
            await self._finish()
        finally:
            turning.cancel()
            await asyncio.gather(turning, return_exceptions=True)
            for session in self._sessions:
                session.close()
        return self._report(busy, steady_s, idle, begin, end)

    async def _warm_up(self) -> None:
        session = Session(self._frames, 0, WINDOW_FRAMES, Tally())
        try:
            await session.open(self._host, self._port)
            self._speak(session, 0.0)
            async with asyncio.timeout(OPEN_S):
                await session.done.wait()
        finally:
            session.close()

    async def _ramp(self) -> None:
        """Open them evenly over the ramp; a window later at most, each one speaks."""
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for index in range(self._wanted):
                at = started + index * self._ramp_s / self._wanted
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                group.create_task(self._start(index))
        await asyncio.sleep(max(0.0, started + self._ramp_s + WINDOW_S - time.monotonic()))

    async def _start(self, index: int) -> None:
        first = index * 37 % len(self._frames)
        session = Session(self._frames, first, self._count, self._tally)
        self._sessions.append(session)
        try:
            await session.open(self._host, self._port)
        except (Refused, OSError) as error:  # a timeout is an OSError, too
            self._tally.failures[str(error) or type(error).__name__] += 1
        else:
            self._speak(session, self._phases_s[index])

    def _speak(self, session: Session, phase_s: float) -> None:
        """From the next moment on that lies so long after the begin of a window of the wheel's."""
        ran_s = time.monotonic() - self._wheel_began + SLOT_S
        tick = round((ran_s + (phase_s - ran_s) % WINDOW_S) / SLOT_S)
        session.start = self._wheel_began + (tick - 0.5) * SLOT_S
        self._wheel.slots[tick % len(self._wheel.slots)].append(session)

    async def _finish(self) -> None:
        waiting = [session.done.wait() for session in self._sessions]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._ramp_s + GRACE_S):
                await asyncio.gather(*waiting)

    @property
    def _count(self) -> int:
        """Frames of a session."""
        return round(self._duration_s / FRAME_S)

    def _report(
        self, busy: float, steady_s: float, idle: Usage | None, begin: Usage | None, end: Usage | None
    ) -> dict[str, Any]:
        tally = self._tally
        latency = tally.latencies.distribution()
        complete = sum(session.done.is_set() for session in self._sessions)
        return {
            "sessions": self._wanted,
            "finished": complete,
            "failed": self._wanted - complete,
            "failures": dict(tally.failures),
            "duration_s": self._duration_s,
            "ramp_s": self._ramp_s,
            "frames": tally.frames,
            "acks": tally.acks,
            "events": dict(tally.events),
            "latency_ms": {"all": None if latency is None else asdict(latency)},
            "percentiles_ms": percentile_points(tally.latencies.histogram()),
            "gap_samples": {},
            "server": _server(self._wanted, steady_s, idle, begin, end),
            "load_tool": {
                "busy": busy,
                "late_frames": self._wheel.late,
                "worst_late_ms": self._wheel.worst_late_s * 1_000,
            },
        }


def _usage(pid: int | None) -> Usage | None:
    return None if pid is None else usage(pid)


def _server(
    sessions: int, steady_s: float, idle: Usage | None, begin: Usage | None, end: Usage | None
) -> dict[str, float] | None:
    if idle is None or begin is None or end is None:
        return None
    cpu_s = end.cpu_s - begin.cpu_s
    return {
        "cpu_us_per_session_s": 1e6 * cpu_s / steady_s / sessions,
        "busy": cpu_s / steady_s,
        "rss_kib_per_session": (end.rss - idle.rss) / 1024 / sessions,
    }


def main() -> None:
    """Measure, and print the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baseline.clients")
    parser.add_argument("--url", required=True)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--duration", type=float, default=14.0, help="seconds of audio of each")
    parser.add_argument("--ramp", type=float, default=1.0, help="seconds over which they start")
    parser.add_argument("--random", action="store_true", help="windows end at random, not evenly apart")
    parser.add_argument("--pid", type=int, help="the server's process, to measure")
    given = parser.parse_args()

    async def run() -> dict[str, Any]:
        one = Run(
            given.url,
            sessions=given.sessions,
            duration_s=given.duration,
            ramp_s=given.ramp,
            pid=given.pid,
            random=given.random,
        )
        return await one.run()

    print(json.dumps(uvloop.run(run()), indent=1))


if __name__ == "__main__":
    main()
