"""A real Chromium, headless, with an empty profile and a recording for a microphone.

It is driven over the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/), in which one
WebSocket carries a session for each tab.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
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
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--remote-debugging-port=0",
)

Event = dict[str, Any]


class BrowserError(AssertionError):
    """The browser did not do as it was told, or not in time."""


@dataclass
class Tab:
    """One page. Events of the DevTools protocol that nobody waited for stay in `events`, in order."""

    socket: ClientConnection
    session_id: str | None = None
    events: list[Event] = field(default_factory=list, repr=False)
    calls: int = 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of one command.

        Raises:
            BrowserError: the browser refused it or didn't answer in time.
        """
        self.calls += 1
        message = {"id": self.calls, "method": method, "params": params}
        if self.session_id is not None:
            message["sessionId"] = self.session_id
        self.socket.send(json.dumps(message))
        deadline = time.monotonic() + ANSWER_S
        while (answer := self._next(deadline, method)).get("id") != self.calls:
            self.events.append(answer)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def wait(
        self, method: str, match: Callable[[Event], bool] = lambda _: True, seconds: float = 20
    ) -> Event:
        """The first event of that name, seen already or to come, whose parameters match; it is taken out."""
        deadline = time.monotonic() + seconds
        looked = 0
        while True:
            for at in range(looked, len(self.events)):
                event = self.events[at]
                if event["method"] == method and match(event["params"]):
                    del self.events[at]
                    params: Event = event["params"]
                    return params
            looked = len(self.events)
            self.events.append(self._next(deadline, method))

    def open(self, url: str) -> None:
        """Load a page, to the end."""
        self.call("Page.navigate", url=url)
        self.wait("Page.loadEventFired")

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

    def _next(self, deadline: float, awaited: str) -> Event:
        left = deadline - time.monotonic()
        try:
            message: Event = json.loads(self.socket.recv(timeout=max(0.0, left)))
        except TimeoutError:
            names = [event["method"] for event in self.events]
            raise BrowserError(f"{awaited} did not come; there were {names}") from None
        return message


@contextmanager
def chromium(microphone: Path) -> Iterator[Tab]:
    """A tab of a browser of its own, which hears the WAV file `microphone` over and over.

    All that the browser writes is gone at the end.
    """
    command = need_command("chromium")
    # Not under pytest's folder: the browser makes a socket in it, whose path must stay below 108 bytes.
    with (
        tempfile.TemporaryDirectory(prefix="browser-") as profile,
        _started(command, microphone, Path(profile)) as address,
        connect(address, proxy=None, compression=None, max_size=None) as socket,
    ):
        yield _tab(socket)


@contextmanager
def _started(command: str, microphone: Path, profile: Path) -> Iterator[str]:
    """Starts the browser and tells its DevTools address; nothing of it runs afterwards."""
    arguments = [*FLAGS, f"--user-data-dir={profile}", f"--use-file-for-fake-audio-capture={microphone}"]
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


def _tab(socket: ClientConnection) -> Tab:
    browser = Tab(socket)
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
    tab = Tab(socket, attached["sessionId"])
    for domain in ("Page", "Runtime", "Network"):
        tab.call(f"{domain}.enable")
    return tab
