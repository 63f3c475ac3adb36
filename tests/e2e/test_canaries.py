"""Secrets go in by every door there is, at debug level; none comes out in a log line, metric or statistic.

A canary is a value that could come from nowhere else. Those that a client makes up are all `canary` with a
number, so that one search finds any; the gateway's own (tickets, tokens, ids, words) are noted as they come.
"""

import asyncio
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from gateway.sessions.keys import Keyring
from gateway.stores.keyfile import save
from protocol.events import Flushed, Transcript, Welcome
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import Said, dial, hear, rest, run, say
from tests.needs import need_module

SESSIONS = "/api/v1/sessions"
FRAME = 3_200


@dataclass
class Cage:
    """Every canary so far."""

    count: int = 0
    kept: set[str] = field(default_factory=set)
    """The gateway's own secrets."""

    def bird(self) -> str:
        """A new one, fit for a token, a header and a query."""
        self.count += 1
        return f"canary{self.count:03}0123456789abcdef"

    def keep(self, *secrets: str | None) -> None:
        self.kept |= {secret for secret in secrets if secret}

    def escaped(self, text: str) -> set[str]:
        """Those that `text` gives away; a session's first eight characters may be shown."""
        return {secret for secret in (*self.kept, "canary") if secret in text}


def over_http(gateway: GatewayProcess, cage: Cage) -> None:
    """In queries, headers, bodies, paths; well-formed, refused and broken."""
    bird = cage.bird
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        made = client.post(
            SESSIONS, json={"user_id": bird(), "device_type": bird(), "client_version": bird()}
        )
        session = made.json()
        cage.keep(session["id"], session["ticket"])
        one = f"{SESSIONS}/{session['id']}"
        client.post(
            SESSIONS, json={"metadata": {bird(): bird()}, "context": {bird(): bird()}, "agent_type": bird()}
        )
        for given in ({"name": bird(), "data": {bird(): bird()}}, {"name": f"{bird()}!"}, {bird(): bird()}):
            client.post(f"{one}/checkpoints", json=given)
        for given in ({"role": "observer"}, {"role": bird()}):
            cage.keep(client.post(f"{one}/tickets", json=given).json().get("ticket"))
        client.post(f"{one}/heartbeat", json={bird(): bird()})
        headers = {
            "authorization": f"Bearer {bird()}",
            "cookie": f"token={bird()}",
            "last-event-id": f"{bird()}:1",
        }
        for path in ("", "/stats", "/history", "/nowhere"):
            client.get(one + path, params={"token": bird(), "after": bird()}, headers=headers)
            client.get(f"{SESSIONS}/{bird()}{path}", params={"ticket": bird()}, headers=headers)
        for body in (
            f'{{"{bird()}": 1}}',
            f'{{"user_id": {bird()}',
            f'["{bird()}"]',
            f'{{"key_hash": "{bird()}"}}',
        ):
            client.post(SESSIONS, content=body, headers={"content-type": "application/json"})
        client.get(SESSIONS, params={"user_id": bird(), "status": bird(), "after": bird()})
        client.get(SESSIONS, headers={"origin": f"https://{bird()}.example"})
        client.get("/", headers={"host": f"{bird()}.example"})
        client.get(
            "/", headers={"x-forwarded-for": bird(), "forwarded": f"for={bird()}", "referer": f"/?{bird()}"}
        )
        client.request("BREW", f"/?{bird()}")
        client.delete(one)


def broken(gateway: GatewayProcess, cage: Cage) -> None:
    """What no HTTP parser takes."""
    bird = cage.bird
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    for request in (
        f"GET /?ticket={bird()} HTTP/9.9\r\n\r\n",
        f"GET /{bird()}\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        f"{bird()}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {bird()}\r\n\r\n",
        f"GET /?{bird()} HTTP/1.1\r\nHost: x\r\nCookie: {bird() * 4_000}\r\n\r\n",
        f"GET /ws/voice?{bird()} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Protocol: undertone.ticket.{bird()}\r\nSec-WebSocket-Key: {bird()}\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            raw.sendall(request.encode())
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(65_536):
                pass


async def at_the_door(gateway: GatewayProcess, cage: Cage) -> None:
    """WebSockets that are refused, before or after they are accepted."""
    bird = cage.bird
    knocks: list[tuple[str, list[str], dict[str, str]]] = [
        (f"/ws/voice?token={bird()}", [], {}),
        (f"/ws/voice?session_id={bird()}", [f"undertone.ticket.{bird()}"], {}),
        (f"/ws/voice?session_id={bird()}&after={bird()}", [], {"Authorization": f"Bearer {bird()}"}),
        (f"/ws/voice?user_id={bird()}", [bird()], {}),
        (f"/ws/voice?user_id={bird()}", ["undertone.ticket." + "a." + bird()], {}),
        (f"/ws/voice?{bird()}", [], {"Origin": f"https://{bird()}.example"}),
        (f"/{bird()}?{bird()}", [], {"Cookie": bird()}),
    ]
    for path, offered, headers in knocks:
        url = gateway.url.replace("http", "ws", 1) + path
        names = [Subprotocol(one) for one in offered] or None
        try:
            async with connect(url, subprotocols=names, additional_headers=headers, proxy=None) as refused:
                await refused.wait_closed()
        except InvalidStatus:
            pass


async def inside(gateway: GatewayProcess, cage: Cage) -> list[Said]:
    """A conversation with everything in it, cut and resumed; returns what was heard."""
    bird = cage.bird
    query: dict[str, object] = {
        "user_id": bird(),
        "device_type": bird(),
        "delivery": "lossless",
        "language": "en-US",
    }
    async with dial(gateway, query) as first:
        welcome = await hear(first)
        assert isinstance(welcome, Welcome)
        cage.keep(welcome.session_id, welcome.resume_token, welcome.epoch)
        await say(first, "ping", t=bird())
        await say(first, "configure", language=bird())
        await say(first, bird(), x=1)
        await say(first, "flush", **{bird(): 1})
        await first.send(f'{{"{bird()}')
        first.transport.abort()
    query = {"session_id": welcome.session_id, "after": 0, "epoch": welcome.epoch}
    async with dial(gateway, query, welcome.resume_token) as second:
        back = await hear(second)
        assert isinstance(back, Welcome)
        cage.keep(back.resume_token)
        audio = pcm(speech()[: 16_000 * 8])
        for start in range(0, len(audio), FRAME):
            await second.send(audio[start : start + FRAME])
        await say(second, "flush", id=bird())
        heard: list[Said] = []
        while not (heard and isinstance(heard[-1], Flushed)):
            heard.append(await hear(second))
        await say(second, "end")
        rest_heard, code = await rest(second)
        assert code == 1000
    async with dial(gateway, {**query, "after": 1}, back.resume_token) as third:
        await rest(third)
    return heard + rest_heard


def phrases(heard: list[Said]) -> set[str]:
    """Each two words that follow one another in what was understood: one alone may be anybody's."""
    texts = [event.text.split() for event in heard if isinstance(event, Transcript)]
    return {f"{one} {two}" for words in texts for one, two in pairwise(words) if len(one + two) > 7}


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_secret_comes_out(launch: Callable[..., GatewayProcess], form: str) -> None:
    """Not at debug level, not from an error's text, not from a library, in neither form of the log."""
    need_module("pocketsphinx")
    # A short deadline has the reaper pass often: it is the one who speaks at debug level.
    running = launch(TRANSCRIBER="pocketsphinx", LOG_LEVEL="debug", LOG_FORMAT=form, CONNECT_DEADLINE_S="2")
    cage = Cage()
    over_http(running, cage)
    broken(running, cage)
    run(at_the_door(running, cage))
    heard = run(inside(running, cage), 60)
    words = phrases(heard)
    assert len(words) > 3
    cage.keep(*words)
    with httpx.Client(base_url=running.url, trust_env=False) as client:
        metrics = client.get("/metrics").text
    assert running.stop() == 0
    assert "undertone_frames_total" in metrics
    assert cage.escaped(metrics) == set()
    written = "".join(running.log)
    assert [line for line in running.log if cage.escaped(line)] == []
    check_is_a_log(written, form)
    assert "Traceback" not in written


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_key_comes_out(launch: Callable[..., GatewayProcess], tmp_path: Path, form: str) -> None:
    """Good ones, wrong ones, hashes of them, and what stands in a file of keys that can't be read."""
    cage = Cage()
    bird = cage.bird
    path = tmp_path / "namespaces.toml"
    ring, key = Keyring().with_key("acme", 0.0)
    save(path, ring)
    cage.keep(key.secret, key.key_hash, ring.namespaces["acme"].keys[0].verifier)
    running = launch(TRANSCRIBER="none", LOG_LEVEL="debug", LOG_FORMAT=form, NAMESPACES_FILE=str(path))
    with httpx.Client(base_url=running.url, trust_env=False) as client:
        for credential in (key.bearer, f"{key.prefix}.{bird()}", f"utabcdefgh.{bird()}", bird()):
            for scheme in ("Bearer", "bearer", "Basic", bird()):
                headers = {"authorization": f"{scheme} {credential}"}
                for url in (SESSIONS, f"{SESSIONS}/{bird()}/events", f"/?key={credential}", f"/{credential}"):
                    client.get(url, headers=headers)
                client.post(
                    SESSIONS, headers=headers, json={"namespace_id": bird(), "metadata": {"a": bird()}}
                )
        for key_hash in (key.key_hash, key.key_hash[::-1]):
            body = {"namespace_id": "acme", "key_hash": key_hash}
            cage.keep(client.post(SESSIONS, json=body).json().get("ticket"))
        path.write_text(f'[namespaces.acme]\nsecret = "{bird()}"\n')
        deadline = time.monotonic() + 10
        while "the keys stay as they were" not in "".join(running.log) and time.monotonic() < deadline:
            client.get(SESSIONS, headers={"authorization": f"Bearer {key.bearer}"})
            time.sleep(0.05)
        told = client.get("/metrics").text
    assert running.stop() == 0
    assert "the keys stay as they were" in "".join(running.log)
    assert [line for line in [*running.log, told] if cage.escaped(line)] == []
    assert "Traceback" not in "".join(running.log)


def check_is_a_log(written: str, form: str) -> None:
    """It was a debug log, and it told of what was done."""
    assert written.count("attached") >= 2
    assert "debug" in written
    if form == "json":
        for line in written.splitlines():
            json.loads(line)


def test_no_secret_stands_in_the_statistics(gateway: GatewayProcess) -> None:
    """Counts, and the first eight characters of the id."""
    cage = Cage()

    async def main() -> None:
        async with dial(gateway, {"user_id": cage.bird()}) as socket:
            welcome = await hear(socket)
            assert isinstance(welcome, Welcome)
            cage.keep(welcome.session_id, welcome.resume_token)
            async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as client:
                stats = (await client.get(f"{SESSIONS}/{welcome.session_id}/stats")).text
            assert welcome.session_id[:8] in stats
            assert cage.escaped(stats) == set()

    asyncio.run(main())
