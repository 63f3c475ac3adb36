"""Clients of the older tone-session routes, for tests that use them over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection as Socket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.conftest import GatewayProcess

CHUNK = 3_200
"""Bytes that an older page sends at once: 100 ms."""


def start(client: httpx.Client, **body: Any) -> str:
    """A new session's id."""
    found: str = client.post("/session/start", json=body).json()["session_id"]
    return found


def microphone(gateway: GatewayProcess, session: str, **options: Any) -> connect:
    """The audio socket of a session."""
    url = gateway.url.replace("http", "ws", 1) + f"/session/{session}/audio"
    return connect(url, compression=None, proxy=None, **options)


async def speak(socket: Socket, audio: bytes, pause_s: float = 0.03) -> list[dict[str, Any]]:
    """Send `audio` in chunks; the answer to each."""
    answers: list[dict[str, Any]] = []
    for at in range(0, len(audio), CHUNK):
        await socket.send(audio[at : at + CHUNK])
        answers.append(json.loads(await socket.recv()))
        await asyncio.sleep(pause_s)
    return answers


async def rest(socket: Socket) -> list[dict[str, Any]]:
    """The answers until the close."""
    answers: list[dict[str, Any]] = []
    with suppress(ConnectionClosed):
        while True:
            answers.append(json.loads(await socket.recv()))
    return answers


async def told(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The events of an older stream, as they come."""
    name = ""
    async for line in lines:
        field, _, value = line.partition(": ")
        assert field != "id", "an id would have the browser ask for a replay"
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


class Listener:
    """Reads a session's stream to its end, beside whatever else happens."""

    def __init__(self, gateway: GatewayProcess, session: str) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.ready = asyncio.Event()
        self.task = asyncio.create_task(self._read(gateway.url, f"/session/{session}/stream"))

    async def _read(self, base: str, path: str) -> None:
        async with (
            httpx.AsyncClient(base_url=base, trust_env=False, timeout=20) as client,
            client.stream("GET", path) as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for event in told(answer.aiter_lines()):
                self.events.append(event)
                self.ready.set()

    def named(self, name: str) -> list[dict[str, Any]]:
        return [data for one, data in self.events if one == name]
