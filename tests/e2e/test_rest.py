"""Sessions over REST, and the same events as a server-sent stream."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from protocol.audio import AudioFormat
from protocol.client import connect
from protocol.events import Summary
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import GatewayProcess

PATH = "/api/v1/sessions"


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    """A plain HTTP client of the shared gateway."""
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=20) as client:
        yield client


def run_session(url: str, session_id: str, data: bytes) -> Summary:
    """Stream `data` into a session and end it."""

    async def main() -> Summary:
        async with asyncio.timeout(30), connect(url, session_id=session_id) as client:
            await client.send(data)
            return await client.end()

    return asyncio.run(main())


def test_a_session_is_created_shown_listed_and_deleted(client: httpx.Client, gateway: GatewayProcess) -> None:
    """The whole life over REST; everything asked for is told back, flat."""
    wanted = {
        "user_id": "ada",
        "device_type": "kiosk",
        "client_version": "1.2",
        "sample_rate": 8_000,
        "encoding": "mulaw",
        "hop_ms": 500,
        "elcor": True,
        "features": ["tone", "queue"],
    }
    answer = client.post(PATH, json=wanted)
    session = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{PATH}/{session['id']}"
    assert session["status"] == "created"
    assert session["audio"] == {"encoding": "mulaw", "sample_rate": 8_000, "channels": 1}
    assert (session["hop_ms"], session["elcor"], session["features"]) == (500, True, ["tone", "queue"])
    assert session["websocket_url"] == f"{gateway.ws_url}?session_id={session['id']}"
    assert session["events_url"] == f"{gateway.url}{PATH}/{session['id']}/events"
    assert re.fullmatch(r"[A-Za-z0-9_-]{22,32}|[0-9a-f]{32}", session["id"])
    shown = client.get(answer.headers["location"]).json()
    assert {**shown, "ticket": session["ticket"]} == session
    listed = client.get(PATH, params={"device_type": "kiosk", "user_id": "ada", "status": "created"}).json()
    assert session["id"] in [one["id"] for one in listed["sessions"]]
    assert client.get(PATH, params={"device_type": "toaster"}).json()["sessions"] == []
    gone = client.delete(answer.headers["location"])
    assert gone.json() == {"status": "closed", "session_id": session["id"]}
    assert client.get(answer.headers["location"]).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{", 400, "malformed_body", None),
        (b"[]", 400, "malformed_body", None),
        (b'{"tempo": 1}', 422, "invalid_field", "tempo"),
        (b'{"sample_rate": "8000"}', 422, "invalid_field", "sample_rate"),
        (b'{"sample_rate": 4000}', 422, "invalid_field", "sample_rate"),
        (b'{"user_id": ""}', 422, "invalid_field", "user_id"),
        (b'{"user_id": 7}', 422, "invalid_field", "user_id"),
        (b'{"key_hash": "abc"}', 422, "invalid_field", "key_hash"),
        (b'{"hop_ms": 5000, "window_ms": 1000}', 422, "invalid_field", "hop_ms"),
        (b'"' + b"x" * 20_000 + b'"', 413, "body_too_large", None),
        (b'"' + b"x" * 200_000 + b'"', 413, "body_too_large", None),
    ],
)
def test_a_bad_body_is_a_problem_with_a_stable_code(
    client: httpx.Client, body: bytes, status: int, code: str, param: str | None
) -> None:
    """RFC 9457, naming the field."""
    answer = client.post(PATH, content=body, headers={"content-type": "application/json"})
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem.get("param") == param


def test_other_mistakes_are_problems_too(client: httpx.Client) -> None:
    """Unknown routes and ids, wrong methods, wrong media types, foreign pages."""
    assert client.get("/nowhere").json()["code"] == "not_found"
    assert client.put(PATH).json()["code"] == "method_not_allowed"
    assert client.post(PATH, content=b"a=1").json()["code"] == "unsupported_media_type"
    foreign = client.post(PATH, headers={"origin": "https://evil.example"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "origin_not_allowed")
    for suffix in ("", "/stats", "/history", "/events"):
        answer = client.get(f"{PATH}/nobody{suffix}")
        assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
    assert client.get(PATH, params={"limit": "many"}).json()["param"] == "limit"
    assert client.get(PATH, params={"status": "odd"}).json()["param"] == "status"


def test_the_addresses_are_those_of_a_trusted_proxy_only(
    client: httpx.Client, gateway: GatewayProcess, launch: Callable[..., GatewayProcess]
) -> None:
    """A stranger's forwarding headers change nothing; a trusted proxy's do."""
    said = {"x-forwarded-proto": "https", "host": "voice.example", "x-forwarded-host": "voice.example"}
    session = client.post(PATH, headers=said | {"host": "localhost"}).json()
    assert session["websocket_url"].startswith(f"{gateway.ws_url}?")
    behind = launch(TRANSCRIBER="none", TRUSTED_PROXIES="127.0.0.1")
    for headers in (said, {"forwarded": "for=1.2.3.4;proto=https;host=voice.example"}):
        session = httpx.post(f"{behind.url}{PATH}", headers=headers, trust_env=False).json()
        assert session["websocket_url"].startswith("wss://voice.example/ws/voice?session_id=")
        assert session["events_url"].startswith("https://voice.example/api/v1/sessions/")


def test_stats_count_what_happened_and_name_nobody(client: httpx.Client, gateway: GatewayProcess) -> None:
    """After the end the counts are those of the summary, and nothing personal is among them."""
    session = client.post(PATH, json={"user_id": "ada", "device_type": "kiosk"}).json()
    summary = run_session(gateway.ws_url, session["id"], bytes(64_000))
    stats = client.get(f"{PATH}/{session['id']}/stats").json()
    assert stats["session_id_truncated"] == session["id"][:8]
    assert (stats["status"], stats["device_type"], stats["pending_tasks_count"]) == ("closed", "kiosk", 0)
    chunks = stats["audio_chunks_received"], stats["audio_chunks_processed"]
    assert chunks == (8, 8), "two seconds in messages of a quarter"
    assert stats["message_count"] >= 1
    for name in (
        "next_sample",
        "received_samples",
        "classified_samples",
        "gap_samples",
        "client_gap_samples",
    ):
        assert stats[name] == getattr(summary, name)
    assert "ada" not in json.dumps(stats)
    assert session["id"] not in json.dumps(stats)


def test_history_keeps_the_final_events_and_pages(client: httpx.Client, gateway: GatewayProcess) -> None:
    """Events after the end are readable page by page, summary last."""
    session = client.post(PATH, json={"delivery": "lossless"}).json()
    run_session(gateway.ws_url, session["id"], pcm(speech()))
    events: list[dict[str, object]] = []
    after: int | None = 0
    while after is not None:
        page = client.get(f"{PATH}/{session['id']}/history", params={"after": after, "limit": 3}).json()
        events += page["events"]
        after = page["next_after"]
        assert page["truncated"] is False
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "summary"
    assert sum(event["type"] == "tone" for event in events) >= 4


def parse(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """Server-sent events: one map a block."""
    block: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            block[name] = value.strip()
        elif block:
            yield block
            block = {}


def test_observers_read_the_same_log_from_any_point(client: httpx.Client, gateway: GatewayProcess) -> None:
    """SSE replays with ids, resumes after Last-Event-ID, and tells a finished client not to come back."""
    session = client.post(PATH, json={"delivery": "lossless"}).json()
    run_session(gateway.ws_url, session["id"], pcm(speech()))
    path = f"{PATH}/{session['id']}/events"
    with client.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        first, *events = list(parse(answer.iter_lines()))
    hello = json.loads(first["data"])
    assert (first["event"], hello["recovered"], hello["replay_from"]) == ("welcome", False, 1)
    assert [event["id"] for event in events] == [f"{hello['epoch']}:{n}" for n in range(1, len(events) + 1)]
    assert all(json.loads(event["data"])["type"] == event["event"] for event in events)
    assert events[-1]["event"] == "summary"
    with client.stream("GET", path, headers={"last-event-id": events[2]["id"]}) as answer:
        first, *rest = list(parse(answer.iter_lines()))
    assert json.loads(first["data"])["recovered"] is True
    assert rest == events[3:]
    assert client.get(path, headers={"last-event-id": events[-1]["id"]}).status_code == 204
    with client.stream("GET", path, headers={"last-event-id": "another:1"}) as answer:
        first, *rest = list(parse(answer.iter_lines()))
    assert (json.loads(first["data"])["recovered"], rest) == (False, events)


def test_a_live_observer_sees_events_as_they_come(client: httpx.Client, gateway: GatewayProcess) -> None:
    """An SSE stream opened before the audio gets every event up to the summary, then ends."""
    session = client.post(PATH, json={"delivery": "lossless"}).json()

    async def observe() -> list[str]:
        async with (
            httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=20) as watcher,
            watcher.stream("GET", f"{PATH}/{session['id']}/events") as answer,
        ):
            return [line async for line in answer.aiter_lines() if line.startswith("event:")]

    async def main() -> list[str]:
        observing = asyncio.create_task(observe())
        async with connect(gateway.ws_url, session_id=session["id"]) as owner:
            for start in range(0, len(data), 32_000):
                await owner.send(data[start : start + 32_000])
            await owner.end()
        return await observing

    data = pcm(speech())
    names = asyncio.run(main())
    assert names[0] == "event: welcome"
    assert names.count("event: tone") >= 4
    assert names[-1] == "event: summary"


def test_deleting_a_live_session_ends_it_with_its_summary(
    client: httpx.Client, gateway: GatewayProcess
) -> None:
    """Whoever is connected gets the account, what was pending is declared, and then nothing is left."""
    session = client.post(PATH).json()

    async def main() -> Summary:
        async with connect(gateway.ws_url, session_id=session["id"], audio=AudioFormat()) as owner:
            await owner.send(bytes(1_600))
            await owner.ping()
            async for event in owner:
                if event.type == "pong":
                    break
            async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as other:
                assert (await other.delete(f"{PATH}/{session['id']}")).status_code == 200
            return [event async for event in owner if isinstance(event, Summary)][-1]

    summary = asyncio.run(main())
    assert (summary.next_sample, summary.gap_samples, summary.pending_samples) == (800, 800, 0)
    for suffix in ("", "/stats", "/history", "/events"):
        assert client.get(f"{PATH}/{session['id']}{suffix}").status_code == 404


def test_live_ready_and_metrics(client: httpx.Client, gateway: GatewayProcess) -> None:
    """What a load balancer and a Prometheus ask for."""
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    run_session(gateway.ws_url, client.post(PATH).json()["id"], bytes(32_000))
    text = client.get("/metrics").text
    for family in ("frames_total", "audio_bytes_total", "windows_total", "events_total", "sessions"):
        assert f"undertone_{family}" in text
    assert client.get("/").text.startswith("<!doctype html>")


def test_nothing_personal_is_logged(client: httpx.Client, gateway: GatewayProcess) -> None:
    """No full id, no ticket, no query string, no user in any line."""
    session = client.post(PATH, json={"user_id": "grace-the-canary"}).json()
    run_session(gateway.ws_url, session["id"], bytes(3_200))
    told = "".join(gateway.log)
    for secret in (session["id"], session["ticket"], "grace-the-canary", "session_id="):
        assert secret not in told
