"""A whole cluster on this machine, broken part by part while it works: `make cluster`.

Starts Valkey (or Redis), PostgreSQL, a sidecar, two gateways and a proxy, streams a call through the proxy in
several sessions, and ends each part in turn: gateways and sidecar as in a crash, the stores for a while, then
both gateways in good order. Ends with 0 where every session's ledger adds up, 1 where one doesn't, 2 where a
part is missing.

    python -m scripts.cluster [--short] [--sessions N] [--proxy nginx|own]
"""

import argparse
import asyncio
import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from gateway.commands import demo_audio
from gateway.commands.pace import Pacer
from protocol.client import Client, ClientError, connect
from scripts.cluster import parts
from scripts.cluster.balancer import Balancer
from scripts.cluster.ledger import Ledger
from scripts.cluster.parts import Missing, Part

LIMIT_S = 100.0
"""Seconds for the sessions; the parts start and end within a few more."""
FRAME = 1_600
"""Samples of 100 ms."""
RATE = 16_000
DOWN_S = 3.0
"""Seconds that a part is away which was killed."""
STOPPED_S = 5.0
"""Seconds that a store is stopped."""
CALM_S = 3.0
"""Between two faults."""
OPEN_S = 30.0
SUMMARY_S = 30.0


class Show:
    """Lines with the time, as things happen."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, line: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {line}", flush=True)


class Cluster:
    """The parts, by name, in the order in which they start."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, proxy: str | None) -> None:
        ports = [parts.free_port() for _ in range(6)]
        store, database, sidecar, first, second, self.port = ports
        self.store = parts.store(folder, store)
        self.database = parts.database(folder, database)
        shared = {
            "STORE": f"valkey://127.0.0.1:{store}",
            "DATABASE_URL": parts.database_url(database),
            "CLASSIFIER": "remote",
            "CLASSIFIER_URL": f"http://127.0.0.1:{sidecar}",
            "TRANSCRIBER": "none",
            "DRAIN_GRACE_S": "8",
        }
        classify = ("classify", "--workers", "1")
        self.sidecar = parts.undertone("the sidecar", classify, folder, sidecar, {})
        self.gateways = [
            parts.undertone(f"gateway {letter}", ("serve",), folder, port, shared | {"NODE_NAME": letter})
            for letter, port in (("A", first), ("B", second))
        ]
        self.proxy = None if proxy == "own" else parts.nginx(folder, self.port, (first, second))
        if self.proxy is None and proxy == "nginx":
            raise Missing("nginx is missing; --proxy own does without")
        nodes = [("127.0.0.1", port) for port in (first, second)]
        self.balancer = None if self.proxy is not None else Balancer(lambda: nodes, self.port)
        for part in self:
            stack.callback(part.stop)

    def __iter__(self) -> Iterator[Part]:
        yield from (self.store, self.database, self.sidecar, *self.gateways)
        if self.proxy is not None:
            yield self.proxy

    def start(self) -> None:
        """All of them: first what the gateways need. Raises Missing."""
        needed, others = (self.store, self.database), (self.sidecar, *self.gateways, self.proxy)
        for some in (needed, others):
            for part in some:
                if part is not None:
                    part.launch()
            for part in some:
                if part is not None:
                    part.wait_ready()


async def away(part: Part, how: Callable[[], None], what: str, seconds: float, show: Show) -> None:
    """End a part, and start it again after `seconds`."""
    show(f"-- {part.name} {what}")
    await asyncio.to_thread(how)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(part.start)
    show(f"-- {part.name} is back")
    await asyncio.sleep(CALM_S)


def story(cluster: Cluster, show: Show, *, short: bool) -> Sequence[Callable[[], Awaitable[None]]]:
    """What happens, in order."""
    first, second = cluster.gateways

    def killed(part: Part) -> Callable[[], Awaitable[None]]:
        return lambda: away(part, part.kill, "is killed", DOWN_S, show)

    def stopped(part: Part, seconds: float) -> Callable[[], Awaitable[None]]:
        return lambda: away(part, part.stop, "is stopped", seconds, show)

    if short:
        return [killed(first), stopped(cluster.store, DOWN_S), stopped(second, 0.0)]
    return [
        killed(first),
        killed(second),
        killed(cluster.sidecar),
        stopped(cluster.store, STOPPED_S),
        stopped(cluster.database, STOPPED_S),
        stopped(first, 0.0),
        stopped(second, 0.0),
    ]


async def speak(client: Client, ledger: Ledger, over: asyncio.Event) -> None:
    """The sample call, again and again in real time, until it is `over`; then `end`."""
    call = demo_audio.build().samples
    frames = [call[at : at + FRAME].tobytes() for at in range(0, len(call) - FRAME, FRAME)]
    pacer = Pacer(RATE)
    for frame in itertools.cycle(frames):
        if over.is_set():
            break
        await pacer.until(ledger.sent)
        await client.send(frame)
        ledger.sent += FRAME
    async with asyncio.timeout(SUMMARY_S):
        await client.end()


async def attend(url: str, ledger: Ledger, over: asyncio.Event, opened: asyncio.Event) -> str | None:
    """One session from its first sample to its summary; what went wrong with it, if anything."""
    try:
        async with connect(url, open_timeout=OPEN_S) as client:
            opened.set()
            ledger.begin(client.welcome)
            speaking = asyncio.create_task(speak(client, ledger, over))
            try:
                async for event in client:
                    ledger.take(event)
                await speaking
            finally:
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)
    except (ClientError, TimeoutError) as error:
        return f"session {ledger.number}: {str(error) or type(error).__name__}"
    finally:
        opened.set()
    return None


async def play(cluster: Cluster, show: Show, sessions: int, *, short: bool) -> list[str]:
    """The whole story; what doesn't add up."""
    over, url = asyncio.Event(), f"ws://127.0.0.1:{cluster.port}/ws/voice"
    ledgers = [Ledger(number + 1, show) for number in range(sessions)]
    opened = [asyncio.Event() for _ in ledgers]
    async with cluster.balancer or contextlib.nullcontext(), asyncio.timeout(LIMIT_S):
        running = [
            asyncio.create_task(attend(url, ledger, over, one))
            for ledger, one in zip(ledgers, opened, strict=True)
        ]
        for one in opened:
            await one.wait()
        show(f"{sessions} sessions speak")
        await asyncio.sleep(CALM_S)
        for step in story(cluster, show, short=short):
            await step()
        over.set()
        failed = await asyncio.gather(*running)
    for ledger in ledgers:
        show(ledger.row())
    wrong = [f"session {ledger.number}: {one}" for ledger in ledgers for one in ledger.wrong()]
    return [*filter(None, failed), *wrong]


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Start, play, clean up. Ctrl-C ends it, and a second one the waiting for parts."""
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        return 130


def _main(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a part of the story, in half a minute")
    parser.add_argument(
        "--sessions", type=_at_least_one, default=4, metavar="N", help="sessions that speak (default 4)"
    )
    parser.add_argument("--proxy", choices=("nginx", "own"), help="default: nginx where it is installed")
    given = parser.parse_args(arguments)
    show = Show()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="undertone-cluster-")))
        try:
            cluster = Cluster(folder, stack, given.proxy)
            cluster.start()
            show("all parts are up, behind " + ("nginx" if cluster.proxy is not None else "a balancer"))
            wrong = asyncio.run(play(cluster, show, given.sessions, short=given.short))
        except Missing as error:
            print(error, file=sys.stderr)
            return 2
        except TimeoutError:
            wrong = [f"it was not done within {LIMIT_S:.0f} s"]
    for one in wrong:
        print(f"WRONG  {one}")
    print("nothing was lost silently, nothing came twice" if not wrong else f"{len(wrong)} things are wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
