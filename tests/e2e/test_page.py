"""A person opens the page, presses a button, speaks; goes away, comes back; ends, and keeps what was said."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.proxy import Link
from tests.e2e.audio import LIBRIVOX
from tests.e2e.browser import Browser, browser
from tests.e2e.conftest import GatewayProcess
from tests.e2e.page import Line, LivePage, complete, line_to, live_page, screenshot, seqs
from tests.needs import need_file

Launch = Callable[..., GatewayProcess]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser into whose microphone somebody reads."""
    with browser(need_file(LIBRIVOX.format("0870"))) as one:
        yield one


@pytest.fixture
def page(chromium: Browser, gateway: GatewayProcess) -> Iterator[LivePage]:
    """The page of the gateway that most tests share, in a tab of its own."""
    one = live_page(chromium, gateway.url)
    yield one
    assert one.problems == []
    one.forget()


@pytest.fixture
def line() -> Iterator[Line]:
    """A network that leads nowhere yet."""
    with line_to(9) as one:
        yield one


@pytest.fixture
def far(chromium: Browser, line: Line, launch: Launch) -> Iterator[Callable[..., LivePage]]:
    """Opens pages of a gateway of the test's own, behind that network."""
    opened: list[LivePage] = []

    def go(**settings: str) -> LivePage:
        running = launch(**{"TRANSCRIBER": "none", "ALLOWED_ORIGINS": line.url, **settings})
        line.lead_to(running.port)
        opened.append(live_page(chromium, line.url))
        return opened[-1].open()

    yield go
    for one in opened:
        assert one.problems == []
        one.forget()


def choose(page: LivePage, talk: str | None) -> None:
    """In the settings, a recording; None names no file yet."""
    page.tab.click("#settings-open")
    page.tab.until("document.querySelector('#settings').open")
    page.tab.console(
        "const source = document.querySelector('#source'); source.value = 'file';"
        "source.dispatchEvent(new Event('change', { bubbles: true }))"
    )
    if talk is not None:
        root = page.tab.call("DOM.getDocument")["root"]["nodeId"]
        node = page.tab.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
        page.tab.call("DOM.setFileInputFiles", nodeId=node, files=[str(need_file(talk))])
    page.tab.press("Escape", 27)
    page.tab.until("!document.querySelector('#settings').open")


# Speaking ---------------------------------------------------------------------------------------------------


def test_one_button_and_it_shows_how_it_sounds(chromium: Browser, launch: Launch) -> None:
    """Tone, speaker, words and the account at the end are on the page, in words."""
    page = live_page(chromium, launch().url).open()
    assert page.text("#main-button") == "Start"
    screenshot(page.tab, "ready")
    page.start()
    assert page.text("#main-button") == "Stop"
    tones = page.await_events("tone", 3)
    assert "Live" in page.text("#state")
    assert page.text("#subtext") in {tone["subtext"] for tone in tones}
    assert "Speaker A" in page.text("#who")
    assert re.search(r"\d+ of 100", page.text("#sure"))
    page.tab.until("document.querySelector('#lines').children.length > 0", 30)
    screenshot(page.tab, "live")
    page.stop()
    (summary,) = page.await_events("summary")
    assert summary["gap_samples"] == 0
    assert summary["received_samples"] > 3 * 16_000
    page.tab.until("document.querySelector('#after').checkVisibility()")
    assert page.text("#main-button").startswith("Start")
    final = next(
        event for event in reversed(page.heard) if event["type"] == "transcript" and event["is_final"]
    )
    assert final["text"].split()[0] in page.text("#lines")
    assert complete(page.heard)
    screenshot(page.tab, "ended", whole=True)
    assert page.problems == []
    page.forget()


def test_settings_count_at_once_and_stay(page: LivePage) -> None:
    """What is changed in a session is in force from the next window; a reload knows it."""
    page.open().start()
    page.await_events("tone")
    page.tab.click("#settings-open")
    page.tab.click("[name=elcor]")
    page.tab.press("Escape", 27)
    page.tab.until("!document.querySelector('#settings').open")
    assert page.await_events("configured")[-1]["elcor"] is True
    page.tab.until("document.querySelector('#subtext').innerText.endsWith(':')")
    page.stop()
    page.open()
    page.tab.click("#settings-open")
    page.tab.until("document.querySelector('#settings').open")
    assert page.tab.console("document.querySelector('[name=elcor]').checked") is True


def test_a_recording_instead_of_a_microphone(page: LivePage) -> None:
    """It is heard at the pace it was spoken, to its last sample, and ends by itself."""
    page.open()
    choose(page, "/usr/share/sounds/alsa/Front_Center.wav")
    started = time.monotonic()
    page.start()
    page.await_phase("ended")
    (summary,) = page.await_events("summary")
    assert summary["duration_s"] == pytest.approx(1.428, abs=0.002)
    assert time.monotonic() - started > summary["duration_s"]
    assert (summary["gap_samples"], summary["classified_samples"]) == (0, summary["received_samples"])


def test_a_double_click_is_one(page: LivePage) -> None:
    """It starts, or stops: what the second click would do is not done."""
    page.open()
    page.tab.click("#main-button")
    page.await_phase("live")
    page.tab.click("#main-button")
    page.await_events("tone")
    page.stop()
    page.tab.click("#main-button")
    time.sleep(1)
    page.await_phase("ended", 0.1)
    assert page.shown("#after")


def test_a_recording_chosen_while_a_microphone_is_heard(page: LivePage) -> None:
    """The microphone is let go of at once; the recording is heard in its place, to its end."""
    page.open().start()
    page.await_events("tone")
    choose(page, None)
    time.sleep(3)
    choose(page, "/usr/share/sounds/alsa/Front_Center.wav")
    page.await_phase("ended")
    (summary,) = page.await_events("summary")
    assert 22_848 < summary["received_samples"] < 22_848 + 3 * 16_000


# Away and back ----------------------------------------------------------------------------------------------


def test_a_lost_connection_loses_nothing(far: Callable[..., LivePage], line: Line) -> None:
    """Cut twice while somebody speaks: no event is missing or comes twice, no sample is lost."""
    page = far()
    page.start()
    page.await_events("tone", 2)
    for again in (4, 6):
        assert line.each(Link.cut) >= 1
        page.await_events("tone", again)
    page.await_phase("live")
    page.stop()
    (summary,) = page.await_events("summary")
    assert (summary["gap_samples"], summary["client_gap_samples"]) == (0, 0)
    assert complete(page.heard)
    tones = page.await_events("tone")
    assert [tone["start_sample"] for tone in tones[1:]] == [tone["end_sample"] for tone in tones[:-1]]
    assert sum(event["type"] == "welcome" for event in page.heard) == 3


def test_a_network_that_is_too_slow(far: Callable[..., LivePage], line: Line) -> None:
    """The page waits and says so; what can't be sent is declared, and it goes on where it can."""
    page = far()
    page.start()
    page.await_events("tone", 2)
    sample = page.await_events("tone")[-1]["end_sample"]

    def slow(link: Link) -> None:
        link.up.delay_s = link.down.delay_s = 0.3

    def quick(link: Link) -> None:
        link.up.delay_s = link.down.delay_s = 0.0

    line.each(slow)
    page.await_events("tone", 5)
    line.each(quick)
    line.each(Link.stall)
    time.sleep(8)
    line.each(Link.flow)
    page.await_phase("live", 60)
    later = page.await_events("tone", 8, seconds=60)[-1]["end_sample"]
    assert later > sample
    page.stop()
    (summary,) = page.await_events("summary")
    assert complete(page.heard)
    gaps = [event for event in page.heard if event["type"] == "gap"]
    assert 1 <= sum(gap["reason"] == "client" for gap in gaps) <= 3  # not one for each piece of audio
    assert summary["gap_samples"] == sum(gap["end_sample"] - gap["start_sample"] for gap in gaps)
    assert summary["next_sample"] == summary["classified_samples"] + summary["gap_samples"]


def test_a_hidden_page_keeps_its_session(chromium: Browser, page: LivePage) -> None:
    """Another tab in front, then the page stopped by the browser, as on a phone: afterwards it goes on."""
    page.open().start()
    page.await_events("tone", 2)
    other = chromium.tab()
    page.tab.until("document.visibilityState === 'hidden'")
    page.tab.call("Page.setWebLifecycleState", state="frozen")
    time.sleep(4)
    page.tab.call("Page.setWebLifecycleState", state="active")
    other.close()
    page.tab.front()
    page.tab.until("document.visibilityState === 'visible'")
    tones = len(page.await_events("tone"))
    page.await_events("tone", tones + 2)
    assert page.shown("#main-button")
    page.stop()
    assert complete(page.heard)


def test_a_session_that_timed_out_meanwhile(
    chromium: Browser, far: Callable[..., LivePage], line: Line
) -> None:
    """A notice says so calmly, what was said is still there, and a new one begins at a press."""
    page = far(SESSION_DETACHED_TTL_S="1")
    page.start()
    first = page.await_events("tone", 2)[0]["session_id"]
    other = chromium.tab()
    page.tab.until("document.visibilityState === 'hidden'")
    page.tab.call("Page.setWebLifecycleState", state="frozen")
    line.each(Link.cut)
    time.sleep(4)
    page.tab.call("Page.setWebLifecycleState", state="active")
    other.close()
    page.tab.front()
    page.await_phase("expired")
    assert "timed out" in page.text("#notice")
    assert "rror" not in page.text("#notice")
    screenshot(page.tab, "expired")
    page.tab.click("#notice button")
    page.await_phase("live")
    page.tab.until(f"heard.some(({{ type, session_id }}) => type === 'tone' && session_id !== {first!r})")
    page.stop()


def test_a_reloaded_page_goes_on(page: LivePage) -> None:
    """The same session, what was heard before, and the microphone."""
    page.open().start()
    before = page.await_events("tone", 3)
    page.tab.reload()
    page.await_phase("live")
    after = page.await_events("tone", len(before) + 2)
    assert {tone["session_id"] for tone in after} == {before[0]["session_id"]}
    page.stop()
    (summary,) = page.await_events("summary")
    assert summary["gap_samples"] == 0
    page.tab.until("document.querySelector('#after').checkVisibility()")
    page.tab.reload()
    page.tab.until("document.querySelector('#state').dataset.phase === 'idle'")


# Two of them ------------------------------------------------------------------------------------------------


def test_a_second_tab_follows(chromium: Browser, page: LivePage) -> None:
    """With the link that the first one gives it sees the same, touches nothing, and its address is clean."""
    page.open().start()
    page.await_events("tone", 2)
    page.tab.click("#share")
    link = page.tab.until("document.querySelector('#notice input')?.value")
    other = live_page(chromium, page.url)
    other.tab.open(link)
    other.await_phase("live")
    assert other.tab.console("location.hash") == ""
    assert not other.shown("#main-button")
    assert not other.shown("#settings-open")
    other.await_events("tone", 4)
    screenshot(other.tab, "watching")
    other.tab.reload()
    other.await_phase("live")
    page.tab.front()
    page.stop()
    other.tab.front()  # a hidden page draws nothing
    other.await_phase("ended")
    mine = {event["seq"]: event for event in page.heard if "seq" in event}
    theirs = {event["seq"] for event in other.heard if "seq" in event}
    assert max(mine) in theirs
    assert other.text("#subtext") == page.text("#subtext")
    assert other.problems == []
    other.tab.console("sessionStorage.clear()")
    other.tab.close()


# What is kept -----------------------------------------------------------------------------------------------


def test_a_report_and_a_file(page: LivePage, tmp_path: Path) -> None:
    """The report opens as a page of its own; captions are saved as a file."""
    page.open().start()
    page.await_events("tone", 2)
    page.stop()
    page.tab.wire.call(
        None, "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    page.tab.click("#export")
    deadline = time.monotonic() + 20
    while not (saved := list(tmp_path.glob("*.vtt"))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert saved[0].read_text(encoding="utf-8").startswith("WEBVTT")
    page.tab.click("#report")
    address = page.tab.until("document.querySelector('#report-link a')?.href")
    report = live_page(Browser(page.tab.wire), page.url)
    report.tab.open(address)
    assert "Conversation report" in report.tab.console("document.title")
    assert page.heard[0]["type"] == "welcome"
    assert report.tab.console("document.querySelectorAll('svg').length") >= 1
    screenshot(report.tab, "report", whole=True)
    report.tab.close()
    page.tab.front()


def test_what_is_remembered_is_no_more_than_needed(page: LivePage) -> None:
    """Settings in the browser, the way back in the tab; no word that was said is in either."""
    page.open().start()
    page.await_events("tone", 2)
    stored = page.tab.console("JSON.stringify([{ ...localStorage }, { ...sessionStorage }])")
    lasting, passing = json.loads(stored)
    assert all("session" not in key for key in lasting)
    assert "subtext" not in stored
    assert any("memento" in key or "memento" in value for key, value in passing.items())
    page.stop()
    assert seqs(page.heard)
