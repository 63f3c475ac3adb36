"""nginx and Caddy as `deploy/proxy` has them, before a real gateway and before servers that fail."""

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect as dial
from websockets.typing import Subprotocol

from protocol.client import connect
from protocol.codec import decode_event
from protocol.events import Summary, Welcome
from protocol.version import Encoding
from tests.deploy import proxies
from tests.deploy.upstream import Upstream, upstream
from tests.e2e.audio import pcm, speech
from tests.e2e.conftest import GatewayProcess, start_gateway
from tests.needs import need_command

SESSIONS = "/api/v1/sessions"
HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
Runs = Callable[[Sequence[str], Path], AbstractContextManager[str]]
Before = Callable[[Sequence[Upstream]], AbstractContextManager[str]]
RUNS: dict[str, Runs] = {"nginx": proxies.nginx, "caddy": proxies.caddy}


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    """One behind a proxy of this machine."""
    running = start_gateway(TRANSCRIBER="none", TRUSTED_PROXIES="127.0.0.1")
    yield running
    assert running.stop() == 0
    assert not [line for line in running.log if "Traceback" in line]


@pytest.fixture(scope="module", params=RUNS)
def through(
    request: pytest.FixtureRequest, gateway: GatewayProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of each proxy, before the gateway (twice, as it names two)."""
    here = f"127.0.0.1:{gateway.port}"
    with RUNS[request.param]([here, here], tmp_path_factory.mktemp("proxy")) as url:
        yield url


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Before:
    """Runs each proxy before servers of a test's own."""
    start: Runs = RUNS[request.param]
    return lambda servers: start([one.address for one in servers], tmp_path)


def client(url: str) -> httpx.Client:
    """One that trusts no proxy of the environment."""
    return httpx.Client(base_url=url, trust_env=False, timeout=20)


# Before a gateway -------------------------------------------------------------------------------------------


def test_a_session_and_its_observer_go_through(through: str) -> None:
    """Audio in and events out over a WebSocket; an observer's stream hears the same while it lasts."""

    async def main() -> tuple[Summary, list[str]]:
        async with (
            asyncio.timeout(60),
            httpx.AsyncClient(base_url=through, trust_env=False, timeout=20) as http,
        ):
            made = (await http.post(SESSIONS, json={})).json()
            async with (
                http.stream("GET", f"{SESSIONS}/{made['id']}/events") as stream,
                connect(through, session_id=made["id"]) as session,
            ):
                kinds = events(stream)
                heard = [await anext(kinds)]  # `welcome`, which nothing comes behind until somebody speaks
                await session.send(pcm(speech()[:32_000]))
                while heard[-1] != "tone":
                    heard.append(await anext(kinds))
                return await session.end(), heard

    summary, heard = asyncio.run(main())
    assert summary.gap_samples == 0
    assert summary.classified_samples == 32_000
    assert heard[0] == "welcome"


async def events(stream: httpx.Response) -> AsyncIterator[str]:
    """The types of the events of a stream."""
    async for line in stream.aiter_lines():
        if line.startswith("event: "):
            yield line.removeprefix("event: ")


def test_the_gateway_hears_what_the_client_asked_for(through: str) -> None:
    """URLs are those of the proxy, with its port; what the client says of itself is not believed."""
    said = {
        "forwarded": "for=192.0.2.1;host=evil.example;proto=https",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "https",
    }
    with client(through) as http:
        for headers in ({}, said):
            made = http.post(SESSIONS, json={}, headers=headers).json()
            assert made["events_url"] == f"{through}{SESSIONS}/{made['id']}/events"
            assert made["websocket_url"].startswith(through.replace("http", "ws", 1) + "/ws/voice")


def test_what_is_for_those_inside_stays_inside(through: str) -> None:
    """Metrics and readiness are each node's own; that the process answers may be asked."""
    with client(through) as http:
        assert [http.get(path).status_code for path in ("/metrics", "/readyz", "/healthz")] == [404, 404, 200]


def test_bodies_that_say_no_length_have_a_bound(through: str) -> None:
    """The proxy's, or the gateway's own (who sends on may see 502); and it shuts no gateway out."""
    with client(through) as http:
        for size in (3_000, 10_000) * 8:
            body = iter([b" " * size] * 10)
            headers = {"content-type": "application/json"}
            assert http.post(SESSIONS, content=body, headers=headers).status_code in (413, 502)
            assert http.get("/healthz").status_code == 200


@pytest.fixture
def full() -> Iterator[GatewayProcess]:
    """A gateway that takes one session, and has it."""
    running = start_gateway(TRANSCRIBER="none", TRUSTED_PROXIES="127.0.0.1", MAX_SESSIONS="1")
    with client(running.url) as http:
        assert http.post(SESSIONS, json={}).status_code == 201
    yield running
    running.stop()


def test_newcomers_at_full_gateways_shut_none_out(run: Before, full: GatewayProcess) -> None:
    """Their handshakes are refused with the gateway's own 503; what others ask for is served."""
    both = [Upstream(port=full.port)] * 2
    with run(both) as url, client(url) as http:
        for _ in range(12):
            refused = http.get("/ws/voice?sample_rate=16000", headers=HANDSHAKE)
            assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
            assert http.get("/healthz").status_code == 200


# Before servers that fail -----------------------------------------------------------------------------------


def test_events_are_not_held_back(run: Before) -> None:
    """An event comes when it is said, and a stream whose reader is gone ends at the server, too."""
    with upstream() as server, run([server, server]) as url, client(url) as http:
        with http.stream("GET", "/stream") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "data: 1"
            server.read.set()
            assert [next(lines), next(lines)] == ["", "data: 2"]
        assert server.left.wait(20)


def test_headers_that_a_client_made_up_are_not_passed_on(run: Before) -> None:
    """One value each, the proxy's own; no `Forwarded`."""
    made_up = {"forwarded": "host=evil", "x-forwarded-for": "9.9.9.9", "x-forwarded-host": "evil"}
    with upstream() as server, run([server, server]) as url, client(url) as http:
        http.get("/", headers=made_up)
    (head,) = server.heads
    assert "forwarded" not in head
    assert head["x-forwarded-for"] == ["127.0.0.1"]
    assert head["x-forwarded-proto"] == ["http"]
    assert head["x-forwarded-host"] == head["host"] == [url.removeprefix("http://")]


def test_bodies_have_a_bound(run: Before) -> None:
    """One of 15 KB goes through, one of 100 KB does not; and nobody shuts a gateway out with such ones."""
    with upstream() as server, run([server, server]) as url, client(url) as http:
        sizes = (15_000, *[100_000] * 8, 15_000)
        told = [http.post("/", content=b" " * size).status_code for size in sizes]
    assert told == [200, *[413] * 8, 200]


def test_a_post_is_never_sent_twice(run: Before) -> None:
    """Of a server that takes a request and breaks, a GET is asked of another one, a POST of nobody."""
    with upstream(breaks=True) as bad, upstream() as good, run([bad, good]) as url, client(url) as http:
        first = [http.post(f"/{number}").status_code for number in range(4)]
    posted = [path for server in (bad, good) for method, path in server.seen if method == "POST"]
    assert sorted(posted) == [f"/{number}" for number in range(4)]
    assert set(first) <= {200, 502}
    assert 502 in first


def test_a_get_is_asked_of_another(run: Before) -> None:
    """One of two servers breaks each request off: nobody sees it."""
    with upstream(breaks=True) as bad, upstream() as good, run([bad, good]) as url, client(url) as http:
        assert [http.get(f"/{number}").status_code for number in range(6)] == [200] * 6
    assert bad.seen


def test_a_server_that_is_not_there_is_passed_over(run: Before) -> None:
    """Even for a POST, as nothing of it was sent."""
    with upstream() as gone:
        pass
    with upstream() as good, run([gone, good]) as url, client(url) as http:
        assert [http.post(f"/{number}").status_code for number in range(6)] == [200] * 6


def test_nginx_asks_another_while_one_drains(tmp_path: Path) -> None:
    """503 to a GET, which a WebSocket's handshake is. Caddy hears of it from `/readyz`."""
    with (
        upstream(drains=True) as going,
        upstream() as good,
        proxies.nginx([going.address, good.address], tmp_path) as url,
        client(url) as http,
    ):
        assert [http.get(f"/{number}").status_code for number in range(6)] == [200] * 6
    assert going.seen


# The files themselves ---------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """One for 127.0.0.1, signed by itself, and its key."""
    pem, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    command = [
        need_command("openssl"),
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]
    command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True)
    return pem, key


def test_nginx_takes_sessions_over_tls(
    gateway: GatewayProcess, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    """URLs say so, and a WebSocket opens."""
    here = f"127.0.0.1:{gateway.port}"
    trusted = ssl.create_default_context(cafile=str(certificate[0]))

    async def welcomed(url: str) -> object:
        async with dial(
            url, subprotocols=[Subprotocol("undertone.v1.msgpack")], ssl=trusted, proxy=None
        ) as socket:
            return decode_event(await socket.recv(), Encoding.MSGPACK)

    with (
        proxies.nginx_tls([here, here], tmp_path, *certificate) as url,
        httpx.Client(base_url=url, trust_env=False, verify=trusted, timeout=20) as http,
    ):
        made = http.post(SESSIONS, json={})
        assert "strict-transport-security" in made.headers
        assert made.json()["websocket_url"].startswith(url.replace("https", "wss", 1))
        assert isinstance(asyncio.run(welcomed(made.json()["websocket_url"])), Welcome)


def test_nginx_finds_nothing_wrong(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """`nginx -t`, with TLS; not a warning."""
    ports = {"8080": 18_080, "127.0.0.1:8081": 18_081, "8443": 18_443}
    config = proxies.nginx_config(["127.0.0.1:1", "127.0.0.1:2"], tmp_path, ports, *certificate)
    command = [*proxies.nginx_command(tmp_path, config), "-t"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr


def test_caddy_finds_nothing_wrong() -> None:
    """`caddy adapt` without a warning, and `caddy fmt` changes nothing."""
    caddy, file = need_command("caddy"), str(proxies.PROXY / "Caddyfile")
    adapted = subprocess.run(
        [caddy, "adapt", "--validate", "--config", file], capture_output=True, text=True, check=False
    )
    assert adapted.returncode == 0, adapted.stderr
    assert '"warn"' not in adapted.stderr
    assert json.loads(adapted.stdout)["admin"] == {"disabled": True}
    formatted = subprocess.run([caddy, "fmt", file], capture_output=True, text=True, check=True)
    assert formatted.stdout == Path(file).read_text(encoding="utf-8")
