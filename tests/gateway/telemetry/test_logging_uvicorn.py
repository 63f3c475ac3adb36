"""The real server under the real configuration, with canaries where clients put their secrets."""

import asyncio
import io
import json
import socket

import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect

from gateway.telemetry.logging import logging_config

CANARY = "canary-7f3a9c"
SESSION = "a1b2c3d4e5f60718293a4b5c6d7e8f90"


async def talkative(scope: Scope, receive: Receive, send: Send) -> None:
    """Says a secret over a WebSocket, and fails with one over HTTP."""
    if scope["type"] == "http":
        raise ValueError(f"ticket={CANARY}")
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": json.dumps({"type": "transcript", "text": CANARY})})
    await send({"type": "websocket.close"})


class Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


async def converse(config: uvicorn.Config) -> None:
    server = Server(config)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        await server.listening.wait()
        port = server.servers[0].sockets[0].getsockname()[1]
        headers = {"authorization": f"Bearer {CANARY}"}
        offers = [f"undertone.ticket.{CANARY}"]
        url = f"ws://127.0.0.1:{port}/ws/voice?session_id={SESSION}&other={CANARY}"
        async with connect(url, additional_headers=headers, subprotocols=offers) as client:  # type: ignore[arg-type]
            assert CANARY in str(await client.recv())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        path = f"/api/v1/sessions/{SESSION}?token={CANARY}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        await reader.read()
        writer.close()
        server.should_exit = True


def test_uvicorn_tells_no_secrets_even_at_debug_level(restored: None) -> None:
    """Query, headers, subprotocols, frames, paths and exceptions: none brings a secret or full id."""
    written = io.StringIO()
    config = logging_config("debug", "json")
    config["handlers"]["stderr"]["stream"] = written
    server = uvicorn.Config(talkative, port=0, log_config=config, lifespan="off", ws="websockets-sansio")
    asyncio.run(converse(server))
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    messages = [line["message"] for line in lines]
    assert any("WebSocket /ws/voice" in message and "[accepted]" in message for message in messages)
    assert any("GET /api/v1/sessions/a1b2c3d4…" in message for message in messages)
    assert any("ValueError" in line.get("exception", "") for line in lines)
    assert CANARY not in written.getvalue()
    assert SESSION not in written.getvalue()
    assert not any("127.0.0.1" in message for message in messages if "running on" not in message)
