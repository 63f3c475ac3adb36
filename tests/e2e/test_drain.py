"""SIGTERM under live sessions: what each peer is told, what becomes of its audio, and how soon it is over."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable

import httpx
import pytest
from websockets.asyncio.client import ClientConnection as Socket
from websockets.exceptions import InvalidStatus

from protocol.codec import decode_event
from protocol.events import Drain, Gap, GapReason, Pong, Summary, Tone
from protocol.version import Encoding
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import Said, dial, errors, only, rest, run, say, seqs, until, welcomed

SLOW = "tests.chaos.slow_gateway"
FRAME = bytes(3_200)
"""100 ms."""
SHORT: dict[str, object] = {"window_ms": 500, "hop_ms": 500}
GRACE_S = 4
EXIT_S = 2.0
"""What a process may take to end beyond its grace, on a machine that has other things to do as well."""


async def talk(socket: Socket, sent: list[int]) -> None:
    """Speak in real time until the connection ends, counting samples."""
    with contextlib.suppress(Exception):
        while True:
            await socket.send(FRAME)
            sent[0] += 1_600
            await asyncio.sleep(0.1)


async def drain_begins(gateway: GatewayProcess) -> httpx.Response:
    """Wait until the node is not ready; returns the answer that says so."""
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(500):
            answer = await client.get(f"{gateway.url}/readyz")
            if answer.status_code == 503:
                return answer
            await asyncio.sleep(0.01)
    pytest.fail("it stays ready")


def covered(heard: list[Said]) -> int:
    """Samples that the tones and the gaps heard account for, one after the other without a hole."""
    at = 0
    for event in heard:
        if isinstance(event, Tone | Gap):
            assert event.start_sample == at
            at = event.end_sample or 0
    return at


def voice(seconds: float) -> bytes:
    """Somebody speaks, so that each window has its tone."""
    return pcm(speech()[: round(seconds * 16_000)])


def test_everybody_is_told_and_nothing_is_lost(launch: Callable[..., GatewayProcess]) -> None:
    """Thirty live sessions, one that has just said `end`, and one watched over SSE.

    Each gets `drain`, the events of all audio that was taken in, and 1012; the one that ended its summary
    and 1000. The times at which they are to come back differ.
    """
    running = launch(TRANSCRIBER="none", RECONNECT_URL="wss://next.example.org/ws/voice")
    lines: list[str] = []

    async def watch(session_id: str, opened: asyncio.Event) -> None:
        url = f"{running.url}/api/v1/sessions/{session_id}/events"
        async with (
            httpx.AsyncClient(trust_env=False, timeout=20) as client,
            client.stream("GET", url) as said,
        ):
            opened.set()
            lines.extend([line async for line in said.aiter_lines()])

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(dial(running)) for _ in range(31)]
            welcomes = [await welcomed(one) for one in sockets]
            talking = [asyncio.create_task(talk(one, [0])) for one in sockets[:30]]
            opened = asyncio.Event()
            watching = asyncio.create_task(watch(welcomes[0].session_id, opened))
            await opened.wait()
            await asyncio.sleep(1.3)
            await sockets[30].send(bytes(16_000))
            await say(sockets[30], "end")
            running.process.send_signal(signal.SIGTERM)
            outcomes = await asyncio.gather(*(rest(one) for one in sockets))
            await watching
            await asyncio.gather(*talking)
        waits = set()
        for heard, code in outcomes[:30]:
            assert code == 1012
            drain = only(heard, Drain)
            assert drain.reconnect_url == "wss://next.example.org/ws/voice"
            waits.add(drain.retry_after_ms)
            assert not [event for event in heard if isinstance(event, Gap)]
            numbers = seqs(heard)
            assert numbers == list(range(1, len(numbers) + 1))
        assert len(waits) > 10
        assert min(waits) >= 250
        heard, code = outcomes[30]
        assert code == 1000
        assert only(heard, Summary).classified_samples == 8_000

    run(main())
    assert running.process.wait(10) == 0
    told = lines[lines.index("event: drain") + 1].removeprefix("data: ")
    drain = decode_event(told, Encoding.JSON)
    assert isinstance(drain, Drain)
    assert f"retry: {drain.retry_after_ms}" in lines
    assert not [line for line in running.log if "Traceback" in line]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_all_audio_taken_in_is_accounted_for(
    launch: Callable[..., GatewayProcess], number: signal.Signals
) -> None:
    """The events reach exactly to the sample from which the client would go on, in a shortened window;
    also where a terminal closes."""
    running = launch(TRANSCRIBER="none")

    async def main() -> None:
        async with dial(running, {"window_ms": 1_000, "hop_ms": 1_000}) as socket:
            await welcomed(socket)
            await socket.send(voice(1.3) + b"\0")  # and half a sample, which counts for nothing
            await say(socket, "ping", t=1)
            heard = await until(socket, Pong)
            running.process.send_signal(number)
            more, code = await rest(socket)
            assert code == 1012
            assert covered([*heard, *more]) == 20_800
            assert not errors(more), "half a sample is sent again as a whole"

    run(main())
    assert running.process.wait(10) == 0


def test_while_it_drains_it_answers(launch: Callable[..., GatewayProcess]) -> None:
    """Alive but not ready; whoever comes is told to come later, in words; who asks can still read."""
    running = launch(SLOW, "--call-s", "1", TRANSCRIBER="none", DRAIN_GRACE_S=str(GRACE_S))

    async def main() -> None:
        async with dial(running) as socket, httpx.AsyncClient(trust_env=False) as client:
            welcome = await welcomed(socket)
            half_asked = socket_with_half_a_request(running)
            await socket.send(voice(1.6))
            running.process.send_signal(signal.SIGTERM)
            answer = await drain_begins(running)
            assert answer.json()["checks"]["node"] == "draining"
            assert answer.headers["connection"] == "close"
            assert (await client.get(f"{running.url}/healthz")).status_code == 200
            assert (await client.get(f"{running.url}/metrics")).status_code == 200
            path = f"{running.url}/api/v1/sessions/{welcome.session_id}"
            assert (await client.get(path)).status_code == 200
            created = await client.post(f"{running.url}/api/v1/sessions")
            assert (created.status_code, created.json()["code"]) == (503, "draining")
            assert int(created.headers["retry-after"]) >= 1
            for query in ({}, {"session_id": welcome.session_id}):
                with pytest.raises(InvalidStatus) as refused:
                    async with dial(running, dict(query)):
                        pass
                assert refused.value.response.status_code == 503
                assert int(refused.value.response.headers["retry-after"]) >= 1
            assert (await asyncio.to_thread(rest_of_request, half_asked)).startswith(b"HTTP/1.1 503")
            heard, code = await rest(socket)
            assert code == 1012
            assert only(heard, Drain).reconnect_url is None
            assert not [event for event in heard if isinstance(event, Gap)]
            assert covered(heard) == 25_600

    run(main())
    assert running.process.wait(10) == 0


def socket_with_half_a_request(gateway: GatewayProcess) -> socket.socket:
    """A peer whose handshake is under way."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    peer = socket.create_connection((host, int(port)), timeout=10)
    peer.sendall(b"GET /ws/voice HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n")
    return peer


def rest_of_request(peer: socket.socket) -> bytes:
    """The answer once the peer has said the rest."""
    with peer:
        peer.sendall(
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        return peer.recv(4_096)


@pytest.mark.parametrize("hurried", [False, True])
def test_what_a_stuck_classifier_owes_is_declared(
    launch: Callable[..., GatewayProcess], hurried: bool
) -> None:
    """Within the grace, or at once where a second signal comes: one gap for each session, then 1012."""
    running = launch(
        *(SLOW, "--trouble", "stuck", "--at-once"), TRANSCRIBER="none", DRAIN_GRACE_S="30" if hurried else "3"
    )

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(dial(running, SHORT)) for _ in range(20)]
            for one in sockets:
                await welcomed(one)
                await one.send(FRAME * 12)
                await say(one, "ping", t=1)
                await until(one, Pong)
            started = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            if hurried:
                await drain_begins(running)
                running.process.send_signal(signal.SIGTERM)
            outcomes = await asyncio.gather(*(rest(one) for one in sockets))
            assert await asyncio.to_thread(running.process.wait, 10) == 0
            assert time.monotonic() - started < (10 if hurried else 3 + EXIT_S)
        for heard, code in outcomes:
            assert code == 1012
            gaps = [event for event in heard if isinstance(event, Gap)]
            assert [(gap.start_sample, gap.end_sample, gap.reason) for gap in gaps] == [
                (0, 19_200, GapReason.DRAIN)
            ]
            only(heard, Drain)

    run(main())


def test_a_reader_that_does_not_read_keeps_nobody(launch: Callable[..., GatewayProcess]) -> None:
    """Nor does a socket that says nothing: the process is gone within its grace, with status 0."""
    running = launch(TRANSCRIBER="none", DRAIN_GRACE_S=str(GRACE_S))
    host, _, port = running.url.removeprefix("http://").partition(":")

    async def main() -> None:
        with socket.create_connection((host, int(port))):
            async with dial(running, SHORT, max_queue=1) as deaf:
                await welcomed(deaf)
                deaf.transport.pause_reading()
                await deaf.send(FRAME * 10)
                await asyncio.sleep(0.5)
                started = time.monotonic()
                running.process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(running.process.wait, 10) == 0
                assert time.monotonic() - started < GRACE_S + EXIT_S
                deaf.transport.abort()

    run(main())


def half_asked(gateway: GatewayProcess) -> socket.socket:
    """A peer that keeps the end of its request's body to itself."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    peer = socket.create_connection((host, int(port)), timeout=10)
    peer.sendall(
        b"POST /api/v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )
    return peer


@pytest.mark.parametrize("hurried", [False, True])
def test_while_it_waits_for_somebody_it_answers(launch: Callable[..., GatewayProcess], hurried: bool) -> None:
    """One request that never ends: whoever comes meanwhile hears that the node goes away. A second signal
    shortens that to a second. Nothing of it is worth a traceback."""
    running = launch(TRANSCRIBER="none", DRAIN_GRACE_S="30" if hurried else str(GRACE_S))

    async def main() -> None:
        answers: list[bool] = []
        with half_asked(running):
            await asyncio.sleep(0.3)
            running.process.send_signal(signal.SIGTERM)
            await drain_begins(running)
            started = time.monotonic()
            if hurried:
                running.process.send_signal(signal.SIGTERM)
            async with httpx.AsyncClient(trust_env=False) as client:
                while running.process.poll() is None:
                    try:
                        answers.append((await client.get(f"{running.url}/healthz")).is_success)
                    except httpx.TransportError:
                        answers.append(False)
                    await asyncio.sleep(0.05)
            assert time.monotonic() - started < (10 if hurried else GRACE_S + EXIT_S)
        answered = sum(answers)
        assert answered >= 3
        assert all(answers[:answered]), "somebody was refused before the door was shut"

    run(main())
    assert running.process.wait(10) == 0
    assert "Traceback" not in "\n".join(running.log)


def test_a_third_signal_waits_for_nobody(launch: Callable[..., GatewayProcess]) -> None:
    """What it cuts off is not worth a traceback."""
    running = launch(TRANSCRIBER="none", DRAIN_GRACE_S="30", LOG_FORMAT="text")

    async def main() -> None:
        with half_asked(running):
            async with dial(running, SHORT, max_queue=1) as deaf:
                await welcomed(deaf)
                deaf.transport.pause_reading()
                await asyncio.sleep(0.3)
                started = time.monotonic()
                for _ in range(3):
                    running.process.send_signal(signal.SIGTERM)
                    await asyncio.sleep(0.1)
                assert await asyncio.to_thread(running.process.wait, 10) == 0
                assert time.monotonic() - started < 2
                deaf.transport.abort()

    run(main())
    assert "Traceback" not in "\n".join(running.log)
