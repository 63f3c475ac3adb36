"""The page's node is lost: the page goes on with another one, and nobody who looks at it need know."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import stores
from tests.e2e.audio import LIBRIVOX
from tests.e2e.browser import browser
from tests.e2e.conftest import GatewayProcess
from tests.e2e.page import Line, complete, line_to, live_page, seqs
from tests.needs import need_file

Launch = Callable[..., GatewayProcess]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[stores.Server]:
    """What the nodes share."""
    server = stores.start(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def line() -> Iterator[Line]:
    """A network that leads nowhere yet."""
    with line_to(9) as one:
        yield one


def test_the_page_survives_its_node(store: stores.Server, launch: Launch, line: Line) -> None:
    """Its owner, and whoever looks on with a link: every event once, every window a tone, and no gap."""
    common = {"TRANSCRIBER": "none", "ALLOWED_ORIGINS": line.url, "STORE": store.url}
    first, second = launch(**common), launch(**common)
    line.lead_to(first.port)
    with browser(need_file(LIBRIVOX.format("0870"))) as chromium:
        page = live_page(chromium, line.url).open()
        page.start()
        page.await_events("tone", 3)
        session_id = page.tab.console("heard.find((event) => event.type === 'welcome').session_id")
        onlooker = live_page(chromium, second.url).open(f"#observe={session_id}")
        onlooker.await_events("tone", 3)
        first.process.kill()
        first.process.wait()
        line.lead_to(second.port)
        before = len(page.await_events("tone"))
        page.await_events("tone", before + 4)
        onlooker.await_events("tone", before + 4)
        page.tab.call("Page.bringToFront")
        page.stop()
        [summary] = page.await_events("summary")
        assert complete(page.heard)
        told = seqs(onlooker.heard)  # what was said before it came, it read from the record
        assert told == list(range(told[0], summary["seq"] + 1))
        assert summary["gap_samples"] == 0
        assert summary["classified_samples"] == summary["next_sample"]
        assert page.problems == onlooker.problems == []
