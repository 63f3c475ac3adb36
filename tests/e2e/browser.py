"""A real Chromium, headless, with an empty profile and a recording for a microphone.

It is driven over the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/), in which one
WebSocket carries a session for each tab.
"""

import base64
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.needs import need_command

START_S = 60.0
"""A first start on a busy machine reads some 300 MB."""
STOP_S = 10.0
ANSWER_S = 20.0

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root, as in most containers, gets no sandbox
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--remote-debugging-port=0",
)

Event = dict[str, Any]
Match = Callable[[Event], bool]


class BrowserError(AssertionError):
    """The browser did not do as it was told, or not in time."""


@dataclass
class Wire:
    """The one WebSocket, on which the answers and events of all tabs come in turn."""

    socket: ClientConnection
    calls: int = 0
    events: dict[str | None, list[Event]] = field(default_factory=dict, repr=False)
    """Those that nobody waited for, by the tab's session, in order."""

    def call(self, session_id: str | None, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of one command.

        Raises:
            BrowserError: the browser refused it or didn't answer in time.
        """
        self.calls += 1
        message = {"id": self.calls, "method": method, "params": params}
        if session_id is not None:
            message["sessionId"] = session_id
        self.socket.send(json.dumps(message))
        deadline = time.monotonic() + ANSWER_S
        while (answer := self._next(deadline, method)).get("id") != self.calls:
            self._keep(answer)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def wait(self, events: list[Event], method: str, match: Match, seconds: float) -> Event:
        """The first of `events`, as they are or come to be, with that name and parameters that match; it is
        taken out."""
        deadline = time.monotonic() + seconds
        looked = 0
        while True:
            for at in range(looked, len(events)):
                event = events[at]
                if event["method"] == method and match(event["params"]):
                    del events[at]
                    params: Event = event["params"]
                    return params
            looked = len(events)
            self._keep(self._next(deadline, method))

    def _keep(self, event: Event) -> None:
        if "method" in event:  # not an answer that came too late
            self.events.setdefault(event.get("sessionId"), []).append(event)

    def _next(self, deadline: float, awaited: str) -> Event:
        left = deadline - time.monotonic()
        try:
            message: Event = json.loads(self.socket.recv(timeout=max(0.0, left)))
        except TimeoutError:
            names = [event["method"] for events in self.events.values() for event in events]
            raise BrowserError(f"{awaited} did not come; there were {names[-50:]}") from None
        return message


@dataclass
class Tab:
    """One page."""

    wire: Wire
    session_id: str
    target_id: str

    @property
    def events(self) -> list[Event]:
        """Events of the DevTools protocol that nobody waited for."""
        return self.wire.events.setdefault(self.session_id, [])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of one command.

        Raises:
            BrowserError: the browser refused it or didn't answer in time.
        """
        return self.wire.call(self.session_id, method, params)

    def wait(self, method: str, match: Match = lambda _: True, seconds: float = 20) -> Event:
        """The first event of that name, seen already or to come, whose parameters match; it is taken out."""
        return self.wire.wait(self.events, method, match, seconds)

    def open(self, url: str) -> None:
        """Load a page, to the end."""
        self.call("Page.navigate", url=url)
        self.wait("Page.loadEventFired")

    def reload(self) -> None:
        """Load it once more, as by the button."""
        self.call("Page.reload")
        self.wait("Page.loadEventFired")

    def front(self) -> None:
        """Show this tab; the one that was shown is hidden."""
        self.wire.call(None, "Target.activateTarget", {"targetId": self.target_id})

    def close(self) -> None:
        """Away with it."""
        self.wire.call(None, "Target.closeTarget", {"targetId": self.target_id})

    def console(self, source: str) -> Any:
        """What a person gets who pastes `source` into the console: top-level await and a user's gesture."""
        answer = self.call(
            "Runtime.evaluate",
            expression=source,
            replMode=True,
            userGesture=True,
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def until(self, source: str, seconds: float = 20) -> Any:
        """The value of an expression, as soon as it is true.

        Raises:
            BrowserError: it never was; with its last value, and what the page showed.
        """
        deadline = time.monotonic() + seconds
        while not (value := self.console(source)):
            if time.monotonic() > deadline:
                shown = self.console("document.body?.innerText")
                raise BrowserError(f"{source} stayed {value!r} for {seconds} s; the page says:\n{shown}")
            time.sleep(0.05)
        return value

    def click(self, selector: str) -> None:
        """Click in the middle of an element, with a mouse.

        Raises:
            BrowserError: there is none that can be seen.
        """
        name = json.dumps(selector)
        self.until(f"document.querySelector({name})?.checkVisibility()")
        box = self.console(
            f"""{{
              const element = document.querySelector({name});
              element.scrollIntoView({{ block: "center", behavior: "instant" }});
              const {{ x, y, width, height }} = element.getBoundingClientRect();
              [x + width / 2, y + height / 2]
            }}"""
        )
        at = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **at)

    def press(self, key: str, code: int, text: str | None = None) -> None:
        """One key, down and up.

        Args:
            key: its name (https://www.w3.org/TR/uievents-key/).
            code: Windows' virtual key code, by which the browser knows what to do.
            text: what it writes.
        """
        told = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **told, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    def screenshot(self, path: Path, *, whole: bool = False) -> Path:
        """What it shows, as PNG; `whole` where also what is below the fold."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def size(self, width: int, height: int, scale: float = 1) -> None:
        """A window of that many CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )

    def prefer(self, **features: str) -> None:
        """What the person prefers: `color_scheme="dark"`, `reduced_motion="reduce"`, `contrast="more"`."""
        told = [
            {"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()
        ]
        self.call("Emulation.setEmulatedMedia", features=told)

    def logged(self, seconds: float = 20) -> Any:
        """The next thing that the page wrote with `console.log`."""
        shown = self.wait("Runtime.consoleAPICalled", seconds=seconds)["args"][0]
        if "objectId" not in shown:
            return shown.get("value")
        itself = "function() { return this; }"
        answer = self.call(
            "Runtime.callFunctionOn",
            objectId=shown["objectId"],
            functionDeclaration=itself,
            returnByValue=True,
        )
        return answer["result"]["value"]


@dataclass
class Browser:
    """One browser, with a profile of its own."""

    wire: Wire

    def tab(self) -> Tab:
        """A new one, shown."""
        target = self.wire.call(None, "Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self.wire.call(None, "Target.attachToTarget", {"targetId": target, "flatten": True})
        tab = Tab(self.wire, attached["sessionId"], target)
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.call(f"{domain}.enable")
        return tab

    def allow(self, name: str, setting: str) -> None:
        """`granted`, `denied` or `prompt`, for a permission of every page."""
        self.wire.call(None, "Browser.setPermission", {"permission": {"name": name}, "setting": setting})


@contextmanager
def chromium(microphone: Path) -> Iterator[Tab]:
    """A tab of a browser of its own, which hears the WAV file `microphone` over and over.

    All that the browser writes is gone at the end.
    """
    with browser(microphone) as one:
        yield one.tab()


@contextmanager
def browser(microphone: Path, *flags: str, asks: bool = False) -> Iterator[Browser]:
    """The same, with as many tabs as one likes.

    Args:
        microphone: a WAV file.
        flags: further ones of the command line.
        asks: whether pages get the microphone by `Browser.allow` only.
    """
    heard = [f"--use-file-for-fake-audio-capture={microphone}"]
    if not asks:
        heard.append("--use-fake-ui-for-media-stream")
    command = need_command("chromium")
    # Not under pytest's folder: the browser makes a socket in it, whose path must stay below 108 bytes.
    with (
        tempfile.TemporaryDirectory(prefix="browser-") as profile,
        _started(command, (*heard, *flags), Path(profile)) as address,
        connect(
            address, proxy=None, compression=None, max_size=None, max_queue=None, ping_interval=None
        ) as socket,
    ):
        yield Browser(Wire(socket))


@contextmanager
def _started(command: str, flags: Sequence[str], profile: Path) -> Iterator[str]:
    """Starts the browser and tells its DevTools address; nothing of it runs afterwards."""
    arguments = [*FLAGS, f"--user-data-dir={profile}", *flags]
    with (profile / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [command, *arguments, "about:blank"],
            env=os.environ | {"HOME": str(profile), "TMPDIR": str(profile)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield _address(process, profile)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # helpers that outlive it, and would write to its profile


def _address(process: subprocess.Popen[bytes], profile: Path) -> str:
    """Where the browser listens, which it writes into its profile: a port and a path, each on a line."""
    written = profile / "DevToolsActivePort"
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        lines = written.read_text().splitlines() if written.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise BrowserError(f"chromium did not start:\n{(profile / 'output.txt').read_text()}")
