"""Honest clients beside a hostile one: they speak in real time, ping, and tell how it went.

    python -m tests.chaos.neighbours ws://127.0.0.1:8522/ws/voice 100

A process of their own, so that what they measure is the gateway, not an attacker's turn at the interpreter.
It writes `here` once all are welcome. Each line that it reads begins a new phase of the measurement, named by
that line; at the end of its input they end their sessions, and it writes one JSON object.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gateway.commands.load import speech_like
from gateway.commands.load_stats import Latency, Samples

RATE = 8_000
FRAME_S = 0.1
_FRAME = round(RATE * FRAME_S) * 2
PING_EVERY = 2
"""Frames."""
PATIENCE_S = 20.0
"""Seconds to come in, and to end."""
_HERE = "here"
_FIRST = "at first"
_ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Report:
    """How it went for all of them."""

    neighbours: int
    lost: int = 0
    """Those whose connection or session ended before they wanted."""
    pings: int = 0
    pongs: int = 0
    sent_samples: int = 0
    received_samples: int = 0
    """What the summaries say."""
    gap_samples: int = 0
    complaints: list[str] = field(default_factory=list)
    """Codes of the errors that they were told, and closes."""
    round_trips: dict[str, Latency] = field(default_factory=dict)
    """From `ping` to `pong`, by phase."""

    @property
    def unharmed(self) -> bool:
        """Whether nobody lost anything at all."""
        kept = self.pings == self.pongs and self.sent_samples == self.received_samples
        return kept and not (self.lost or self.gap_samples or self.complaints)


class Neighbours:
    """The process, for whoever attacks; a context manager, whose `report` is known after its end.

    Args:
        ws_url: the voice endpoint.
        count: how many.
        core: the one they are to keep to.
    """

    def __init__(self, ws_url: str, count: int, core: int | None = None) -> None:
        self.report = Report(count)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.neighbours", ws_url, str(count)],
            cwd=_ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if line != _HERE:
            self._process.communicate()
            raise AssertionError("the neighbours did not come in")
        return self

    def phase(self, name: str) -> None:
        """What is measured from now on counts as `name`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        told, _ = self._process.communicate(timeout=2 * PATIENCE_S)
        if kind is None:
            self.report = _parse(told)


@contextlib.contextmanager
def beside(ws_url: str, count: int) -> Iterator[Neighbours]:
    """Neighbours of whatever happens meanwhile.

    Raises:
        AssertionError: they came to harm.
    """
    with Neighbours(ws_url, count) as neighbours:
        yield neighbours
    assert neighbours.report.unharmed, neighbours.report


def _parse(told: str) -> Report:
    found: dict[str, Any] = json.loads(told)
    trips = {name: Latency(**trip) for name, trip in found.pop("round_trips").items()}
    return Report(**found, round_trips=trips)


# The process -----------------------------------------------------------------------------------------------


class Street:
    """Where they all live."""

    def __init__(self, url: str, count: int) -> None:
        self.report = Report(count)
        self.over = asyncio.Event()
        self.began = time.monotonic()
        self._url = f"{url}?sample_rate={RATE}&features=tone,queue"
        self._trips: defaultdict[str, Samples] = defaultdict(Samples)
        self._phase = _FIRST
        speech = speech_like(RATE)
        self._frames = [speech[at : at + _FRAME] for at in range(0, len(speech) - _FRAME + 1, _FRAME)]
        self._welcome = 0

    def listen(self, line: str) -> None:
        """What the attacker says."""
        if line:
            self._phase = line.strip()
        else:
            self.over.set()

    async def live(self) -> Report:
        """All of them, until `over`."""
        await asyncio.gather(*(self._neighbour(n) for n in range(self.report.neighbours)))
        for name, trips in self._trips.items():
            found = trips.distribution()
            if found is not None:
                self.report.round_trips[name] = found
        return self.report

    async def _neighbour(self, number: int) -> None:
        offered = [Subprotocol("undertone.v1.json")]
        await asyncio.sleep(number * FRAME_S / self.report.neighbours)  # not all in one breath
        try:
            async with connect(self._url, subprotocols=offered, compression=None, proxy=None) as socket:
                await socket.recv()
                self._welcome += 1
                if self._welcome == self.report.neighbours:
                    print(_HERE, flush=True)
                await self._converse(socket, number)
        except (OSError, TimeoutError, ConnectionClosed) as error:
            self.report.lost += 1
            self.report.complaints.append(str(error))

    async def _converse(self, socket: ClientConnection, number: int) -> None:
        listening = asyncio.create_task(self._hear(socket))
        try:
            await self._speak(socket, number)
            async with asyncio.timeout(PATIENCE_S):
                await socket.send('{"type":"end"}')
                await listening
        finally:
            listening.cancel()

    async def _speak(self, socket: ClientConnection, number: int) -> None:
        began, sent = time.monotonic(), 0
        while not self.over.is_set():
            await socket.send(self._frames[(number * 7 + sent) % len(self._frames)])
            sent += 1
            self.report.sent_samples += _FRAME // 2
            if sent % PING_EVERY == 0:
                self.report.pings += 1
                await socket.send(json.dumps({"type": "ping", "t": time.monotonic()}))
            await asyncio.sleep(began + sent * FRAME_S - time.monotonic())

    async def _hear(self, socket: ClientConnection) -> None:
        """Until `summary`, which is the last word."""
        async for message in socket:
            event = json.loads(message)
            match event["type"]:
                case "pong":
                    now = time.monotonic()
                    self.report.pongs += 1
                    self._trips[self._phase].add(now - event["t"], now - self.began)
                case "gap":
                    self.report.gap_samples += event["end_sample"] - event["start_sample"]
                case "error":
                    self.report.complaints.append(event["code"])
                case "summary":
                    self.report.received_samples += event["received_samples"]
                    return
        raise ConnectionError("closed without a summary")


async def _main(url: str, count: int) -> None:
    street = Street(url, count)
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, lambda: street.listen(sys.stdin.readline()))
    report = await street.live()
    loop.remove_reader(sys.stdin)
    print(json.dumps(asdict(report)), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
