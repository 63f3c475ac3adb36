"""What goes wrong before anything was said: the page says what happened, what to do, and works afterwards."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.sessions.keys import Keyring
from gateway.stores.keyfile import save
from tests.e2e.audio import LIBRIVOX
from tests.e2e.browser import Browser, browser
from tests.e2e.conftest import GatewayProcess
from tests.e2e.page import line_to, live_page, screenshot
from tests.needs import need_file

Launch = Callable[..., GatewayProcess]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser that asks before it gives its microphone away."""
    with browser(need_file(LIBRIVOX.format("0870")), asks=True) as one:
        yield one


def test_without_permission(chromium: Browser, gateway: GatewayProcess) -> None:
    """It says how to allow the microphone; once that is done, the same button works."""
    page = live_page(chromium, gateway.url).open()
    chromium.allow("microphone", "denied")
    page.tab.click("#main-button")
    page.tab.until("document.querySelector('#notice').checkVisibility()")
    assert "microphone" in page.text("#notice").lower()
    assert page.text("#main-button") == "Start"
    screenshot(page.tab, "refused")
    chromium.allow("microphone", "granted")
    page.start()
    page.await_events("tone")
    assert not page.shown("#notice")
    page.stop()
    assert page.problems == []
    page.tab.close()


def test_permission_that_is_taken_back(chromium: Browser, gateway: GatewayProcess) -> None:
    """The session stays, and goes on where the microphone comes back."""
    chromium.allow("microphone", "granted")
    page = live_page(chromium, gateway.url).open()
    page.start()
    page.await_events("tone")
    chromium.allow("microphone", "denied")
    page.tab.until("document.querySelector('#notice').checkVisibility()")
    page.tab.click("#notice button:last-child")
    page.tab.until("!document.querySelector('#notice').checkVisibility()")
    page.tab.until("document.querySelector('#notice').checkVisibility()")  # the way back isn't lost with it
    chromium.allow("microphone", "granted")
    heard = len(page.await_events("tone"))
    page.tab.click("#notice button")
    tones = page.await_events("tone", heard + 2)
    assert len({tone["session_id"] for tone in tones}) == 1
    page.stop()
    assert page.problems == []
    page.tab.close()


def test_while_the_server_is_down(chromium: Browser, launch: Launch) -> None:
    """It says so, and offers to try again; nothing has to be loaded anew."""
    chromium.allow("microphone", "granted")
    with line_to(9) as line:
        running = launch(TRANSCRIBER="none", ALLOWED_ORIGINS=line.url)
        line.lead_to(running.port)
        page = live_page(chromium, line.url).open()
        line.lead_to(9)
        page.tab.click("#main-button")
        page.tab.until("document.querySelector('#notice').checkVisibility()")
        assert "gateway" in page.text("#notice")
        screenshot(page.tab, "unreachable")
        line.lead_to(running.port)
        page.tab.click("#notice button")
        page.await_phase("live")
        page.await_events("tone")
        page.stop()
        assert page.problems == []
        page.tab.close()


def test_where_a_key_is_needed(chromium: Browser, launch: Launch, tmp_path: Path) -> None:
    """A wrong one is refused, the right one lets in; an observer's link works once, without the key."""
    chromium.allow("microphone", "granted")
    path = tmp_path / "namespaces.toml"
    ring, made = Keyring().with_key("acme", time.time())
    save(path, ring)
    page = live_page(chromium, launch(TRANSCRIBER="none", NAMESPACES_FILE=str(path)).url).open()
    page.tab.click("#main-button")
    for key in ("acme.wrong", made.bearer):
        page.tab.until("document.querySelector('#access').checkVisibility()")
        page.tab.console("document.querySelector('#key').focus()")
        page.tab.call("Input.insertText", text=key)
        page.tab.press("Enter", 13, "\r")
        page.tab.until("!document.querySelector('#access').checkVisibility()")
    page.await_phase("live")
    page.await_events("tone", 2)
    page.tab.click("#share")
    link = page.tab.until("document.querySelector('#notice input')?.value")
    assert made.bearer not in link
    other = live_page(chromium, page.url)
    other.tab.open(link)
    other.await_events("tone", 3)
    other.tab.reload()
    other.await_phase("live")
    assert other.problems == []
    other.tab.close()
    page.tab.front()
    page.stop()
    page.tab.until("document.querySelector('#after').checkVisibility()")
    page.tab.click("#report")
    page.tab.until("document.querySelector('#made').innerText.length > 0")
    assert page.problems == []
    page.tab.close()
