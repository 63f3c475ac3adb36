"""The older tone-session routes on a real gateway: real sockets, a real voice."""

import json
import signal
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from protocol.client import connect as connect_client
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import GatewayProcess
from tests.e2e.older import CHUNK, Listener, microphone, rest, speak, start
from tests.e2e.wire import run

SESSIONS = "/api/v1/sessions"


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    """A plain HTTP client of the shared gateway."""
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=20) as client:
        yield client


def test_a_session_from_start_to_end(client: httpx.Client, gateway: GatewayProcess) -> None:
    """Started, heard, told, followed up, ended: each step answers what older clients expect."""
    answer = client.post("/session/start", json={"elcor": True, "window_ms": 1000, "num_speakers": 2})
    session = answer.json()["session_id"]
    view = {"session_id": session, "state": "running", "elcor": True, "tier": "free"}
    assert (answer.status_code, answer.json()) == (200, view)
    assert client.get(f"/session/{session}").json() == view
    audio = pcm(speech()[: 16_000 * 4])

    async def main() -> Listener:
        listener = Listener(gateway, session)
        await listener.ready.wait()
        async with microphone(gateway, session) as socket:
            answers = await speak(socket, audio)
            assert answers == [{"ok": True, "bytes": CHUNK}] * (len(audio) // CHUNK)
            async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=20) as other:
                ended = await other.delete(f"/session/{session}/end")
                assert ended.json() == {"session_id": session, "state": "stopped"}
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1000
        await listener.task
        return listener

    listener = run(main())
    assert listener.events[0][0] == "service-event"
    assert listener.events[0][1]["status"] == "ready"
    tones = listener.named("tone-event")
    assert len(tones) >= 2
    assert all(tone["session_id"] == session and tone["subtext"] for tone in tones)
    assert listener.named("speaker-event")
    for method, path in (("GET", ""), ("GET", "/stream"), ("DELETE", "/end")):
        assert client.request(method, f"/session/{session}{path}").status_code == 404
    history = client.get(f"/session/{session}/history").json()
    assert history == {"session_id": session, "count": len(tones), "events": tones}
    export = client.get(f"/session/{session}/export")
    assert "attachment" in export.headers["content-disposition"]
    assert export.json()["events"] == tones
    assert len(export.json()["other_events"]) == len(listener.events) - 1 - len(tones)


def test_older_and_newer_clients_share_a_session(client: httpx.Client, gateway: GatewayProcess) -> None:
    """What the older socket sent is in the newer history; the older stream tells what a newer owner sent."""
    session = start(client)

    async def main() -> None:
        async with microphone(gateway, session) as socket:
            await speak(socket, pcm(speech()[: 16_000 * 2]))
        listener = Listener(gateway, session)
        await listener.ready.wait()
        async with connect_client(gateway.ws_url, session_id=session) as owner:
            assert owner.welcome.next_sample == 32_000
            await owner.send(pcm(speech()[32_000:64_000]))
            summary = await owner.end()
        await listener.task
        assert summary.next_sample == 64_000
        assert {tone["timestamp"] for tone in listener.named("tone-event")} <= {3.0, 4.0}

    run(main())
    events = client.get(f"{SESSIONS}/{session}/history").json()["events"]
    assert {event["timestamp"] for event in events if event["type"] == "tone"} & {1.0, 2.0}
    assert client.get(f"{SESSIONS}/{session}").json()["status"] == "closed"


def test_sockets_come_and_go(client: httpx.Client, gateway: GatewayProcess) -> None:
    """Three in a row, and a fourth beside the third: the audio of all but the replaced one adds up."""
    session = start(client)

    async def main() -> None:
        for _ in range(2):
            async with microphone(gateway, session) as socket:
                await speak(socket, bytes(CHUNK * 2))
        async with microphone(gateway, session) as third, microphone(gateway, session) as fourth:
            refusal = json.loads(await third.recv())
            assert (refusal["ok"], refusal["error"]) == (False, "replaced")
            await third.wait_closed()
            assert third.close_code == 4005
            await speak(fourth, bytes(CHUNK))

    run(main())
    assert client.get(f"{SESSIONS}/{session}/stats").json()["next_sample"] == 5 * CHUNK // 2


@pytest.mark.parametrize("session", ["nobody", "a" * 4_000])
def test_an_unknown_session_is_4004(gateway: GatewayProcess, session: str) -> None:
    """Told in an answer, then closed with the code; a browser sees no code of a handshake that is refused."""

    async def main() -> tuple[str, int | None]:
        async with microphone(gateway, session) as socket:
            answer = json.loads(await socket.recv())
            await socket.wait_closed()
            return answer["error"], socket.close_code

    assert run(main()) == ("session_not_found", 4004)


def test_text_and_floods_are_answered(client: httpx.Client, gateway: GatewayProcess) -> None:
    """Text is refused and the socket goes on; audio far faster than it can be spoken ends it with 4009."""
    session = start(client)

    async def main() -> None:
        async with microphone(gateway, session) as socket:
            await socket.send("hello")
            assert json.loads(await socket.recv())["error"] == "unknown_message"
            assert await speak(socket, bytes(CHUNK)) == [{"ok": True, "bytes": CHUNK}]
            for _ in range(10):
                await socket.send(bytes(32_000))
            assert (await rest(socket))[-1]["error"] == "flood"
            assert socket.close_code == 4009

    run(main())


def test_what_older_clients_confide_is_not_repeated(client: httpx.Client, gateway: GatewayProcess) -> None:
    """Licences and keys of other services, whole or broken: in no answer, and in no line of the log."""
    confided = {"license_key": "canary-licence", "byok_deepl_key": "canary-key", "target_lang": "canary-lang"}
    session = start(client, **confided)
    wrong = client.post("/session/start", json={**confided, "transcribe_lang": "canary!"})
    assert wrong.status_code == 422
    with client.stream("GET", f"/session/{session}/stream", params={"t": "canary-query"}):
        pass
    answers = [wrong, client.get(f"/session/{session}"), client.get(f"{SESSIONS}/{session}")]
    answers += [client.get(f"/session/{session}/export"), client.get("/metrics")]
    text = "".join(answer.text for answer in answers) + "".join(gateway.log)
    assert "canary" not in text
    assert session not in "".join(gateway.log)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"", 200, None),
        (b"{}", 200, None),
        (b'{"target_lang": "es", "byok_deepl_key": "k", "mood": {"a": [1]}}', 200, None),
        (b'{"window_ms": 90, "num_speakers": 12}', 200, None),
        (b'{"elcor": "yes"}', 422, "elcor"),
        (b'{"window_ms": "1000"}', 422, "window_ms"),
        (b'{"num_speakers": true}', 422, "num_speakers"),
        (b'{"transcribe_lang": ["en"]}', 422, "transcribe_lang"),
        (b"[]", 400, None),
        (b"{", 400, None),
        (b'"' + b"x" * 20_000 + b'"', 413, None),
    ],
)
def test_a_start_with_any_body(client: httpx.Client, body: bytes, status: int, param: str | None) -> None:
    """Unknown fields are passed over; a known one of a wrong type is named."""
    answer = client.post("/session/start", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json().get("param")) == (status, param)


def test_health(client: httpx.Client) -> None:
    """What an older page or balancer asks."""
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_a_foreign_page_gets_no_audio_socket(client: httpx.Client, gateway: GatewayProcess) -> None:
    """403 before anything is accepted, and the session is as it was."""
    session = start(client)

    async def main() -> int:
        headers = {"Origin": "https://evil.example"}
        with pytest.raises(InvalidStatus) as refused:
            async with microphone(gateway, session, additional_headers=headers):
                pass
        return refused.value.response.status_code

    assert run(main()) == 403
    assert client.get(f"{SESSIONS}/{session}").json()["status"] == "created"


def test_a_session_nobody_watches_is_gone_after_a_while(launch: Callable[..., GatewayProcess]) -> None:
    """The reaper's work, on its own: the last subscriber left longer ago than the session waits."""
    running = launch(TRANSCRIBER="none", SESSION_DETACHED_TTL_S="1")
    with httpx.Client(base_url=running.url, trust_env=False, timeout=20) as client:
        session = start(client)
        with client.stream("GET", f"/session/{session}/stream") as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith(":")
            time.sleep(2.5)
            assert httpx.get(f"{running.url}/session/{session}", trust_env=False).status_code == 200
        deadline = time.monotonic() + 5
        while client.get(f"/session/{session}").status_code != 404:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert client.get(f"{SESSIONS}/{session}").json()["status"] == "expired"


def test_a_node_that_goes_away_sends_older_clients_away_too(launch: Callable[..., GatewayProcess]) -> None:
    """The socket is told and closed with 1012, the stream says when to come back, and both end in time."""
    running = launch(TRANSCRIBER="none")
    with httpx.Client(base_url=running.url, trust_env=False, timeout=20) as client:
        session = start(client)

    async def main() -> None:
        async with microphone(running, session) as socket:
            listener = Listener(running, session)
            await listener.ready.wait()
            await speak(socket, bytes(CHUNK))
            running.process.send_signal(signal.SIGTERM)
            answer = json.loads(await socket.recv())
            assert (answer["ok"], answer["error"]) == (False, "drain")
            assert answer["retry_after_ms"] >= 250
            await socket.wait_closed()
            assert socket.close_code == 1012
            await listener.task

    run(main())
    assert running.stop() == 0
    assert not [line for line in running.log if "Traceback" in line]
