"""The live page in Chromium: what it weighs, how soon it shows something, what it costs the main thread.

`python -m benchmarks page` takes seven minutes, five of them of a voice streamed in real time. For hours of
events the page's WebSocket is replaced by one that is fed by hand: nothing is counted but the page.
"""

import base64
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from benchmarks.rows import Row, table
from benchmarks.usual import launched
from protocol.codec import encode_event
from protocol.events import Event, Speaker, SpeakerLabel, Tone, Transcript, Welcome
from protocol.version import Encoding
from tests.e2e.audio import LIBRIVOX
from tests.e2e.browser import Browser, Tab, browser
from tests.e2e.page import LivePage, live_page
from tests.needs import need_file
from tests.vectors.messages import EVENTS

STREAM_S: Final = 300.0
HOUR_S: Final = 3_600
BATCH_S: Final = 20
"""Seconds of events that are told at once, as after a resume."""
RATE: Final = 16_000

_SENT = """
window.frames = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (typeof data !== "string") frames.push(performance.now());
  return send.call(this, data);
};
window.handled = 0;
window.handledMs = 0;
const port = Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
Object.defineProperty(MessagePort.prototype, "onmessage", {
  ...port,
  set(handler) {
    port.set.call(this, (event) => {
      const from = performance.now();
      handler(event);
      handledMs += performance.now() - from;
      handled += 1;
    });
  },
});
"""
"""When each frame was sent, and what the main thread did from the worklet's message to the socket."""
_FED = """
window.WebSocket = class extends EventTarget {
  static OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  protocol = "undertone.v1.msgpack";
  constructor(url) { super(); window.line = this; this.url = url; }
  send() {}
  close() {}
};
window.feed = (told) => {
  for (const one of told) {
    const data = Uint8Array.from(atob(one), (letter) => letter.charCodeAt(0)).buffer;
    line.onmessage({ data });
  }
};
"""


def rows() -> list[Row]:
    """All of them, in one browser."""
    settings = {"UNDERTONE_LOG_LEVEL": "warning"}
    with (
        launched("gateway", "serve", "--port", "0", settings=settings) as (url, _),
        browser(need_file(LIBRIVOX.format("0870"))) as chromium,
    ):
        return [*streamed(chromium, url), *fed(chromium, url)]


def streamed(chromium: Browser, url: str) -> Iterator[Row]:
    """A voice for five minutes, from the button to the account."""
    page = live_page(chromium, url)
    page.tab.call("Page.addScriptToEvaluateOnNewDocument", source=_SENT)
    page.tab.call("Network.setCacheDisabled", cacheDisabled=True)
    page.open()
    page.start()
    first = page.await_events("tone")[0]
    whole = page.tab.console("frames[9]")  # ten frames of 100 ms are the first window
    yield Row("first tone after the last frame of its window", first["at"] - whole, "ms")
    at_first = metrics(page.tab)
    time.sleep(STREAM_S)
    at_last = metrics(page.tab)
    heard, sent = len(page.heard), page.tab.console("frames.length")
    busy = at_last["TaskDuration"] - at_first["TaskDuration"]
    yield Row("main thread busy while it streams", 100 * busy / STREAM_S, "%")
    tasks = page.tab.console("longTasks")
    begun = [took for at, took in tasks if at <= first["at"]]
    later = [took for at, took in tasks if at > first["at"]]
    yield Row(
        "longest task until the first tone: the browser opens its microphone", max(begun, default=0.0), "ms"
    )
    yield Row("tasks of more than 50 ms in the five minutes after it", len(later), "")
    yield Row("longest of these", max(later, default=0.0), "ms")
    yield Row("events heard", heard, "")
    yield Row("frames sent", sent, "")
    spent, handled = page.tab.console("handledMs"), page.tab.console("handled")
    yield Row("a frame, from the worklet to the socket", 1e3 * spent / handled, "µs")
    page.stop()
    page.tab.until("document.querySelector('#after').checkVisibility()")
    yield Row("all that it loaded, to the account at the end", weight(page.tab) / 1_000, "KB")
    page.tab.close()


def fed(chromium: Browser, url: str) -> Iterator[Row]:
    """Two hours of events; no microphone's frames are counted."""
    page = live_page(chromium, url)
    page.tab.call("Page.addScriptToEvaluateOnNewDocument", source=_FED)
    page.open()
    page.tab.click("#main-button")
    page.tab.until("!!window.line?.onmessage")
    session = page.tab.console("new URL(line.url).searchParams.get('session_id')")
    welcome = EVENTS["welcome"]
    assert isinstance(welcome, Welcome)
    feed(page, [replace(welcome, session_id=session, limits={})])
    page.await_phase("live")
    told, busy, kept = 0, 0.0, {}
    for second in range(0, 2 * HOUR_S, BATCH_S):
        batch = list(events(session, second, second + BATCH_S, told + 1))
        told += len(batch)
        before = metrics(page.tab)["TaskDuration"]
        feed(page, batch)
        page.tab.console(
            "await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        busy += metrics(page.tab)["TaskDuration"] - before
        page.tab.console("heard.length = 0")
        if second + BATCH_S in (HOUR_S // 6, HOUR_S, 2 * HOUR_S):
            page.tab.call("HeapProfiler.collectGarbage")
            kept[second + BATCH_S] = metrics(page.tab)
    yield Row("an event, drawn and all", 1e6 * busy / told, "µs")
    assert page.tab.console("document.querySelectorAll('#lines > li').length") > 0
    ten, hour, two = (kept[at] for at in (HOUR_S // 6, HOUR_S, 2 * HOUR_S))
    yield Row("heap after ten minutes of events", ten["JSHeapUsedSize"] / 2**20, "MiB")
    for name, one in (("an hour", hour), ("two hours", two)):
        yield Row(
            f"heap after {name}",
            one["JSHeapUsedSize"] / 2**20,
            "MiB",
            ratio_to="heap after ten minutes of events",
            ratio=one["JSHeapUsedSize"] / ten["JSHeapUsedSize"],
        )
        yield Row(f"nodes of the page after {name}", one["Nodes"], "")
    page.tab.close()


def events(session: str, start: int, stop: int, seq: int) -> Iterator[Event]:
    """What a lively talk tells in these seconds: two tones each, utterances of four with their interims."""
    for second in range(start, stop):
        place: dict[str, Any] = {
            "session_id": session,
            "timestamp": float(second + 1),
            "start_sample": second * RATE,
            "end_sample": (second + 1) * RATE,
        }
        who = f"Speaker {'ABC'[second // 12 % 3]}"
        label = ("Calm", "Animated", "Neutral", "Tense")[second // 7 % 4]
        tone: dict[str, Any] = {
            "label": label,
            "affect": label.lower(),
            "subtext": f"Sounds {label.lower()}.",
        }
        half = {**place, "timestamp": second + 0.5, "start_sample": second * RATE - RATE // 2}
        half["end_sample"] = half["start_sample"] + RATE
        for where in (half, place) if second else (place,):
            yield Tone(seq=seq, **where, **tone, confidence=0.4, speaker_id=who, arousal=second % 10 / 10)
            seq += 1
        utterance = {**place, "start_sample": second // 4 * 4 * RATE}
        final = second % 4 == 3
        text = " ".join(["word"] * (3 * (second % 4) + 3))
        yield Transcript(
            seq=seq,
            **utterance,
            text=text,
            speaker_id=who,
            is_final=final,
            revision=second % 4,
            language="en",
        )
        seq += 1
        if second % 12 == 0:
            yield Speaker(seq=seq, **place, label=SpeakerLabel.HUMAN_SINGLE, speaker_id=who, confidence=0.5)
            seq += 1


def feed(page: LivePage, told: list[Event]) -> None:
    """As if they came over the WebSocket."""
    coded = [base64.b64encode(encode_event(one, Encoding.MSGPACK)).decode() for one in told]
    page.tab.console(f"feed({coded!r})")


def metrics(tab: Tab) -> dict[str, float]:
    """Chromium's own, by name."""
    tab.call("Performance.enable")
    return {one["name"]: one["value"] for one in tab.call("Performance.getMetrics")["metrics"]}


def weight(tab: Tab) -> int:
    """Bytes of all that was loaded, uncompressed."""
    tab.console("0")  # what has come so far is read
    named = {
        one["params"]["requestId"]: one["params"]["response"]["url"]
        for one in tab.events
        if one["method"] == "Network.responseReceived"
    }
    sizes: dict[str, int] = {}
    for one in tab.events:
        if one["method"] == "Network.dataReceived":
            url = named.get(one["params"]["requestId"], "")
            if "/api/" not in url:
                sizes[url] = sizes.get(url, 0) + one["params"]["dataLength"]
    return sum(sizes.values())


if __name__ == "__main__":
    print(table(rows()))
