"""Each way to get it wrong has one typed error, and where final one close code; neighbours notice nothing."""

import asyncio
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.e2e.conftest import GatewayProcess

JSON = ["undertone.v1.json"]


class Peer:
    """A bare WebSocket client that keeps every event."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []

    async def control(self, **message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def until(self, kind: str) -> dict[str, Any]:
        """The next event of `kind`."""
        while True:
            event: dict[str, Any] = json.loads(await self.socket.recv())
            self.events.append(event)
            if event["type"] == kind:
                return event

    async def closed(self) -> tuple[int, str]:
        """The close code, and the last error's code."""
        try:
            while True:
                self.events.append(json.loads(await self.socket.recv()))
        except ConnectionClosed:
            pass
        codes = [event["code"] for event in self.events if event["type"] == "error"]
        return self.socket.close_code or 0, codes[-1] if codes else ""


def talk(
    gateway: GatewayProcess, steps: Callable[[Peer], Awaitable[None]], query: str = "", **options: Any
) -> None:
    """Run `steps` over one connection."""

    async def main() -> None:
        options.setdefault("subprotocols", JSON)
        async with (
            asyncio.timeout(20),
            connect(f"{gateway.ws_url}{query}", compression=None, proxy=None, **options) as socket,
        ):
            await steps(Peer(socket))

    asyncio.run(main())


def refused(gateway: GatewayProcess, query: str, **options: Any) -> tuple[int, str]:
    """The close code and error of a connection that is accepted only to be told why not."""
    outcome: list[tuple[int, str]] = []

    async def steps(peer: Peer) -> None:
        outcome.append(await peer.closed())

    talk(gateway, steps, query, **options)
    return outcome[0]


def test_an_unknown_session_is_not_found(gateway: GatewayProcess) -> None:
    """4004, whatever the id looks like."""
    assert refused(gateway, "?session_id=nobody") == (4004, "session_not_found")
    assert refused(gateway, "?session_id=" + "a" * 4_000) == (4004, "session_not_found")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?encoding=opus", "invalid_field"),
        ("?sample_rate=96000", "invalid_field"),
        ("?sample_rate=x", "invalid_field"),
        ("?channels=3", "invalid_field"),
        ("?samplerate=8000", "invalid_field"),
        ("?hop_ms=2000&window_ms=1000", "invalid_field"),
        ("?role=boss", "invalid_field"),
        ("?role=observer", "invalid_field"),
    ],
)
def test_a_wrong_query_is_told(gateway: GatewayProcess, query: str, code: str) -> None:
    """4008 and the parameter's name: a misspelt one too, or 8 kHz would be heard as 16."""
    assert refused(gateway, query) == (4008, code)


def test_unknown_subprotocols_are_refused(gateway: GatewayProcess) -> None:
    """A client that speaks none of ours is told in msgpack's stead by the close code at least."""

    async def main() -> int | None:
        async with connect(gateway.ws_url, subprotocols=["other.v9"], proxy=None) as socket:  # type: ignore[list-item]
            await socket.wait_closed()
            return socket.close_code

    assert asyncio.run(main()) == 4008


def test_a_wrong_ticket_is_unauthorized(gateway: GatewayProcess) -> None:
    """In open mode nobody needs a ticket, but one that is presented must be good."""
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        session = client.post("/api/v1/sessions").json()
    query = f"?session_id={session['id']}"
    wrong = [*JSON, "undertone.ticket.bm9uc2Vuc2U"]
    assert refused(gateway, query, subprotocols=wrong) == (4001, "unauthorized")


def test_a_second_owner_replaces_the_first(gateway: GatewayProcess) -> None:
    """The newer socket wins, the older one is told and closed with 4005, and the session goes on."""

    async def main() -> None:
        async with (
            asyncio.timeout(20),
            connect(gateway.ws_url, subprotocols=JSON, proxy=None) as one,  # type: ignore[arg-type]
        ):
            first = Peer(one)
            session = (await first.until("welcome"))["session_id"]
            await one.send(bytes(3_200))
            url = f"{gateway.ws_url}?session_id={session}"
            async with connect(url, subprotocols=JSON, proxy=None) as two:  # type: ignore[arg-type]
                second = Peer(two)
                welcome = await second.until("welcome")
                assert welcome["next_sample"] == 1_600
                assert await first.closed() == (4005, "replaced")
                await second.control(type="end")
                assert (await second.until("summary"))["received_samples"] == 1_600

    asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "malformed_message"),
        ("{", "malformed_message"),
        ("[]", "malformed_message"),
        ('{"type":"configure"}{}', "malformed_message"),
        ('{"type":"ping","t":NaN}', "malformed_message"),
        ("[" * 5_000 + "]" * 5_000, "malformed_message"),
        ('{"type":"dance"}', "unknown_message"),
        ('{"type":"configure","hop_ms":"fast"}', "invalid_field"),
        ('{"type":"configure","hop_ms":true}', "invalid_field"),
        ('{"type":"configure","tempo":3}', "invalid_field"),
        ('{"type":"position","sample":-1}', "invalid_field"),
        ('{"type":"position","sample":9007199254740991}', "invalid_field"),
        ('{"type":"ack","seq":99}', "invalid_field"),
        (json.dumps({"type": "ping", "t": "x" * 20_000}), "message_too_large"),
    ],
)
def test_a_bad_control_message_is_told_and_the_session_goes_on(
    gateway: GatewayProcess, text: str, code: str
) -> None:
    """A typed error, not fatal, and the next message is heard as if nothing had been."""

    async def steps(peer: Peer) -> None:
        await peer.socket.send(text)
        error = await peer.until("error")
        assert (error["code"], error["fatal"]) == (code, False)
        await peer.control(type="ping", t=1)
        assert (await peer.until("pong"))["t"] == 1

    talk(gateway, steps)


def test_an_oversize_message_is_told_and_closed(gateway: GatewayProcess) -> None:
    """Over 64 KiB: typed error and 1009. Far over: 1009 at once."""

    async def over(peer: Peer) -> None:
        await peer.socket.send(bytes(70_000))
        assert await peer.closed() == (1009, "message_too_large")

    async def far_over(peer: Peer) -> None:
        await peer.socket.send(bytes(1_000_000))
        assert (await peer.closed())[0] == 1009

    talk(gateway, over)
    talk(gateway, far_over)


def test_text_that_is_not_utf8_is_closed(gateway: GatewayProcess) -> None:
    """RFC 6455: 1007; and no traceback (the fixture looks)."""

    async def steps(peer: Peer) -> None:
        await peer.socket.send(b"\xff\xfe{", text=True)
        assert (await peer.closed())[0] == 1007

    talk(gateway, steps)


def test_not_a_number_in_float_pcm_becomes_a_gap(gateway: GatewayProcess) -> None:
    """The frame is refused with a typed error, its time is declared, and the session goes on."""

    async def steps(peer: Peer) -> None:
        await peer.socket.send(struct.pack("<4f", 0.0, 0.1, 0.2, 0.3))
        await peer.socket.send(struct.pack("<2f", 0.0, float("nan")))
        assert (await peer.until("error"))["code"] == "invalid_audio"
        await peer.control(type="end")
        summary = await peer.until("summary")
        gap = next(event for event in peer.events if event["type"] == "gap")
        assert (gap["start_sample"], gap["end_sample"], gap["reason"]) == (4, 6, "client")
        assert (summary["next_sample"], summary["client_gap_samples"]) == (6, 2)

    talk(gateway, steps, "?encoding=pcm_f32le")


def test_an_unfinished_sample_is_told(gateway: GatewayProcess) -> None:
    """An odd number of bytes waits for the rest of its sample; at the end it is dropped, and said to be."""

    async def steps(peer: Peer) -> None:
        await peer.socket.send(bytes(101))
        await peer.socket.send(bytes(101))
        await peer.socket.send(bytes(1))
        await peer.control(type="end")
        summary = await peer.until("summary")
        errors = [event["code"] for event in peer.events if event["type"] == "error"]
        assert errors == ["incomplete_sample"]
        assert summary["received_samples"] == 101

    talk(gateway, steps)


def test_a_container_is_no_pcm(gateway: GatewayProcess) -> None:
    """A browser's MediaRecorder sends WebM: told at the first frame, instead of hearing noise."""

    async def steps(peer: Peer) -> None:
        await peer.socket.send(b"\x1a\x45\xdf\xa3" + bytes(400))
        assert await peer.closed() == (4008, "unsupported_audio")

    talk(gateway, steps)


def test_another_format_than_the_sessions_is_refused(gateway: GatewayProcess) -> None:
    """A client that means another format than the session's is told before its noise is heard."""
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        session = client.post("/api/v1/sessions", json={"sample_rate": 8_000}).json()
    query = f"?session_id={session['id']}&encoding=pcm_f32le"
    assert refused(gateway, query) == (4008, "unsupported_audio")


def test_audio_after_end_is_refused_but_the_summary_comes(gateway: GatewayProcess) -> None:
    """A microphone's last frame may cross the `end`: it is not counted, and nothing breaks."""

    async def steps(peer: Peer) -> None:
        await peer.socket.send(bytes(3_200))
        await peer.control(type="end")
        await peer.socket.send(bytes(3_200))
        assert (await peer.until("summary"))["received_samples"] == 1_600
        assert (await peer.closed())[0] == 1000

    talk(gateway, steps)


def test_far_beyond_real_time_is_a_flood(gateway: GatewayProcess) -> None:
    """A recording sent at once in realtime delivery: 4009, with the advice to use lossless."""

    async def steps(peer: Peer) -> None:
        for _ in range(20):
            await peer.socket.send(bytes(32_000))
        assert await peer.closed() == (4009, "flood")

    talk(gateway, steps)


def test_past_the_lossless_limit_is_an_overrun(gateway: GatewayProcess) -> None:
    """4010, with the limit in the message."""

    async def steps(peer: Peer) -> None:
        welcome = await peer.until("welcome")
        assert welcome["limit"] >= 5 * 16_000
        for _ in range(40):
            await peer.socket.send(bytes(64_000))
        assert await peer.closed() == (4010, "overrun")

    talk(gateway, steps, "?delivery=lossless")


def test_an_observer_only_reads(gateway: GatewayProcess) -> None:
    """It sees every event, may ping, and what else it sends is refused without harm."""

    async def main() -> None:
        async with (
            asyncio.timeout(20),
            connect(gateway.ws_url, subprotocols=JSON, proxy=None) as one,  # type: ignore[arg-type]
        ):
            owner = Peer(one)
            session = (await owner.until("welcome"))["session_id"]
            url = f"{gateway.ws_url}?session_id={session}&role=observer"
            async with connect(url, subprotocols=JSON, proxy=None) as two:  # type: ignore[arg-type]
                observer = Peer(two)
                assert (await observer.until("welcome"))["resume_token"] is None
                await two.send(bytes(3_200))
                assert (await observer.until("error"))["code"] == "read_only"
                await observer.control(type="end")
                assert (await observer.until("error"))["code"] == "read_only"
                await observer.control(type="ping", t=2)
                await observer.until("pong")
                await one.send(bytes(3_200))
                await owner.control(type="end")
                assert (await observer.until("summary"))["received_samples"] == 1_600
                assert (await observer.closed())[0] == 1000

    asyncio.run(main())


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1", "http://localhost.evil"]
)
def test_a_foreign_page_gets_no_socket(gateway: GatewayProcess, origin: str) -> None:
    """403 before the connection is accepted."""

    async def main() -> int:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(gateway.ws_url, origin=origin, proxy=None):  # type: ignore[arg-type]
                pass
        return refused.value.response.status_code

    assert asyncio.run(main()) == 403


def test_the_gateways_own_page_gets_a_socket(gateway: GatewayProcess) -> None:
    """Under its address, and under the name people type."""

    async def main(origin: str) -> str:
        async with connect(gateway.ws_url, subprotocols=JSON, origin=origin, proxy=None) as one:  # type: ignore[arg-type]
            return str((await Peer(one).until("welcome"))["type"])

    assert asyncio.run(main(gateway.url)) == "welcome"
    assert asyncio.run(main(gateway.url.replace("127.0.0.1", "localhost"))) == "welcome"


def test_connecting_after_the_deadline_is_too_late(launch: Callable[..., GatewayProcess]) -> None:
    """A session that nobody came to has expired: 4004, and it says so."""
    running = launch(TRANSCRIBER="none", CONNECT_DEADLINE_S="0.2")
    with httpx.Client(base_url=running.url, trust_env=False) as client:
        session = client.post("/api/v1/sessions").json()
        status = ""
        for _ in range(100):
            status = client.get(f"/api/v1/sessions/{session['id']}").json()["status"]
            if status == "expired":
                break
            time.sleep(0.02)
        else:
            pytest.fail(f"still {status}")
    assert refused(running, f"?session_id={session['id']}") == (4004, "session_expired")


def test_a_full_node_refuses_before_it_accepts(launch: Callable[..., GatewayProcess]) -> None:
    """503 with Retry-After, over both doors; whoever is in is unaffected."""
    running = launch(TRANSCRIBER="none", MAX_SESSIONS="1")

    async def main() -> None:
        async with connect(running.ws_url, subprotocols=JSON, proxy=None) as one:  # type: ignore[arg-type]
            peer = Peer(one)
            await peer.until("welcome")
            with pytest.raises(InvalidStatus) as refused:
                async with connect(running.ws_url, proxy=None):
                    pass
            assert refused.value.response.status_code == 503
            assert int(refused.value.response.headers["retry-after"]) >= 1
            async with httpx.AsyncClient(base_url=running.url, trust_env=False) as client:
                answer = await client.post("/api/v1/sessions")
                assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
            await peer.control(type="end")
            await peer.until("summary")

    asyncio.run(main())


def test_a_name_made_to_point_here_reads_nothing(gateway: GatewayProcess) -> None:
    """DNS rebinding: a same-origin GET brings no Origin, but the Host gives it away."""
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        answer = client.get("/api/v1/sessions", headers={"host": "rebound.example"})
        assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host")
        assert client.get("/healthz", headers={"host": "probe.example"}).status_code == 200
        assert client.get("/healthz/").status_code == 404


def test_many_flushes_at_once_are_answered_or_refused(gateway: GatewayProcess) -> None:
    """Each gets its reply or a typed error; a client that reads is not closed."""

    async def steps(peer: Peer) -> None:
        await peer.socket.send(bytes(3_200))
        for n in range(200):
            await peer.control(type="flush", id=n)
        replies = 0
        while replies < 200:
            event = json.loads(await peer.socket.recv())
            replies += event["type"] == "flushed" or event.get("code") == "overloaded"
        await peer.control(type="end")
        assert (await peer.until("summary"))["received_samples"] == 1_600

    talk(gateway, steps)


def test_an_endless_request_line_is_answered(gateway: GatewayProcess) -> None:
    """A handshake that can't be parsed gets its status and a closed socket, not silence."""
    port = int(gateway.url.rpartition(":")[2])

    async def main() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = "Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(f"GET /ws/voice?{'x' * 20_000} HTTP/1.1\r\n{head}\r\n".encode())
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        return answer

    assert asyncio.run(main()).startswith(b"HTTP/1.1 4")


def test_a_peer_that_never_reads_is_let_go(gateway: GatewayProcess) -> None:
    """It fills its own buffers, is told off, and then its socket is aborted: its descriptor is free again."""
    host, port = "127.0.0.1", int(gateway.url.rpartition(":")[2])
    head = (
        f"GET /ws/voice HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    payload = json.dumps({"type": "ping", "t": "x" * 100}).encode()
    frame = bytes((0x81, 0xFE)) + struct.pack(">H", len(payload)) + bytes(4) + payload
    if len(payload) <= 125:
        frame = bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        deaf.connect((host, port))
        deaf.sendall(head.encode())
        deaf.settimeout(1)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                deaf.sendall(frame * 64)
            except TimeoutError:
                continue
            except OSError:
                return  # reset by the gateway
        pytest.fail("still connected")
