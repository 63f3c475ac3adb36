"""How the page behaves at its edges: a start that is cancelled, focus, place, a copied tab, a hidden one."""

import json
import time
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from tests.e2e.audio import LIBRIVOX
from tests.e2e.browser import Browser, browser
from tests.e2e.conftest import GatewayProcess
from tests.e2e.page import LivePage, live_page
from tests.needs import need_file

TRACKS = """
const open = MediaDevices.prototype.getUserMedia;
window.tracks = [];
MediaDevices.prototype.getUserMedia = async function (...asked) {
  const stream = await open.apply(this, asked);
  tracks.push(...stream.getTracks());
  await window.allowed;
  return stream;
};
"""
"""Every track of a microphone that was opened; the page gets it when `allowed` has resolved."""
ASKING = TRACKS + "window.allowed = new Promise((done) => (window.allow = done));"
SLOW = (
    TRACKS
    + """
const ask = window.fetch;
window.fetch = (...asked) => new Promise((done) => (window.arrive = () => done(ask(...asked))))
  .then((answer) => (answer.clone().json().then(({ id }) => (window.made = id)), answer));
"""
)
"""Requests leave when `arrive()` is called."""
ALL_STOPPED = "tracks.length && tracks.every(({ readyState }) => readyState === 'ended')"

FILL = """
await (async () => {
  const { NowPanel } = await import("/web/page/now.js");
  const card = document.querySelector("#now");
  const panel = new NowPanel();
  const tone = { label: "tense", confidence: 0.9, arousal: 0.9, shift_direction: "stable",
    shift_magnitude: 0.1, speaker_id: "Speaker A", prosody_flags: [], affect: null, subtext: null };
  const long = { ...tone, confidence: 0.45, shift_direction: "de-escalating", shift_magnitude: 0.9,
    speaker_id: "The second person on the line from the billing department", prosody_flags: %s };
  const badges = %s.map((text, n) => ({ kind: String(n), text }));
  const said = [
    ["Calm", "Steady and even.", tone, badges.slice(0, 1)],
    ["Warmly impatient", "With rising tension, as somebody who has waited for long:", long, badges],
    ["Passive-aggressively courteous disappointment", "Words that go on. ".repeat(20), long, badges],
    ["Quiet", "", null, []],
  ];
  await new Promise(requestAnimationFrame);
  return said.map(([affect, subtext, tone, badges]) => {
    panel.render({ fresh: true, affect, subtext, tone, badges }, ["", ""]);
    return [Math.round(card.getBoundingClientRect().height), card.scrollWidth - card.clientWidth];
  });
})()
"""
"""The card's height, and what sticks out of it: with nothing, words as they come, and far too many."""
FLAGS = ["flat_f0", "loud", "fast", "tense", "breathy", "rising_terminal"]
BADGES = ["On hold, with music", "Street with heavy traffic", "In a moving vehicle", "British English"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser that asks before it gives its microphone away."""
    with browser(need_file(LIBRIVOX.format("0870")), asks=True) as one:
        yield one


@pytest.fixture
def page(chromium: Browser, gateway: GatewayProcess) -> Iterator[LivePage]:
    """The page in a tab of its own, with a microphone that it may have."""
    chromium.allow("microphone", "granted")
    one = live_page(chromium, gateway.url)
    yield one
    assert one.problems == []
    one.forget()


def focused(page: LivePage) -> str:
    """The id of what has the focus."""
    return str(page.tab.console("document.activeElement.id || document.activeElement.tagName"))


def status_of(page: LivePage, session: str) -> str:
    """What the gateway says of a session."""
    with urlopen(f"{page.url}/api/v1/sessions/{session}", timeout=10) as answer:
        return str(json.load(answer)["status"])


# Beginnings -------------------------------------------------------------------------------------------------


def test_a_start_is_cancelled_while_the_microphone_is_asked_for(page: LivePage) -> None:
    """The button takes it back; a microphone that is allowed afterwards is let go of; one can start again."""
    page.tab.call("Page.addScriptToEvaluateOnNewDocument", source=ASKING)
    page.open()
    page.tab.click("#main-button")
    page.tab.until("tracks.length")
    assert page.text("#main-button") == "Cancel"
    time.sleep(1)  # what comes sooner is the second half of a double click
    page.tab.click("#main-button")
    page.await_phase("idle")
    assert (page.text("#main-button"), page.shown("#notice")) == ("Start", False)
    assert focused(page) == "main-button"
    page.tab.console("allow()")
    page.tab.until(ALL_STOPPED)
    time.sleep(1)
    page.start()
    page.await_events("tone")
    page.stop()


def test_a_start_is_cancelled_while_it_connects(page: LivePage) -> None:
    """The microphone is let go of at once; the session that comes of it nevertheless is ended."""
    page.tab.call("Page.addScriptToEvaluateOnNewDocument", source=SLOW)
    page.open()
    page.tab.click("#main-button")
    page.tab.until("window.arrive && tracks.length")
    assert page.text("#main-button") == "Cancel"
    time.sleep(1)
    page.tab.click("#main-button")
    page.await_phase("idle")
    page.tab.until(ALL_STOPPED)
    page.tab.console("arrive()")
    session = page.tab.until("window.made")
    deadline = time.monotonic() + 20
    while status_of(page, session) != "closed" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert status_of(page, session) == "closed"
    assert page.tab.console("sessionStorage.length") == 0
    page.await_phase("idle", 0.1)
    assert page.text("#affect") == "Ready"


# Focus and place --------------------------------------------------------------------------------------------


def test_focus_stays_where_something_can_be_done(chromium: Browser, page: LivePage) -> None:
    """The button in a notice goes with it: the focus is then on the main one."""
    chromium.allow("microphone", "denied")
    page.open()
    page.tab.click("#main-button")
    page.tab.until("document.querySelector('#notice button') !== null")
    chromium.allow("microphone", "granted")
    page.tab.console("document.querySelector('#notice button').focus()")
    page.tab.press("Enter", 13, "\r")
    page.await_phase("live")
    assert focused(page) == "main-button"
    page.await_events("tone")
    page.stop()


@pytest.mark.parametrize("width", [320, 390, 600, 800, 1024, 1400, 1920])
def test_the_card_keeps_its_height(page: LivePage, width: int) -> None:
    """Whatever the words, what stands below it doesn't move, and nothing sticks out."""
    page.tab.size(width, 900)
    page.open()
    shown = page.tab.console(FILL % (json.dumps(FLAGS), json.dumps(BADGES)))
    heights, outside = zip(*shown, strict=True)
    assert set(outside) == {0}
    assert len(set(heights)) == 1, heights


# Microphones ------------------------------------------------------------------------------------------------


def test_a_microphone_that_could_not_be_opened_is_asked_about_again(page: LivePage) -> None:
    """Its notice was put away: nothing is listened to, which is said once more, with the way back."""
    page.open().start()
    page.await_events("tone")
    page.tab.console(
        "navigator.mediaDevices.getUserMedia = async () => {"
        "  throw new DOMException('', 'NotReadableError'); }"
    )
    page.tab.click("#settings-open")
    page.tab.click("[name=processing]")
    page.tab.press("Escape", 27)
    page.tab.until("document.querySelector('#notice').innerText.includes('in use')")
    page.tab.click("#notice button:last-child")
    page.tab.until("!document.querySelector('#notice').checkVisibility()")
    page.tab.until("document.querySelector('#notice').innerText.includes('in use')")
    page.tab.console("delete navigator.mediaDevices.getUserMedia")
    tones = len(page.await_events("tone"))
    page.tab.click("#notice button")
    page.await_events("tone", tones + 1)
    page.stop()


def test_a_microphone_of_before_stays_chosen(chromium: Browser, page: LivePage) -> None:
    """Until one is allowed, no name of any is known: what else is changed doesn't take the choice away."""
    chromium.allow("microphone", "prompt")
    page.open()
    page.tab.console("""localStorage["undertone.settings"] = '{"device":"far-away"}'""")
    page.open()
    page.tab.click("#settings-open")
    page.tab.until("document.querySelectorAll('#device option').length")
    page.tab.click("[name=elcor]")
    stored = json.loads(page.tab.console("localStorage['undertone.settings']"))
    assert (stored["device"], stored["elcor"]) == ("far-away", True)
    assert page.tab.console("document.querySelector('#device').value") == "far-away"


# A copied tab -----------------------------------------------------------------------------------------------


def test_a_duplicated_tab_leaves_the_session_alone(chromium: Browser, page: LivePage) -> None:
    """It has a copy of what the first remembers, but begins anew: the session stays where it is."""
    page.open().start()
    tones = len(page.await_events("tone", 2))
    page.tab.until("sessionStorage.length > 0")
    kept = page.tab.console("JSON.stringify({ ...sessionStorage })")
    assert "memento" in kept
    copy = live_page(chromium, page.url)
    fill = f"Object.assign(sessionStorage, {kept});"
    copy.tab.call("Page.addScriptToEvaluateOnNewDocument", source=fill)
    copy.open()
    copy.await_phase("starting", 1)
    copy.await_phase("idle", 5)
    copy.tab.until("document.querySelector('#notice').innerText.includes('another tab')")
    assert copy.heard == []
    page.tab.front()
    page.await_events("tone", tones + 2)
    page.await_phase("live", 1)
    page.stop()
    assert copy.problems == []
    copy.tab.close()


# A hidden one -----------------------------------------------------------------------------------------------


def test_the_title_is_true_while_the_page_is_hidden(chromium: Browser, page: LivePage) -> None:
    """Nothing is drawn there, but who looks for the tab reads in what state it is."""
    page.open()
    choose_short(page)
    page.tab.click("#main-button")
    page.await_phase("live")
    other = chromium.tab()
    page.tab.until("document.visibilityState === 'hidden'")
    page.await_events("summary")
    page.tab.until("document.title.startsWith('Ended')", 5)
    other.close()
    page.tab.front()


def choose_short(page: LivePage) -> None:
    """A recording of little more than a second, in place of the microphone."""
    page.tab.click("#settings-open")
    page.tab.until("document.querySelector('#settings').open")
    page.tab.console(
        "const source = document.querySelector('#source'); source.value = 'file';"
        "source.dispatchEvent(new Event('change', { bubbles: true }))"
    )
    root = page.tab.call("DOM.getDocument")["root"]["nodeId"]
    node = page.tab.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    talk = str(need_file("/usr/share/sounds/alsa/Front_Center.wav"))
    page.tab.call("DOM.setFileInputFiles", nodeId=node, files=[talk])
    page.tab.press("Escape", 27)
    page.tab.until("!document.querySelector('#settings').open")
