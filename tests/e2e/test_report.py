"""The report in a real browser: what a screen reader finds, and what eyes do, on a screen and on paper."""

import asyncio
import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from gateway.tasks.report import render_html, render_svg
from gateway.tasks.story import Story
from protocol.audio import AudioFormat
from protocol.client import Client, connect
from protocol.codec import decode_event
from protocol.control import SessionConfig
from protocol.events import DurableEvent
from protocol.version import Encoding
from tests.e2e.audio import HOLD_MUSIC, LIBRIVOX, pcm, recording, speech
from tests.e2e.browser import Tab, chromium
from tests.e2e.conftest import GatewayProcess
from tests.gateway.tasks.report.stories import call, day, empty
from tests.needs import need_file, need_module

SMALLEST_TEXT, SMALLEST_SHAPE = 4.5, 3.0
"""Contrast that WCAG 2.2 asks of text (1.4.3) and of what a drawing means (1.4.11)."""
SCHEMES = ("light", "dark")
STORIES = {"call": call, "day": lambda: day(1), "empty": empty}

# Each text with the nearest ground that is painted behind it, as the colours the browser computed.
CONTRASTS = """(() => {
  const found = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const ground = element => {
    if (element.closest("svg")) {
      const under = element.previousElementSibling;
      const inside = under && under.matches("rect.block") && element.matches(".word");
      return getComputedStyle(inside ? under : element.closest("svg").querySelector(".paper")).fill;
    }
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
  };
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const ink = element.closest("svg") ? style.fill : style.color;
    found.set([ink, ground(element)].join("|"), walker.currentNode.data.trim().slice(0, 40));
  }
  return [...found].map(([pair, text]) => [...pair.split("|"), text]);
})()"""

# The outlines and pattern lines of the drawing that is shown, with the fill they lie on.
STROKES = """(() => {
  const svg = [...document.querySelectorAll("svg")].find(one => one.getClientRects().length);
  const fill = selector => [...svg.querySelectorAll(selector)].map(one => getComputedStyle(one).fill);
  const grounds = [...fill(".paper"), ...fill(".tint"), ...fill(".block")];
  const inks = [...svg.querySelectorAll(".ink, .bar, .block")].map(one => getComputedStyle(one).stroke);
  return [...new Set(inks)].flatMap(ink => [...new Set(grounds)].map(ground => [ink, ground]));
})()"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """A browser that minds its console, its requests and its accessibility tree."""
    with chromium(need_file(LIBRIVOX.format("0870"))) as page:
        for domain in ("Log", "Accessibility", "DOM"):
            page.call(f"{domain}.enable")
        yield page


@pytest.fixture
def page(tab: Tab, tmp_path: Path) -> Iterator[Callable[..., Tab]]:
    """Shows a story, or a document, at a width and in a colour scheme."""

    def show(told: Story | str, *, width: int = 1_000, scheme: str = "light", suffix: str = "html") -> Tab:
        media = {"name": "prefers-color-scheme", "value": scheme}
        tab.call("Emulation.setEmulatedMedia", media="screen", features=[media])
        tab.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        file = tmp_path / f"report.{suffix}"
        file.write_text(told if isinstance(told, str) else render_html(told), encoding="utf-8")
        tab.events.clear()
        tab.open(file.as_uri())
        return tab

    yield show
    tab.call("Emulation.clearDeviceMetricsOverride")


def complaints(tab: Tab) -> list[str]:
    """What the console says, errors and remarks alike."""
    tab.console("1")  # whatever was on its way is here afterwards
    return [
        str(event["params"])
        for event in tab.events
        if event["method"] in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    ]


def requests(tab: Tab) -> list[str]:
    """What was asked for, anywhere."""
    asked = [event["params"] for event in tab.events if event["method"] == "Network.requestWillBeSent"]
    return [one["request"]["url"].rpartition("/")[2] for one in asked]


def tree(tab: Tab) -> list[tuple[str, str, dict[str, Any]]]:
    """What a screen reader is given: role, name and properties, in order, what is ignored left out."""
    nodes = {node["nodeId"]: node for node in tab.call("Accessibility.getFullAXTree")["nodes"]}
    waiting, found = [next(iter(nodes))], []
    while waiting:
        node = nodes.get(waiting.pop())
        if node is None:
            continue
        waiting += reversed(node["childIds"])
        if not node["ignored"]:
            properties = {one["name"]: one["value"].get("value") for one in node.get("properties", [])}
            properties["description"] = node.get("description", {}).get("value", "")
            found.append((node["role"]["value"], node.get("name", {}).get("value", ""), properties))
    return found


def press(tab: Tab, key: str, code: int) -> None:
    """One key, down and up."""
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


def contrast(one: str, other: str) -> float:
    """The ratio of two colours as browsers write them (WCAG 2.2, relative luminance)."""
    lights = []
    for colour in (one, other):
        assert colour.startswith("rgb("), colour
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("name", STORIES)
def test_nothing_is_asked_for_and_nothing_complains(page: Callable[..., Tab], name: str) -> None:
    """The page is all there is: one file, no further request, an empty console."""
    tab = page(STORIES[name]())
    assert requests(tab) == ["report.html"]
    assert complaints(tab) == []


def test_what_got_in_would_do_nothing(page: Callable[..., Tab]) -> None:
    """Were a script, a style, a handler or a picture ever in the page, its policy stops them."""
    smuggled = (
        "<script>window.taken = 1</script><style>body{display:none}</style>"
        "<p id='marked' style='color:red' onclick='window.taken = 1'>x</p>"
        "<img src='https://example.invalid/x.png'>"
    )
    tab = page(render_html(call()).replace("</main>", f"{smuggled}</main>"))
    tab.console("document.querySelector('#marked').click()")
    assert tab.console("window.taken") is None
    assert tab.console("getComputedStyle(document.body).display") == "block"
    assert tab.console("getComputedStyle(document.querySelector('#marked')).color") != "rgb(255, 0, 0)"
    failed = [event["params"] for event in tab.events if event["method"] == "Network.loadingFailed"]
    assert all(one.get("blockedReason") == "csp" for one in failed)
    assert len(complaints(tab)) >= 4


def test_a_screen_reader_finds_its_way(page: Callable[..., Tab]) -> None:
    """Landmarks, an outline of headings, a drawing with words, tables with captions and heads, a list."""
    tab = page(call())
    found = tree(tab)
    roles = [role for role, _, _ in found]
    for landmark in ("banner", "navigation", "main", "contentinfo"):
        assert roles.count(landmark) == 1, landmark
    headings = [(prop["level"], name) for role, name, prop in found if role == "heading"]
    assert headings[0] == (1, "Conversation report")
    assert [name for level, name in headings if level == 2] == [
        "In short",
        "Before you read on",
        "Timeline",
        "What was said",
        "How it sounded",
        "Who was heard",
        "State of the call",
        "What was not analysed",
        "How quickly it was told",
        "Totals",
        "About this report",
    ]
    drawings = [(name, prop["description"]) for role, name, prop in found if role in ("image", "img")]
    assert [name for name, _ in drawings] == ["Timeline"]
    assert "Tones: " in drawings[0][1]
    tables = [name for role, name, _ in found if role == "table"]
    assert len(tables) >= 8
    assert all(tables)
    assert roles.count("columnheader") > 2 * len(tables)
    assert roles.count("rowheader") >= 30
    assert "list" in roles
    assert ("StaticText", "I have given it twice already. Twice!") in [
        (role, name) for role, name, _ in found
    ]


def test_the_keyboard_reaches_everything(page: Callable[..., Tab]) -> None:
    """Tab goes to the skip link, the contents, and each table, which arrow keys scroll."""
    tab = page(call(), width=320)
    wide = "[...document.querySelectorAll('.scroll')].find(one => one.scrollWidth > one.clientWidth)"
    tab.console(f"{wide}.focus(); {wide}.onscrollend = event => window.moved = event.target.scrollLeft; 0")
    press(tab, "ArrowRight", 39)
    arrived = "await new Promise(done => setInterval(() => window.moved && done(window.moved), 20))"
    assert tab.console(arrived) > 0
    tab = page(call(), width=320)
    reached = []
    for _ in range(60):
        press(tab, "Tab", 9)
        at = tab.console("document.activeElement.textContent.slice(0, 30)")
        outline = tab.console("getComputedStyle(document.activeElement).outlineStyle")
        if tab.console("document.activeElement === document.body"):
            break
        assert outline == "solid", at
        reached.append(at)
    assert reached[:2] == ["Skip to the report", "In short"]
    assert len(reached) == tab.console("document.querySelectorAll('a, .scroll').length")


@pytest.mark.parametrize("width", [320, 800, 1_400])
@pytest.mark.parametrize("name", STORIES)
def test_no_width_needs_sideways_scrolling(page: Callable[..., Tab], name: str, width: int) -> None:
    """From a narrow phone to a wide screen the page fits (WCAG 1.4.10), and letters stay legible."""
    tab = page(STORIES[name](), width=width)
    assert tab.console("document.documentElement.scrollWidth") <= width
    sizes = tab.console(
        "[...document.querySelectorAll('svg text')].filter(one => one.getClientRects().length)"
        ".map(one => one.getBoundingClientRect().height)"
    )
    assert all(size >= 11 for size in sizes)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [320, 1_400])
def test_contrast_is_enough(page: Callable[..., Tab], width: int, scheme: str) -> None:
    """Every text on its ground, and every line of the drawing on each tint, in light and in dark."""
    tab = page(day(1), width=width, scheme=scheme)
    pairs = tab.console(CONTRASTS)
    assert len(pairs) >= 4
    for ink, ground, text in pairs:
        assert contrast(ink, ground) >= SMALLEST_TEXT, (text, ink, ground)
    strokes = tab.console(STROKES)
    assert len(strokes) >= 8
    for ink, ground in strokes:
        assert contrast(ink, ground) >= SMALLEST_SHAPE, (ink, ground)


def test_forced_colours_are_obeyed(page: Callable[..., Tab]) -> None:
    """Where people have the system choose all colours, the drawing has no others."""
    tab = page(call())
    forced = {"name": "forced-colors", "value": "active"}
    tab.call("Emulation.setEmulatedMedia", media="screen", features=[forced])
    system = tab.console(
        "(() => { const one = document.body.appendChild(document.createElement('i'));"
        "return ['Canvas', 'CanvasText'].map(name => {"
        "one.style.setProperty('color', name); return getComputedStyle(one).color; }); })()"
    )
    used = tab.console(
        "[...document.querySelectorAll('.timeline *')].flatMap(one => ["
        "one.matches('.paper, .tint, .block, text, .mark') ? getComputedStyle(one).fill : null,"
        "one.matches('.base, .bar, .block, .ink, .grid') ? getComputedStyle(one).stroke : null])"
    )
    assert {colour for colour in used if colour} == set(system)


def test_dark_is_dark_and_paper_is_white(page: Callable[..., Tab]) -> None:
    """The scheme that people chose is followed on the screen, and ink is saved in print."""
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    tab = page(call(), scheme="dark")
    assert contrast(tab.console(ground), "rgb(0, 0, 0)") < 1.5
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    tab.call("Emulation.setEmulatedMedia", media="print", features=[dark])
    assert tab.console(ground) == "rgb(255, 255, 255)"
    assert (
        tab.console("getComputedStyle(document.querySelector('.timeline .paper')).fill")
        == "rgb(255, 255, 255)"
    )
    assert tab.console("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_it_prints(page: Callable[..., Tab]) -> None:
    """A4 pages come out, few for a call, and they can be read aloud: the PDF is tagged."""
    tab = page(call())
    made = tab.call("Page.printToPDF", preferCSSPageSize=True, generateTaggedPDF=True)
    document = base64.b64decode(made["data"])
    assert document.startswith(b"%PDF-")
    assert b"/StructTreeRoot" in document
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", document)) <= 9
    width, height = map(float, re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", document)[0])
    assert (round(width), round(height)) == (595, 842)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_drawing_stands_alone(page: Callable[..., Tab], scheme: str) -> None:
    """The SVG by itself is a document that browsers draw, in both schemes, asking for nothing."""
    tab = page(render_svg(call()), suffix="svg", scheme=scheme)
    assert requests(tab) == ["report.svg"]
    assert complaints(tab) == []
    assert tab.console("document.documentElement.tagName") == "svg"
    paper = tab.console("getComputedStyle(document.querySelector('.paper')).fill")
    ink = tab.console("getComputedStyle(document.querySelector('text')).fill")
    assert contrast(paper, ink) >= SMALLEST_TEXT
    assert (contrast(paper, "rgb(0, 0, 0)") < 2) == (scheme == "dark")


async def heard(client: Client) -> None:
    """Take what comes, to the end."""
    async for _ in client:
        pass


def recorded(gateway: GatewayProcess, data: bytes) -> Story:
    """The story of a recording sent to a real gateway, put together from what its routes tell."""

    async def main() -> str:
        settings = {"delivery": "lossless", "language": "en"}
        async with asyncio.timeout(60), connect(gateway.url, config=settings) as client:
            listening = asyncio.create_task(heard(client))
            for start in range(0, len(data), 32_000):
                await client.send(data[start : start + 32_000])
            await client.end()
            await listening
            return client.welcome.session_id

    session_id = asyncio.run(main())
    address = f"{gateway.url}/api/v1/sessions/{session_id}"
    with httpx.Client(trust_env=False) as client:
        session, stats = client.get(address).json(), client.get(f"{address}/stats").json()
        listed = client.get(f"{address}/history").text
    events = [
        decode_event(orjson.dumps(one).decode(), Encoding.JSON) for one in orjson.loads(listed)["events"]
    ]
    return Story(
        session_id=session_id,
        created_at=1_790_000_000.0,
        audio=AudioFormat.from_mapping(session["audio"]),
        config=SessionConfig(),
        status=session["status"],
        counts=stats,
        events=[event for event in events if isinstance(event, DurableEvent)],
    )


def test_a_real_recording(launch: Callable[..., GatewayProcess], page: Callable[..., Tab]) -> None:
    """What a real gateway heard of a reader and of hold music is in the page, to the sample."""
    need_module("pocketsphinx")
    music = recording(HOLD_MUSIC)[1][: 8_000 * 12]
    sound = np.concatenate([speech(), np.repeat(music, 2)])
    told = recorded(launch(TRANSCRIBER="pocketsphinx"), pcm(sound))
    assert told.counts["next_sample"] == len(sound)
    assert told.tones
    assert told.transcripts
    tab = page(told)
    written = tab.console("document.body.innerText")
    assert f"{len(sound):,}" in written
    assert "Every sample is accounted for" in written
    assert "hold music" in written
    for line in told.transcripts:
        assert line.text in written
    assert complaints(tab) == []
