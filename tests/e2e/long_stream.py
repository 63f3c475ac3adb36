"""Five minutes of a voice through the live page: `python -m tests.e2e.long_stream` tells what became of it.

It is a process of its own, so that the other tests needn't wait while somebody speaks.
"""

import json
import signal
import sys
import time
from itertools import pairwise
from typing import Any

from tests.e2e.audio import LIBRIVOX
from tests.e2e.browser import browser
from tests.e2e.conftest import start_gateway
from tests.e2e.page import complete, live_page
from tests.needs import need_file

STREAM_S = 300.0
PACE_S = 10.0
"""Seconds between two looks."""


def main(stream_s: float = STREAM_S) -> dict[str, Any]:
    """Start, speak, look now and then, stop."""
    gateway = start_gateway(TRANSCRIBER="none")
    try:
        with browser(need_file(LIBRIVOX.format("0870"))) as chromium:
            page = live_page(chromium, gateway.url).open()
            page.start()
            page.await_events("tone")
            until = time.monotonic() + stream_s
            phases = set()
            while time.monotonic() < until:
                time.sleep(PACE_S)
                phases.add(page.tab.console("document.querySelector('#state').dataset.phase"))
            page.stop()
            heard = page.heard
            tones = [event for event in heard if event["type"] == "tone"]
            return {
                "phases": sorted(phases),
                "complete": complete(heard),
                "tones": len(tones),
                "joined": all(one["end_sample"] == two["start_sample"] for one, two in pairwise(tones)),
                "summary": next(event for event in heard if event["type"] == "summary"),
                "gaps": [event for event in heard if event["type"] == "gap"],
                "welcomes": sum(event["type"] == "welcome" for event in heard),
                "problems": page.problems,
            }
    finally:
        gateway.stop()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # nothing of it stays behind
    json.dump(main(), sys.stdout)
