"""Who has left leaves nothing for the garbage collector: what is gone is freed at once.

Memory that waits for a collection is memory that newcomers don't get: at a hundred sessions a minute the
process would grow by what the collector has not looked at yet, and its heap would never be whole again.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.chaos.callers import Account, Speaker, Voice, crowd
from tests.chaos.floods import FLOODS, flood
from tests.chaos.footprint import gauges
from tests.chaos.proxy import Proxy
from tests.chaos.raw import RawPeer, upgrade
from tests.chaos.storm import Storm
from tests.e2e.conftest import GatewayProcess
from tests.e2e.older import CHUNK, Listener, microphone, rest, speak
from tests.e2e.wire import dial, say, welcomed

LITTER = "tests.chaos.litter"
WAIT_S = 20.0
FORGETFUL = {"TRANSCRIBER": "none", "CLOSED_RETENTION_S": "0", "SESSION_DETACHED_TTL_S": "1"}
"""Settings with which nothing is kept for who may come back."""


async def everybody(gateway: GatewayProcess) -> None:
    """One of each kind."""
    storm = Storm(seed=5, every_s=(0.5, 1.0))
    async with Proxy(gateway.port, script=storm) as proxy:
        account = Account.of(await crowd([Speaker(proxy.ws_url, 2.0, Voice()) for _ in range(3)], 0.2))
    assert account.resumes, "nobody was cut"
    await replaced(gateway)
    for kind in ("empty pings", "audio", "empty texts", "audio past its limit", "closes", "garbage"):
        await asyncio.to_thread(flood, gateway.port, FLOODS[kind])
    await asyncio.to_thread(pages, gateway)
    await asyncio.to_thread(refused, gateway)


async def replaced(gateway: GatewayProcess) -> None:
    """Two owners, and an observer."""
    async with dial(gateway) as first:
        session_id = (await welcomed(first)).session_id
        async with dial(gateway, {"session_id": session_id}) as second:
            await second.send(bytes(64_000))
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await first.recv()
            async with dial(gateway, {"session_id": session_id, "role": "observer"}) as observer:
                await welcomed(observer)
                await say(second, "flush", id="1")
                await say(second, "end")
                for socket in (second, observer):
                    with contextlib.suppress(ConnectionClosed):
                        while True:
                            await socket.recv()


def pages(gateway: GatewayProcess) -> None:
    """Requests: a kept connection, problems, a stream that is read to its end."""
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=10) as client:
        session = client.post("/api/v1/sessions").json()["id"]
        with client.stream("GET", f"/api/v1/sessions/{session}/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            httpx.delete(f"{gateway.url}/api/v1/sessions/{session}", trust_env=False)
            assert list(lines)
        assert client.get("/api/v1/sessions/nobody").status_code == 404
        assert client.post("/api/v1/sessions", content=b"{").status_code == 415


def leave_early(gateway: GatewayProcess, path: str) -> None:
    """A stream that is left while it lasts."""
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=10) as client:
        session = client.post("/api/v1/sessions").json()["id"]
        with client.stream("GET", path.format(session)) as stream:
            next(stream.iter_lines())
        client.delete(f"/api/v1/sessions/{session}")


async def older(gateway: GatewayProcess) -> None:
    """Clients of the older routes: sockets lost, replaced, flooding; a stream that is read to its end."""
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=10) as client:
        session = (await client.post("/session/start")).json()["session_id"]
        listener = Listener(gateway, session)
        await listener.ready.wait()
        async with microphone(gateway, session) as lost:
            await speak(lost, bytes(CHUNK))
            lost.transport.abort()
        async with microphone(gateway, session) as first, microphone(gateway, session) as second:
            await rest(first)
            await speak(second, bytes(32_000))
            await second.send("no audio")
            for _ in range(10):
                await second.send(bytes(32_000))
            assert (await rest(second))[-1]["error"] == "flood"
        async with microphone(gateway, session) as last, microphone(gateway, "nobody") as stranger:
            await rest(stranger)
            await client.delete(f"/session/{session}/end")
            await rest(last)
        await listener.task


def refused(gateway: GatewayProcess) -> None:
    """Requests that are none, and handshakes that get no WebSocket."""
    for request in (
        b"nonsense\r\n\r\n",
        b"GET /" + bytes(20_000),
        upgrade(changes={"Origin": "https://elsewhere.example"}),
        upgrade(changes={"Sec-WebSocket-Version": "7"}),
        upgrade("/ws/voice?sample_rate=7"),
        upgrade("/ws/voice?session_id=nobody"),
        upgrade("/ws/nowhere"),
    ):
        with RawPeer(gateway.port) as peer:
            peer.send(request)
            peer.handshake()


def forgotten(gateway: GatewayProcess) -> None:
    """Wait until nobody is there."""
    until = time.monotonic() + WAIT_S
    while any(count for name, count in gauges(gateway.url).items() if name.startswith("undertone_sessions{")):
        assert time.monotonic() < until, "sessions are left"
        time.sleep(0.1)
    time.sleep(1)  # as long as the stream's disconnect and idle connections may take


def litter(gateway: GatewayProcess) -> Mapping[str, int]:
    """What a collection would have had to do."""
    gateway.process.send_signal(signal.SIGUSR2)
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        gauges(gateway.url)  # a process that sleeps in its event loop looks at signals when it wakes up
        for record in gateway.records():
            found = record.get("litter")
            if isinstance(found, dict):
                return found
        time.sleep(0.1)
    raise AssertionError("it was never told")


def left_by(running: GatewayProcess, visit: Callable[[], None]) -> Mapping[str, int]:
    """What `visit` leaves behind. It is made twice: what is made once, is made the first time."""
    visit()
    forgotten(running)
    running.process.send_signal(signal.SIGUSR1)
    gauges(running.url)
    visit()
    forgotten(running)
    return litter(running)


def test_nothing_is_left_to_collect(launch: Callable[..., GatewayProcess]) -> None:
    """Whoever comes and goes, and however."""
    running = launch(LITTER, **FORGETFUL)
    assert left_by(running, lambda: asyncio.run(everybody(running))) == {}


def test_older_clients_leave_nothing_either(launch: Callable[..., GatewayProcess]) -> None:
    """Their sockets come and go within a session, and its stream ends with it."""
    running = launch(LITTER, **FORGETFUL)
    assert left_by(running, lambda: asyncio.run(older(running))) == {}


@pytest.mark.parametrize("stream", ["/api/v1/sessions/{}/events", "/session/{}/stream"])
def test_a_stream_left_early_keeps_no_session(launch: Callable[..., GatewayProcess], stream: str) -> None:
    """The traceback of its cancellation keeps the stream itself; the rest is gone."""
    running = launch(LITTER, **FORGETFUL)
    left = left_by(running, lambda: leave_early(running, stream))
    assert not {"gateway.live.session.LiveSession", "gateway.live.pipeline.Pipeline"} & set(left)
