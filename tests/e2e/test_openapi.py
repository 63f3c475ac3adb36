"""The description as it is served, and what HTTP itself asks of every route: `OPTIONS`, `HEAD`, `Allow`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

from gateway.app import create_app
from gateway.settings import Settings
from tests.e2e.browser import Tab, chromium
from tests.e2e.conftest import GatewayProcess
from tests.needs import need_file

SESSIONS = "/api/v1/sessions"
JSON = {"content-type": "application/json"}
BOTH = ("/openapi.json", "/docs")

Launch = Callable[..., GatewayProcess]


def routes() -> dict[str, set[str]]:
    """Every path over HTTP, and all that it answers to."""
    found: dict[str, set[str]] = {}
    for route in create_app(Settings(transcriber="none")).routes:  # type: ignore[arg-type]
        if isinstance(route, Route):
            found.setdefault(route.path, {"OPTIONS"}).update(route.methods or ())
    return found


ROUTES = routes()
READ = [path for path, methods in ROUTES.items() if "GET" in methods]


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=10) as made:
        yield made


# The description --------------------------------------------------------------------------------------------


def test_it_names_the_address_it_was_asked_at(gateway: GatewayProcess, client: httpx.Client) -> None:
    """Nobody's word about the address counts who isn't trusted."""
    answer = client.get("/openapi.json", headers={"x-forwarded-host": "evil.example"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["openapi"].startswith("3.1.")
    assert answer.json()["servers"] == [{"url": gateway.url}]


def test_behind_a_proxy(launch: Launch) -> None:
    """The address is the one that clients of the proxy use."""
    running = launch(TRANSCRIBER="none", TRUSTED_PROXIES="127.0.0.1")
    headers = {"x-forwarded-proto": "https", "x-forwarded-host": "voice.example"}
    answer = httpx.get(f"{running.url}/openapi.json", headers=headers, trust_env=False)
    assert answer.json()["servers"] == [{"url": "https://voice.example"}]


@pytest.mark.parametrize("path", BOTH)
def test_it_is_sent_again_only_where_it_changed(client: httpx.Client, path: str) -> None:
    """Who has it already is told so."""
    first = client.get(path)
    assert first.headers["cache-control"] == "no-cache"
    known = first.headers["etag"]
    for said in (known, f'"other", W/{known}', "*"):
        again = client.get(path, headers={"if-none-match": said})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", known)
    assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200


def test_the_page_lets_nothing_run(client: httpx.Client) -> None:
    """Its own style sheet, and nothing else."""
    answer = client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    rules = answer.headers["content-security-policy"]
    assert rules.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in rules


def test_a_whole_number_may_be_written_with_a_point(client: httpx.Client) -> None:
    """JSON Schema takes 16000.0 for an integer, and so does the gateway; what it keeps stays as it came."""
    made = client.post(SESSIONS, content='{"sample_rate": 16000.0, "metadata": {"gain": 1.0}}', headers=JSON)
    assert (made.status_code, made.json()["audio"]["sample_rate"]) == (201, 16_000)
    assert '"gain":1.0' in made.text
    for bad in ("16000.5", "1e300", "NaN"):
        refused = client.post(SESSIONS, content=f'{{"sample_rate": {bad}}}', headers=JSON)
        assert refused.status_code in (400, 422)


# What HTTP asks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ROUTES)
def test_options_tell_what_a_path_answers_to(client: httpx.Client, path: str) -> None:
    """So does a refused method; neither looks whether there is such a session."""
    asked = client.options(path)
    assert (asked.status_code, asked.content) == (204, b"")
    assert set(asked.headers["allow"].split(", ")) == ROUTES[path]
    refused = client.patch(path)
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert refused.headers["allow"] == asked.headers["allow"]


def test_options_of_nothing(client: httpx.Client) -> None:
    """A path that isn't there answers to nothing."""
    assert client.options("/nowhere").status_code == 404
    assert client.options("/ws/voice").status_code == 404


@pytest.mark.parametrize("path", READ)
def test_head_says_what_get_says_without_its_body(client: httpx.Client, path: str) -> None:
    """Status and content type are the same; a stream is not begun, and nobody counts as having come."""
    made = client.post(SESSIONS).json()["id"]
    task = client.post(f"{SESSIONS}/{made}/tasks", json={"type": "summary"}).json()["id"]
    while client.get(f"/api/v1/tasks/{task}").json()["state"] != "ready":
        pass
    path = path.replace("{session_id}", made).replace("{task_id}", task)
    head = client.head(path)
    assert head.content == b""
    assert client.get(f"{SESSIONS}/{made}").json()["status"] == "created"
    with client.stream("GET", path) as answer:
        assert (head.status_code, head.headers["content-type"]) == (
            answer.status_code,
            answer.headers["content-type"],
        )
        assert head.status_code == 200


@pytest.mark.parametrize("path", [f"{SESSIONS}/{{}}/events", "/session/{}/stream"])
def test_head_of_a_stream_that_is_not_there(client: httpx.Client, path: str) -> None:
    """It is told as `GET` would be."""
    assert client.head(path.format("A" * 22)).status_code == 404


def test_a_page_on_the_list_asks_first(launch: Launch) -> None:
    """It may use every method there is and read the headers that matter; another's answer names no origin."""
    running = launch(TRANSCRIBER="none", ALLOWED_ORIGINS="https://app.example")
    page = {"origin": "https://app.example"}
    with httpx.Client(base_url=running.url, trust_env=False) as client:
        for path, methods in ROUTES.items():
            for method in methods - {"OPTIONS"}:
                asked = client.options(path, headers={**page, "access-control-request-method": method})
                assert asked.status_code == 200
                assert asked.headers["access-control-allow-origin"] == page["origin"]
                assert "Origin" in asked.headers["vary"]
        plain = client.options(SESSIONS, headers=page)
        assert (plain.status_code, plain.headers["access-control-allow-origin"]) == (204, page["origin"])
        assert "etag" in plain.headers["access-control-expose-headers"].lower()
        stranger = client.options(
            SESSIONS, headers={"origin": "https://evil.example", "access-control-request-method": "POST"}
        )
        assert (stranger.status_code, "access-control-allow-origin" in stranger.headers) == (403, False)


# In a browser -----------------------------------------------------------------------------------------------


def colours(tab: Tab) -> list[str]:
    """Of the text and of what is behind it."""
    look = "getComputedStyle(document.body)"
    found: list[str] = tab.console(f"[{look}.color, {look}.backgroundColor]")
    return found


def test_the_page_in_a_browser(gateway: GatewayProcess) -> None:
    """It fits 320 pixels, has two dresses, works without script and loads nothing else."""
    with chromium(need_file(Path("/usr/share/sounds/alsa/Front_Center.wav"))) as tab:
        tab.call("Emulation.setScriptExecutionDisabled", value=True)
        seen = []
        for width in (320, 1200):
            tab.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=800,
                deviceScaleFactor=1,
                mobile=False,
            )
            for scheme in ("light", "dark"):
                features = [{"name": "prefers-color-scheme", "value": scheme}]
                tab.call("Emulation.setEmulatedMedia", features=features)
                tab.open(f"{gateway.url}/docs")
                assert tab.console("document.documentElement.scrollWidth") <= width
                assert tab.console("document.querySelectorAll('article').length") > 30
                seen.append(colours(tab))
        assert seen[0] == seen[2] != seen[1] == seen[3]
        asked = {
            it["params"]["request"]["url"] for it in tab.events if it["method"] == "Network.requestWillBeSent"
        }
        assert asked <= {f"{gateway.url}/docs", f"{gateway.url}/favicon.ico"}
