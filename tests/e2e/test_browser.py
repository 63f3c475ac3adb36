"""The README's browser client in a real browser, and pages that have no business here."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.e2e.audio import LIBRIVOX
from tests.e2e.browser import Tab, chromium
from tests.e2e.conftest import ROOT, GatewayProcess
from tests.needs import need_file

CLIENT = ROOT / "docs" / "examples" / "client.js"

KNOCK = """await new Promise(done => {
  const socket = new WebSocket("ADDRESS", "undertone.v1.json");
  socket.onopen = () => done("open");
  socket.onerror = () => done("refused");
})"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """A browser into whose microphone somebody reads."""
    with chromium(need_file(LIBRIVOX.format("0870"))) as page:
        yield page


class Blank(BaseHTTPRequestHandler):
    """An empty page."""

    timeout = 5  # seconds; browsers also connect without asking for anything

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The address of a page on another port, which is another origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Blank) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        serving.join(5)


def heard(tab: Tab, kind: str, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """The first event of that type in the console, and the types before it."""
    before: list[str] = []
    deadline = time.monotonic() + seconds
    while (event := tab.logged(deadline - time.monotonic()))["type"] != kind:
        before.append(event["type"])
    return event, before


def test_the_readme_s_client_works_as_it_stands(gateway: GatewayProcess, tab: Tab) -> None:
    """Pasted into the console of the gateway's page it streams the microphone and shows what is heard."""
    tab.open(f"{gateway.url}/")
    started = time.monotonic()
    tab.console(CLIENT.read_text(encoding="utf-8"))
    welcome, before = heard(tab, "welcome", 10)
    assert before == []
    assert welcome["audio"] == {"encoding": "pcm_s16le", "sample_rate": 16_000, "channels": 1}
    tone, _ = heard(tab, "tone", 30)
    assert tone["session_id"] == welcome["session_id"]
    assert tone["subtext"].endswith(":")  # Elcor style, as it asked
    assert tab.console("microphone.processing") == []

    tab.console("await microphone.stop(); await session.end()")
    summary, _ = heard(tab, "summary", 20)
    took_s = time.monotonic() - started
    assert tone["end_sample"] <= summary["received_samples"] <= took_s * 16_000
    assert summary["next_sample"] == summary["classified_samples"] + summary["gap_samples"]
    assert (summary["pending_samples"], summary["client_gap_samples"]) == (0, 0)


def test_a_page_from_elsewhere_gets_no_websocket(gateway: GatewayProcess, tab: Tab, elsewhere: str) -> None:
    """The same lines open a WebSocket on the gateway's page, and are refused with 403 on another's."""
    knock = KNOCK.replace("ADDRESS", gateway.ws_url)
    tab.open(f"{gateway.url}/")
    assert tab.console(knock) == "open"
    tab.open(elsewhere)
    assert tab.console(knock) == "refused"
    told = tab.wait("Network.webSocketFrameError", seconds=5)
    assert "Unexpected response code: 403" in told["errorMessage"]
