"""A small, well-behaved sidecar in a process of its own: it tells how loud a window is, and counts them.

    python -m tests.sidecars.plain [--no-batch] [--unix PATH] [--port N] [--window-ms N]

Prints its address. Whatever is loud enough is a tone; its `heard` counts the windows of the session so far,
out of the state of the batch contract, or by the session's name in the single one.
"""

import argparse
import asyncio
import base64
import socket
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.classify.sidecar import batch

BATCH_PATH = "/v1/classify/batch"
SILENT = 50
"""Amplitude below which nothing is told."""


def told(samples: npt.NDArray[np.int16], heard: int) -> list[dict[str, Any]]:
    """The events of one window."""
    if np.abs(samples.astype(np.int32)).max() < SILENT:
        return []
    level = float(np.sqrt(np.mean(np.square(samples.astype(np.float64))))) / 32_768
    label = "Loud" if level > 0.1 else "Soft"
    event = {"event_type": "tone", "label": label, "confidence": min(1.0, level), "heard": heard}
    return [event]


class Plain:
    """The two contracts."""

    def __init__(self, *, offers_batch: bool, window_s: float = 0.0) -> None:
        self._offers_batch = offers_batch
        self._window_s = window_s
        self._one_at_a_time = asyncio.Lock()
        self._heard: Counter[str] = Counter()

    async def work(self) -> None:
        """As a model that has no time for anything else meanwhile."""
        async with self._one_at_a_time:
            await asyncio.sleep(self._window_s)

    async def health(self, request: Request) -> Response:
        offer = {"batch": {"path": BATCH_PATH, "max": 32}} if self._offers_batch else {}
        return JSONResponse({"status": "ready", "models": {"level": "ready"}, **offer})

    async def single(self, request: Request) -> Response:
        asked = await request.json()
        await self.work()
        samples = np.frombuffer(base64.b64decode(asked["audio_chunk"], validate=True), dtype="<i2")
        self._heard[asked["session_id"]] += 1
        return JSONResponse({"events": told(samples, self._heard[asked["session_id"]])})

    async def batch(self, request: Request) -> Response:
        try:
            windows = batch.decode_request(await request.body())
        except batch.MalformedBatch as error:
            return JSONResponse({"code": "malformed", "detail": str(error)}, 400)
        replies = []
        for window in windows:
            await self.work()
            heard = int.from_bytes(window.state or b"") + 1
            replies.append(batch.Told(told(window.samples, heard), heard.to_bytes(4)))
        return Response(batch.encode_answer(replies), media_type=batch.ANSWER_TYPE)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-batch", action="store_true")
    parser.add_argument("--unix")
    parser.add_argument(
        "--window-ms", type=float, default=0.0, help="for how long it works on each, one at a time"
    )
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    plain = Plain(offers_batch=not options.no_batch, window_s=options.window_ms / 1_000)
    routes = [
        Route("/health", plain.health),
        Route("/classify", plain.single, methods=["POST"]),
        Route(BATCH_PATH, plain.batch, methods=["POST"]),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning"))
    if options.unix:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(options.unix)
        print(f"unix://{options.unix}", flush=True)
    else:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", options.port))
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    listener.listen(128)
    asyncio.run(server.serve(sockets=[listener]))


if __name__ == "__main__":
    main()
