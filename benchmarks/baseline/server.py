"""A gateway as it is usually written: Starlette, uvicorn and httpx as their own pages show them.

    python -m benchmarks.baseline.server --port 0 --sidecar http://127.0.0.1:8523

Each piece is a published pattern, none is slower than what people do, and it has none of what would cost more
(no key, no log line per request, no compression, no validation by models):

* audio as base64 in JSON, one message a chunk: Twilio Media Streams (`media.payload`) and OpenAI's Realtime
  API (`input_audio_buffer.append`);
* an acknowledgement a chunk: the receive-then-send loop of the WebSocket pages of Starlette and FastAPI;
* chunks in a list, joined once a second, `np.frombuffer(...).astype(np.float32) / 32768.0`: the front of
  most servers that stream to a speech model;
* `async with httpx.AsyncClient() as client: await client.post(...)` for each call: the first example of
  HTTPX's page on async. The same page warns of it in a hot loop, and it is what is seen most;
* an `asyncio.Queue` for each subscriber and a `StreamingResponse` of `data: {json.dumps(...)}`: how FastAPI
  tutorials do server-sent events.

A window is classified in line, before the next chunk of its session is read; a task for each would cost as
much, and could change the order of events.
"""

import argparse
import asyncio
import base64
import json
import socket
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

RATE = 16_000
WINDOW_BYTES = 2 * RATE


@dataclass(slots=True)
class Session:
    """One conversation."""

    id: str
    buffer: list[bytes] = field(default_factory=list)
    buffered: int = 0
    """Bytes."""
    samples: int = 0
    """Classified."""
    subscribers: list[asyncio.Queue[dict[str, Any] | None]] = field(default_factory=list)


def application(sidecar: str) -> Starlette:
    """The gateway, which asks the sidecar at this URL."""
    sessions: dict[str, Session] = {}

    async def create(_: Request) -> Response:
        session = Session(str(uuid.uuid4()))
        sessions[session.id] = session
        return JSONResponse({"session_id": session.id})

    async def audio(websocket: WebSocket) -> None:
        session = sessions.get(websocket.path_params["session_id"])
        if session is None:
            await websocket.close(4404)
            return
        await websocket.accept()
        try:
            while True:
                message = await websocket.receive_json()
                pcm = base64.b64decode(message["audio"])
                session.buffer.append(pcm)
                session.buffered += len(pcm)
                await websocket.send_json({"ok": True, "bytes": len(pcm)})
                while session.buffered >= WINDOW_BYTES:
                    await _classify(session, sidecar)
        except WebSocketDisconnect:
            pass
        finally:
            del sessions[session.id]
            for queue in session.subscribers:
                await queue.put(None)

    async def stream(request: Request) -> Response:
        session = sessions.get(request.path_params["session_id"])
        if session is None:
            return JSONResponse({"error": "no such session"}, status_code=404)
        headers = {"Cache-Control": "no-cache"}
        return StreamingResponse(_events(session), media_type="text/event-stream", headers=headers)

    return Starlette(
        routes=[
            Route("/session", create, methods=["POST"]),
            WebSocketRoute("/session/{session_id}/audio", audio),
            Route("/session/{session_id}/stream", stream),
        ]
    )


async def _classify(session: Session, sidecar: str) -> None:
    """Cut the next window, ask about it, hand what is told to all subscribers."""
    data = b"".join(session.buffer)
    window, rest = data[:WINDOW_BYTES], data[WINDOW_BYTES:]
    session.buffer = [rest] if rest else []
    session.buffered = len(rest)
    samples = np.frombuffer(window, dtype=np.int16).astype(np.float32) / 32768.0
    level = float(np.sqrt(np.mean(samples**2)))
    start_s = session.samples / RATE
    session.samples += len(samples)
    async with httpx.AsyncClient() as client:
        response = await client.post(
            f"{sidecar}/classify",
            json={
                "audio_chunk": base64.b64encode(window).decode(),
                "timestamp": start_s,
                "elcor": False,
                "session_id": session.id,
                "language": None,
                "num_speakers": None,
            },
        )
    response.raise_for_status()
    for event in response.json()["events"]:
        event |= {"session_id": session.id, "timestamp": session.samples / RATE, "level": level}
        for queue in session.subscribers:
            await queue.put(event)


def _events(session: Session) -> AsyncIterator[str]:
    """What a subscriber is sent, from now on."""
    queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    session.subscribers.append(queue)

    async def messages() -> AsyncIterator[str]:
        try:
            while (event := await queue.get()) is not None:
                yield f"data: {json.dumps(event)}\n\n"
        finally:
            session.subscribers.remove(queue)

    return messages()


def main() -> None:
    """Serve until a signal comes; the address is printed once connections are taken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baseline.server")
    parser.add_argument("--port", type=int, default=8524)
    parser.add_argument("--sidecar", required=True, metavar="URL")
    given = parser.parse_args()
    config = uvicorn.Config(
        application(given.sidecar),
        loop="uvloop",
        ws="websockets-sansio",
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    with socket.create_server(("127.0.0.1", given.port), backlog=1_024) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
