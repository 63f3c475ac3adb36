"""A sidecar on a real socket that answers whatever the test says, byte by byte if it must be."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gateway.classify.sidecar import batch

BATCH_PATH = "/v1/classify/batch"
TONE: dict[str, Any] = {"event_type": "tone", "label": "Calm", "confidence": 0.5}


@dataclass
class Call:
    """One request, and the way back."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter

    @property
    def windows(self) -> int:
        """How many it asks about."""
        return len(batch.decode_request(self.body)) if self.path == BATCH_PATH else 1

    @property
    def answer_type(self) -> str:
        """The media type that its answer should have."""
        return batch.ANSWER_TYPE if self.path == BATCH_PATH else "application/json"


Behave: TypeAlias = Callable[[Call], Awaitable[None]]


def http(
    body: bytes, kind: str = "application/json", status: str = "200 OK", headers: str = "", length: int = -1
) -> bytes:
    """A whole answer."""
    size = len(body) if length < 0 else length
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {size}\r\n{headers}\r\n"
    return head.encode() + body


def says(data: bytes) -> Behave:
    """Answers these bytes."""

    async def behave(call: Call) -> None:
        call.writer.write(data)

    return behave


def tells(body: bytes, headers: str = "") -> Behave:
    """Answers this body, as if it were what was asked for."""

    async def behave(call: Call) -> None:
        call.writer.write(http(body, call.answer_type, headers=headers))

    return behave


def hangs_up(data: bytes = b"") -> Behave:
    """Answers these bytes and closes the connection."""

    async def behave(call: Call) -> None:
        call.writer.write(data)
        call.writer.close()

    return behave


async def never(call: Call) -> None:
    """Says nothing, for ever."""
    await asyncio.Event().wait()


async def well(call: Call) -> None:
    """Answers as agreed: a tone for each window."""
    if call.path == BATCH_PATH:
        body = batch.encode_answer([batch.Told([TONE], b"state")] * call.windows)
        call.writer.write(http(body, batch.ANSWER_TYPE))
    else:
        call.writer.write(http(json.dumps({"events": [TONE]}).encode()))


@dataclass
class Hostile:
    """What it does now, and what it was asked."""

    behave: Behave = well
    health: dict[str, Any] | Behave = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    """All but the looks at its health."""
    looks: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                await self._one(await _read(reader, writer))
                await writer.drain()
        writer.close()

    async def _one(self, call: Call) -> None:
        if call.path == "/health":
            self.looks += 1
            if callable(self.health):
                await self.health(call)
            else:
                call.writer.write(http(json.dumps(self.health).encode()))
            return
        self.calls.append(call)
        await self.behave(call)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = first.split(" ")
    return Call(method, path, headers, body, writer)


@asynccontextmanager
async def hostile(
    *, offers_batch: bool = False, most: int = 32, tls: ssl.SSLContext | None = None, unix: str | None = None
) -> AsyncIterator[Hostile]:
    """One that listens; its connections end with the block."""
    one = Hostile()
    if offers_batch:
        one.health = {"status": "ready", "batch": {"path": BATCH_PATH, "max": most}}
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(asyncio.CancelledError):
            await one.serve(reader, writer)
        writer.close()
        serving.discard(task)

    if unix is not None:
        server: asyncio.Server = await asyncio.start_unix_server(serve, unix)
        one.url = f"unix://{unix}"
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        scheme = "http" if tls is None else "https"
        one.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        server.close()
        for task in tuple(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
