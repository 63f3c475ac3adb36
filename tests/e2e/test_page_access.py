"""The page is for everybody: axe finds nothing (WCAG 2.2 AA), the keyboard is enough, it fits a phone."""

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.e2e.audio import LIBRIVOX
from tests.e2e.browser import Browser, browser
from tests.e2e.conftest import GatewayProcess
from tests.e2e.page import LivePage, axe, live_page, screenshot
from tests.needs import need_file, need_node

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS: dict[str, dict[str, str]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "contrast": {"color_scheme": "light", "contrast": "more"},
}
SIZES = {"phone": (320, 640), "desktop": (1280, 900)}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser into whose microphone somebody reads."""
    need_node("axe-core")
    with browser(need_file(LIBRIVOX.format("0870"))) as one:
        yield one


@pytest.fixture
def page(chromium: Browser, gateway: GatewayProcess) -> Iterator[LivePage]:
    """The page, loaded."""
    one = live_page(chromium, gateway.url).open()
    yield one
    assert one.problems == []
    one.forget()


def violations(page: LivePage) -> list[str]:
    """What axe has against the page as it is now, once nothing fades: half-way, colours are neither."""
    page.tab.console(axe() + "; 0")
    page.tab.console(
        """(await Promise.allSettled(document.getAnimations()
              .filter((one) => one.effect.getComputedTiming().endTime !== Infinity)
              .map((one) => one.finished)), 0)"""
    )
    found = page.tab.console(
        f"""(await axe.run(document, {{ runOnly: {json.dumps(TAGS)} }})).violations.map(({{ id, nodes }}) =>
              `${{id}}: ${{nodes.map((node) => node.target + " " + node.failureSummary).join("; ")}}`)"""
    )
    return list(found)


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing(page: LivePage, look: str) -> None:
    """Before, while and after, with the settings open, on a phone and on a desk."""
    page.tab.prefer(**LOOKS[look])
    found: dict[str, list[str]] = {}

    def check(name: str) -> None:
        for size, (width, height) in SIZES.items():
            page.tab.size(width, height)
            found[f"{name}, {size}"] = violations(page)
            screenshot(page.tab, f"{name}-{look}-{size}", whole=True)

    check("ready")
    page.start()
    page.await_events("tone", 3)
    check("live")
    page.tab.click("#settings-open")
    page.tab.until("document.querySelector('#settings').open")
    check("settings")
    page.tab.press("Escape", 27)
    page.stop()
    page.tab.until("document.querySelector('#after').checkVisibility()")
    check("ended")
    assert {name: ones for name, ones in found.items() if ones} == {}


def test_nothing_hangs_over_on_a_phone(page: LivePage) -> None:
    """320 CSS pixels are enough, as at 400 % on a desk: nothing scrolls sideways (WCAG 1.4.10)."""
    page.tab.size(320, 640)
    page.start()
    page.await_events("tone", 2)
    assert page.tab.console("document.documentElement.scrollWidth") <= 320
    page.tab.click("#settings-open")
    page.tab.until("document.querySelector('#settings').open")
    assert page.tab.console("document.documentElement.scrollWidth") <= 320
    assert page.tab.console("document.querySelector('#settings').scrollWidth") <= 320
    page.tab.press("Escape", 27)
    page.stop()
    page.tab.until("document.querySelector('#after').checkVisibility()")
    assert page.tab.console("document.documentElement.scrollWidth") <= 320


def test_what_can_be_pressed_is_large_enough(page: LivePage) -> None:
    """24 by 24 CSS pixels at least (WCAG 2.5.8)."""
    small = page.tab.console(
        """[...document.querySelectorAll("button, select, input, summary")]
             .filter((one) => one.checkVisibility())
             .map((one) => [one.id, one.getBoundingClientRect()])
             .filter(([, box]) => box.width < 24 || box.height < 24)
             .map(([id]) => id)"""
    )
    assert small == []


def test_the_keyboard_is_enough(page: LivePage) -> None:
    """Controls are reached with Tab, and show it; the timeline goes from event to event by its arrows."""
    tab = page.tab
    seen: list[str] = []
    for _ in range(12):
        tab.press("Tab", 9)
        seen.append(tab.console("document.activeElement.id || document.activeElement.className"))
        if tab.console("document.activeElement === document.body"):
            continue
        ring = tab.console(
            "(({ outlineStyle, outlineWidth, boxShadow }) => [outlineStyle, outlineWidth, boxShadow])"
            "(getComputedStyle(document.activeElement))"
        )
        assert (ring[0] != "none" and ring[1] != "0px") or ring[2] != "none", seen[-1]
        if seen[-1] == "main-button":
            break
    assert seen[0] == "skip"
    assert seen[-1] == "main-button"
    tab.press("Enter", 13, "\r")
    page.await_phase("live")
    page.await_events("tone", 3)
    tab.console("document.querySelector('#timeline').focus()")
    tab.press("End", 35)
    value = "document.querySelector('#timeline').getAttribute('aria-valuetext')"
    tab.until(f"{value} !== 'Nothing selected'")
    last = tab.console(value)
    tab.press("ArrowLeft", 37)
    assert tab.console(value) != last
    tab.press("Escape", 27)
    tab.console("document.querySelector('#main-button').focus()")
    tab.press(" ", 32, " ")
    page.await_phase("ended")


def test_a_screen_reader_is_told_at_a_bearable_pace(page: LivePage) -> None:
    """The live region changes when the connection or the tone does, and not with every event."""
    page.tab.console(
        """const region = document.querySelector("#announcer");
           window.told = [];
           new MutationObserver(() => told.push(region.innerText))
             .observe(region, { childList: true, characterData: true, subtree: true });
           0"""
    )
    page.start()
    page.await_events("tone", 8)
    told = [text for text in page.tab.console("told") if text]
    assert told
    assert len(told) < 8
    assert all(one != another for one, another in pairwise(told))
    regions = page.tab.console("[...document.querySelectorAll('[aria-live]')].map((one) => one.ariaLive)")
    assert "assertive" not in regions
    page.stop()


def test_with_less_motion_nothing_moves_by_itself(page: LivePage) -> None:
    """No transition and no animation lasts (WCAG 2.3.3)."""
    page.tab.prefer(reduced_motion="reduce")
    page.start()
    page.await_events("tone", 2)
    lasting = page.tab.console(
        "document.getAnimations().filter((one) => one.effect.getComputedTiming().duration > 10).length"
    )
    assert lasting == 0
    page.stop()
