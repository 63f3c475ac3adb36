"""Older clients of a gateway in this process: what they ask, what they send, what they are told."""

import asyncio
import json
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from starlette.applications import Starlette

from gateway.api.context import Readiness
from gateway.api.routes import build
from gateway.fastlane import EXTENSION
from tests.gateway.inprocess import Lane, Node, node, settle, until

BASE = "http://127.0.0.1:8522"


@dataclass
class Told:
    """One event of the stream."""

    name: str
    data: dict[str, Any]


@dataclass
class Watcher:
    """One reader of the older stream, from its server's side of ASGI."""

    path: str
    status: int | None = None
    written: bytes = b""
    ended: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    asked: bool = False

    async def receive(self) -> dict[str, Any]:
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        self.written += message["body"]
        self.ended = not message.get("more_body", False)

    async def leave(self) -> None:
        """The page goes away."""
        self.gone.set()
        await settle()

    @property
    def told(self) -> list[Told]:
        """The events so far; comments and times to come back are none."""
        found: list[Told] = []
        for block in self.written.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "data" in lines:
                found.append(Told(lines["event"], json.loads(lines["data"])))
        return found

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.told]

    @property
    def heartbeats(self) -> int:
        return self.written.count(b": heartbeat\n\n")


@dataclass
class Microphone:
    """One audio socket, from its server's side of ASGI; `lane` is how its messages come in, if it has one."""

    path: str
    lane: Lane | None = field(default_factory=Lane)
    answers: list[dict[str, Any]] = field(default_factory=list)
    accepted: bool = False
    refused: int | None = None
    closed: int | None = None
    inbox: "asyncio.Queue[dict[str, Any]]" = field(default_factory=asyncio.Queue)
    takes: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: dict[str, Any]) -> None:
        await self.takes.wait()
        match message["type"]:
            case "websocket.accept":
                self.accepted = True
            case "websocket.send":
                self.answers.append(json.loads(message["text"]))
            case "websocket.close":
                self.closed = message["code"]
            case "websocket.http.response.start":
                self.refused = message["status"]

    async def speak(self, *messages: bytes | str) -> None:
        """Messages come in; then what follows from them."""
        for message in messages:
            if self.lane is not None:
                self.lane.sink(message)
            else:
                kind = "text" if isinstance(message, str) else "bytes"
                self.inbox.put_nowait({"type": "websocket.receive", kind: message})
        await settle()

    async def go(self) -> None:
        """The connection is lost."""
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await settle()


@dataclass
class Old:
    """A gateway, and the older clients that it has."""

    node: Node
    app: Starlette
    ready: list[bool]
    """Whether its classifier is: the last one counts."""
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request, answered."""
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            return await client.request(method, path, **options)

    async def start(self, **body: Any) -> str:
        """A new session's id."""
        answer = await self.ask("POST", "/session/start", json=body)
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["session_id"]
        return found

    async def alive(self, session_id: str) -> bool:
        """What an older page asks before it comes back."""
        return (await self.ask("GET", f"/session/{session_id}")).is_success

    async def watch(self, session_id: str) -> Watcher:
        """Somebody reads the session's stream from now on."""
        watcher = Watcher(f"/session/{session_id}/stream")
        self._run(self.app(_scope("http", watcher.path), watcher.receive, watcher.send))  # type: ignore[arg-type]
        await until(lambda: watcher.status is not None)
        await settle()
        return watcher

    async def record(self, session_id: str, *, lane: bool = True) -> Microphone:
        """Somebody sends audio from now on."""
        microphone = Microphone(f"/session/{session_id}/audio", Lane() if lane else None)
        microphone.takes.set()
        microphone.inbox.put_nowait({"type": "websocket.connect"})
        scope = _scope("websocket", microphone.path)
        if microphone.lane is not None:
            scope["extensions"][EXTENSION] = microphone.lane
        self._run(self.app(scope, microphone.inbox.get, microphone.send))  # type: ignore[arg-type]
        await until(lambda: microphone.accepted or microphone.refused is not None)
        await settle()
        return microphone

    async def aclose(self) -> None:
        """End every connection and every session."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.node.aclose()

    def _run(self, serve: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(serve)
        self.tasks.add(task)


def old(**settings: Any) -> Old:
    """A gateway with `settings`."""
    made, ready = node(**settings), [True]
    gateway = replace(made.gateway, readiness=lambda: Readiness(ready[-1], {}))
    return Old(made, build(gateway, lambda _: nullcontext()), ready)


def _scope(kind: str, path: str) -> dict[str, Any]:
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "ws" if kind == "websocket" else "http",
        "server": ("127.0.0.1", 8522),
        "client": ("127.0.0.1", 50_000),
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
