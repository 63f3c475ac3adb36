"""Peers that don't read, or are gone without a word: each is let go in time, and loses nothing.

What they wait for takes half a minute of real time, so they all wait at once (`evening`).
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from websockets.asyncio.client import ClientConnection as Socket
from websockets.exceptions import ConnectionClosed

from protocol.close import NO_CLOSE_FRAME
from tests.chaos.callers import AUDIO, Voice
from tests.chaos.footprint import Footprint, footprint, gauges
from tests.chaos.history import History, Visit
from tests.chaos.ledger import audit
from tests.chaos.proxy import Link, Proxy
from tests.e2e.conftest import GatewayProcess, start_gateway
from tests.e2e.wire import dial, errors, rest, say, welcomed

EACH = 3
"""Peers of a kind."""
FREED_S = 30.0
HELD_BYTES = 1024 * 1024
TIGHT = 4_096
"""Bytes of receive buffer: soon full."""
FORMAT: dict[str, object] = {"sample_rate": AUDIO.sample_rate}
BUSY: dict[str, object] = {**FORMAT, "window_ms": 200, "hop_ms": 100}
"""An event at least every 100 ms of audio."""
VOICE = Voice()


@dataclass
class Evening:
    """What became of them."""

    base: Footprint
    most_rss: int = 0
    seconds: float = 0.0
    """Until nothing was left of the deaf ones."""
    replaced: History = field(default_factory=History)
    old_errors: list[str] = field(default_factory=list)
    """What the socket that was replaced was told in the end."""
    old_code: int = 0


# Peers -----------------------------------------------------------------------------------------------------


async def talk(socket: Socket, seconds: float, visit: Visit | None = None, speed: float = 1.0) -> None:
    """Speak, `speed` times as fast as people do."""
    step = AUDIO.sample_rate // 10
    at = visit.said_to if visit is not None else 0
    for start in range(at, at + round(seconds * 10) * step, step):
        pcm = VOICE.pcm(start, start + step)
        if visit is not None:
            visit.audio(pcm)
        await socket.send(pcm)
        await asyncio.sleep(0.1 / speed)


async def silent(socket: Socket, link: Link) -> None:
    """Says nothing and reads nothing."""
    link.down.shut_window()


async def talking(socket: Socket, link: Link) -> None:
    """Speaks on, and reads nothing."""
    link.down.shut_window()
    await talk(socket, 60)


async def ponging(socket: Socket, link: Link) -> None:
    """Looks alive: sends a pong every second that nobody asked for, and reads nothing."""
    link.down.shut_window()
    while True:
        await socket.pong(random.randbytes(4))
        await asyncio.sleep(1)


async def gone(socket: Socket, link: Link) -> None:
    """Is there no more, and its network doesn't say so."""
    link.forget()


KINDS = (silent, talking, ponging, gone)


def through(gateway: GatewayProcess, proxy: Proxy) -> GatewayProcess:
    """The same gateway at the proxy's address."""
    return GatewayProcess(gateway.process, f"http://127.0.0.1:{proxy.port}")


# The evening -----------------------------------------------------------------------------------------------


async def deaf_peers(gateway: GatewayProcess, proxy: Proxy, evening: Evening) -> None:
    """Wait until the gateway has let go of all of them."""
    loop = asyncio.get_running_loop()
    acting = []
    for kind in KINDS:
        for _ in range(EACH):
            socket = await dial(through(gateway, proxy), BUSY)
            await welcomed(socket)
            acting.append(asyncio.create_task(kind(socket, proxy.links[-1])))
    began = loop.time()
    while loop.time() - began < 2 * FREED_S:
        now = footprint(gateway.pid)
        evening.most_rss = max(evening.most_rss, now.rss)
        if now.descriptors <= evening.base.descriptors and not await asyncio.to_thread(owners, gateway):
            break
        await asyncio.sleep(0.25)
    evening.seconds = loop.time() - began
    for task in acting:
        task.cancel()
    for outcome in await asyncio.gather(*acting, return_exceptions=True):
        assert outcome is None or isinstance(outcome, asyncio.CancelledError | ConnectionClosed), outcome


async def replaced(gateway: GatewayProcess, proxy: Proxy, evening: Evening) -> None:
    """In a tunnel the phone opens another socket; when the tunnel ends the old one is told."""
    history = evening.replaced = History(VOICE.pcm)
    visit = history.visit()
    socket = await dial(through(gateway, proxy), FORMAT)
    link = proxy.links[-1]
    visit.heard(await welcomed(socket))
    await talk(socket, 2.5, visit, speed=2)
    link.stall()
    await talk(socket, 1, visit, speed=2)
    visit.closed(NO_CLOSE_FRAME)
    await come_back(gateway, history)
    link.flow()
    heard, evening.old_code = await rest(socket)
    evening.old_errors = errors(heard)


async def come_back(gateway: GatewayProcess, history: History) -> None:
    """Resume on a new socket, send again what the server lacks, and end the session."""
    lost, welcome = history.visits[-1], history.visits[-1].welcome
    assert welcome is not None
    after = max((event.seq for event in lost.durable), default=0)
    query = {"session_id": welcome.session_id, "epoch": welcome.epoch, "after": after}
    visit = history.visit(after, welcome.epoch)
    async with dial(gateway, query, welcome.resume_token) as socket:
        back = await welcomed(socket)
        visit.heard(back)
        await talk(socket, (lost.said_to - back.next_sample) / AUDIO.sample_rate + 1, visit, speed=2)
        await say(socket, "end")
        heard, code = await rest(socket)
        for event in heard:
            visit.heard(event)
        visit.closed(code)


def owners(gateway: GatewayProcess) -> float:
    """Sockets that the gateway takes for owners of a session."""
    return gauges(gateway.url).get('undertone_readers{role="owner"}', 0.0)


@pytest.fixture(scope="module")
def evening() -> Iterator[Evening]:
    gateway = start_gateway(TRANSCRIBER="none")

    async def main() -> Evening:
        port = int(gateway.url.rpartition(":")[2])
        async with asyncio.timeout(100), Proxy(port, receive_buffer=TIGHT) as proxy:
            await asyncio.to_thread(owners, gateway)
            seen = Evening(footprint(gateway.pid))
            await replaced(gateway, proxy, seen)
            await deaf_peers(gateway, proxy, seen)
        return seen

    try:
        yield asyncio.run(main())
    finally:
        gateway.stop()
    assert not [line for line in gateway.log if "Traceback" in line]


def test_a_peer_that_does_not_read_is_gone_in_time(evening: Evening) -> None:
    """With its descriptor, whatever it still sends; and nothing of note is kept for it meanwhile."""
    held = evening.most_rss - evening.base.rss
    print(f"{EACH * len(KINDS)} peers: gone after {evening.seconds:.1f} s, {held / 1024:.0f} KiB held")
    assert evening.seconds <= FREED_S
    assert held <= EACH * len(KINDS) * HELD_BYTES


def test_a_half_open_socket_does_not_stand_in_the_way(evening: Evening) -> None:
    """Its successor takes the session over; what the old one sent and was not heard is sent again."""
    assert audit(evening.replaced) == []
    assert len(evening.replaced.visits) == 2
    assert (evening.old_errors, evening.old_code) == (["replaced"], 4005)
