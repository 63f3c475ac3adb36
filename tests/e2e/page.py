"""The live page in a real browser: what a person does there, and what the page was told meanwhile."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.proxy import Link, Proxy
from tests.e2e.browser import Browser, Tab
from tests.e2e.conftest import ROOT

Heard = dict[str, Any]

SCREENSHOTS = ROOT / "build" / "page"

WATCH = """
window.heard = [];
window.problems = [];
window.longTasks = [];
const dispatch = EventTarget.prototype.dispatchEvent;
EventTarget.prototype.dispatchEvent = function (event) {
  if (event instanceof CustomEvent && event.type === "event")
    heard.push({ ...event.detail, at: performance.now() });
  return dispatch.call(this, event);
};
const note = (kind) => ({ reason, message, violatedDirective }) =>
  problems.push(`${kind}: ${reason ?? message ?? violatedDirective}`);
addEventListener("error", note("error"));
addEventListener("unhandledrejection", note("rejection"));
addEventListener("securitypolicyviolation", note("policy"));
const timed = (list) => list.getEntries().map(({ startTime, duration }) => [startTime, duration]);
new PerformanceObserver((list) => longTasks.push(...timed(list)))
  .observe({ type: "longtask" });
"""
"""Put into the page before its own modules: every event that the client told it, and all that went wrong."""


@dataclass
class LivePage:
    """The page in a tab."""

    tab: Tab
    url: str

    def open(self, fragment: str = "") -> "LivePage":
        """Load it, as from the address bar."""
        self.tab.open(f"{self.url}/{fragment}")
        self.tab.until("document.querySelector('#main-button')?.checkVisibility() || document.body.className")
        return self

    def start(self) -> None:
        """Press the button; its microphone is heard when this returns."""
        self.tab.click("#main-button")
        self.await_phase("live")

    def stop(self) -> None:
        """Press it again; the session has ended when this returns."""
        self.tab.click("#main-button")
        self.await_phase("ended")

    def await_phase(self, phase: str, seconds: float = 20) -> None:
        """Until it shows that it is there."""
        self.tab.until(f"document.querySelector('#state').dataset.phase === {phase!r}", seconds)

    def await_events(self, kind: str, count: int = 1, seconds: float = 30) -> list[Heard]:
        """That many of that type, and all of them that there are then."""
        of_kind = f"heard.filter((event) => event.type === {kind!r})"
        self.tab.until(f"{of_kind}.length >= {count}", seconds)
        found: list[Heard] = self.tab.console(of_kind)
        return found

    def text(self, selector: str) -> str:
        """What an element says, or nothing."""
        return str(self.tab.console(f"document.querySelector({selector!r})?.innerText ?? ''"))

    def shown(self, selector: str) -> bool:
        """Whether a person sees it."""
        return bool(self.tab.console(f"document.querySelector({selector!r})?.checkVisibility() ?? false"))

    def forget(self) -> None:
        """Close it, and leave nothing for the next one."""
        self.tab.console("sessionStorage.clear(); localStorage.clear()")
        self.tab.close()

    @property
    def heard(self) -> list[Heard]:
        """Every event that it was told since it was loaded."""
        found: list[Heard] = self.tab.console("heard")
        return found

    @property
    def problems(self) -> list[str]:
        """Errors, rejections that nobody minds, and what the policy forbade."""
        found: list[str] = self.tab.console("problems")
        return found


def live_page(browser: Browser, url: str) -> LivePage:
    """A new tab on the page of a gateway at `url`, not loaded yet."""
    tab = browser.tab()
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
    return LivePage(tab, url)


def seqs(events: Sequence[Heard]) -> list[int]:
    """The numbers of those that have one."""
    return [event["seq"] for event in events if "seq" in event]


def complete(events: Sequence[Heard]) -> bool:
    """None is missing and none came twice, from the first on; in their order."""
    found = seqs(events)
    return found == list(range(1, len(found) + 1))


class Line:
    """A network between the browser and a gateway, worked from the test's own thread."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy = proxy
        self._loop = loop

    @property
    def url(self) -> str:
        """The page's address through it."""
        return f"http://127.0.0.1:{self._proxy.port}"

    def lead_to(self, port: int) -> None:
        """From the next connection on."""
        self._proxy.target = port

    def each(self, what: Callable[[Link], None]) -> int:
        """Do something to every connection; how many there were."""

        async def done() -> int:
            links = list(self._proxy.links)
            for link in links:
                what(link)
            return len(links)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)


@contextmanager
def line_to(port: int) -> Iterator[Line]:
    """One that leads to a gateway's port."""
    loop = asyncio.new_event_loop()
    serving = threading.Thread(target=loop.run_forever)
    serving.start()

    def on_loop(step: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(step, loop).result(10)

    async def opened() -> Proxy:
        return Proxy(port)

    proxy = on_loop(opened())
    try:
        on_loop(proxy.__aenter__())
        yield Line(proxy, loop)
    finally:
        on_loop(proxy.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        serving.join(10)
        loop.close()


def axe() -> str:
    """axe-core, to be run in a page (https://github.com/dequelabs/axe-core)."""
    return (ROOT / "tests/gateway/web/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


def screenshot(tab: Tab, name: str, *, whole: bool = False) -> Path:
    """Kept as an artefact."""
    return tab.screenshot(SCREENSHOTS / f"{name}.png", whole=whole)
