"""A page that knows only the older routes, from another origin, in a real browser with a real voice."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.audio import LIBRIVOX
from tests.e2e.browser import Browser, Tab, chromium
from tests.e2e.conftest import GatewayProcess
from tests.needs import need_file

HERE = Path(__file__).parent


class Files(SimpleHTTPRequestHandler):
    """The files of a folder, without a word."""

    timeout = 5  # seconds; browsers also connect without asking for anything

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The origin that the page is from."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(HERE))) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join(5)


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """A browser into whose microphone somebody reads."""
    with chromium(need_file(LIBRIVOX.format("0870"))) as page:
        yield page


class Page:
    """The page in its tab, and another tab that can be in front of it."""

    def __init__(self, tab: Tab, site: str, gateway: GatewayProcess) -> None:
        self._tab = tab
        self._others: list[Tab] = []
        self.gateway = gateway
        tab.open(f"{site}/legacy_page.html?gateway={gateway.url}")

    def ask(self, source: str) -> Any:
        """What the console says."""
        return self._tab.console(source)

    def until(self, source: str, seconds: float = 20) -> None:
        """Wait for something to become true."""
        self._tab.until(source, seconds)

    def hide(self) -> None:
        """Another tab comes to the front."""
        self._others.append(Browser(self._tab.wire).tab())
        self.until("document.visibilityState === 'hidden'", 5)

    def show(self) -> None:
        """This one does again."""
        self._tab.front()
        self.until("document.visibilityState === 'visible'", 5)
        while self._others:
            self._others.pop().close()

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The events on the page, oldest first."""
        found: list[dict[str, Any]] = self.ask("shown")
        return found

    def tones(self) -> list[float]:
        """When each tone on the page was heard, in seconds of audio."""
        return [one["timestamp"] for one in self.shown if one["event_type"] == "tone"]


@pytest.fixture
def open_page(tab: Tab, site: str, launch: Callable[..., GatewayProcess]) -> Callable[..., Page]:
    """Opens the page on a gateway of its own, which lets its origin in."""

    def opened(**settings: str) -> Page:
        return Page(tab, site, launch(TRANSCRIBER="none", ALLOWED_ORIGINS=site, **settings))

    return opened


def test_an_older_page_works_as_it_stands(open_page: Callable[..., Page]) -> None:
    """It starts, is ready, streams its microphone, shows tones; is hidden, comes back, shows nothing twice.

    What was said while it was hidden is in the history, and was never shown. After the end it learns that its
    session is gone.
    """
    page = open_page()
    started = page.ask("await begin({ elcor: true, mood: 'unknown to us' })")
    assert (started["state"], started["elcor"], started["tier"]) == ("running", True, "free")
    page.until("shown.filter(one => one.event_type === 'tone').length >= 3", 30)
    before = page.tones()

    page.hide()
    assert page.ask("stream") is None
    time.sleep(3.5)
    assert page.tones() == before or len(page.tones()) == len(before) + 1  # one may have been under way
    page.show()
    page.until(f"shown.filter(one => one.event_type === 'tone').length >= {len(before) + 3}", 30)

    tones = page.tones()
    assert tones == sorted(set(tones)), "something was shown twice, or late"
    told = [(one["event_type"], one["timestamp"], one["label"]) for one in page.shown]
    assert len(told) == len(set(told))
    assert page.ask("document.querySelectorAll('#heard li').length") == len(told)
    assert page.ask("service") == ["ready", "ready"]
    assert len(page.ask("locks")) == 2

    assert page.ask("await end()") == {"session_id": started["session_id"], "state": "stopped"}
    session = f"{page.gateway.url}/session/{started['session_id']}"
    kept = httpx.get(f"{session}/history", params={"limit": 1_000}, trust_env=False).json()
    missed = {one["timestamp"] for one in kept["events"]} - set(page.tones())
    assert len(missed) >= 2
    assert httpx.get(session, trust_env=False).status_code == 404
    page.until("stream.readyState === EventSource.CLOSED", 10)
    assert page.ask("answers.refused") == []
    assert page.ask("answers.closed") == 1000
    assert page.ask("answers.bytes === 3200 * answers.ok")


def test_an_audio_socket_that_was_lost_is_opened_again(open_page: Callable[..., Page]) -> None:
    """The session's audio goes on where it was, and so do its tones."""
    page = open_page()
    page.ask("await begin()")
    page.until("shown.some(one => one.event_type === 'tone')", 30)
    page.hide()
    page.ask("socket.close()")
    page.until("socket === null")
    before = max(page.tones())
    page.show()
    page.until(f"shown.some(one => one.event_type === 'tone' && one.timestamp > {before})", 30)
    tones = page.tones()
    assert tones == sorted(set(tones))
    assert max(tones) < before + 30
    page.ask("await end()")


def test_a_page_that_was_away_for_too_long_is_told(open_page: Callable[..., Page]) -> None:
    """Nobody watched for longer than the session waits: the liveness request says that it is gone."""
    page = open_page(SESSION_DETACHED_TTL_S="1.5")
    page.ask("await begin()")
    page.until("answers.ok > 5")
    page.hide()
    page.ask("socket.close()")
    time.sleep(3)
    page.show()
    page.until("document.getElementById('state').textContent === 'expired'", 5)
