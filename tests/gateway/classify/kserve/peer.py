"""A small model server on the loopback interface that can misbehave as no real one does.

It reads requests by itself and not with the code under test. Servers that were not written here, MLServer and
Triton, are in `tests/e2e/test_kserve.py`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

LABELS = ("Calm", "Tense")
_TYPES = {"INT16": "<i2", "FP32": "<f4"}

TONE = {
    "name": "tone",
    "inputs": [{"name": "AUDIO", "datatype": "INT16", "shape": [-1, -1]}],
    "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 2]}],
}
BINARY = {"name": "peer", "extensions": ["binary_tensor_data"]}


@dataclass(frozen=True)
class Asked:
    """A request, read."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def binary(self) -> bool:
        return "inference-header-content-length" in self.headers

    @property
    def head(self) -> dict[str, Any]:
        """The JSON of it."""
        length = int(self.headers.get("inference-header-content-length", len(self.body)))
        found: dict[str, Any] = json.loads(self.body[:length])
        return found

    @property
    def rows(self) -> npt.NDArray[Any]:
        """The samples, [windows, samples]."""
        (about,) = self.head["inputs"]
        dtype = np.dtype(_TYPES[about["datatype"]])
        if not self.binary:
            return np.array(about["data"], dtype=dtype).reshape(about["shape"])
        raw = self.body[int(self.headers["inference-header-content-length"]) :]
        assert about["parameters"]["binary_data_size"] == len(raw)
        return np.frombuffer(raw, dtype=dtype).reshape(about["shape"])


Writer: TypeAlias = asyncio.StreamWriter
Infer: TypeAlias = Callable[[Asked, Writer], Awaitable[None]]


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def tensors(*outputs: dict[str, Any]) -> bytes:
    """A JSON answer with these outputs."""
    return json.dumps({"model_name": "tone", "outputs": outputs}).encode()


def logits(rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """`Tense` for a window whose mean is above zero; no number where all of it is -1."""
    mean = rows.astype(np.float64).mean(axis=1)
    found = np.stack((-np.sign(mean), np.sign(mean)), axis=1).astype(np.float32)
    found[(rows == -1).all(axis=1)] = np.nan
    return found


async def well(asked: Asked, writer: Writer) -> None:
    """As a server answers that knows the binary extension: in binary where it was asked so."""
    found = logits(asked.rows)
    about = {"name": "logits", "datatype": "FP32", "shape": list(found.shape)}
    if not asked.binary:
        data = [None if np.isnan(one) else float(one) for one in found.ravel()]
        writer.write(http(200, tensors({**about, "data": data})))
        return
    assert asked.head["outputs"] == [{"name": "logits", "parameters": {"binary_data": True}}]
    head = tensors({**about, "parameters": {"binary_data_size": found.nbytes}})
    writer.write(http(200, head + found.tobytes(), Inference_Header_Content_Length=str(len(head))))


async def plain(asked: Asked, writer: Writer) -> None:
    """As a server answers that knows only JSON."""
    if asked.binary:
        writer.write(http(422, b'{"detail": "not JSON"}'))
    else:
        await well(asked, writer)


def saying(answer: bytes, *, close: bool = False) -> Infer:
    """A server that always answers with these bytes."""

    async def infer(asked: Asked, writer: Writer) -> None:
        writer.write(answer)
        if close:
            await writer.drain()
            writer.close()

    return infer


@dataclass
class Peer:
    """The server: what it says can be changed while it runs."""

    url: str = ""
    infer: Infer = well
    gets: dict[str, tuple[int, Any]] = field(
        default_factory=lambda: {
            "/v2": (200, BINARY),
            "/v2/health/ready": (200, {}),
            "/v2/models/tone/ready": (200, {}),
            "/v2/models/tone": (200, TONE),
        }
    )
    asked: list[Asked] = field(default_factory=list)
    """The calls for an inference."""
    mute: bool = False
    """Whether it takes requests and never says a word."""
    deaf: int = 0
    """Looks that it takes from now on and never answers."""
    looks: int = 0
    """Those that it answered."""
    connections: int = 0
    open: set[Writer] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self.connections += 1
        self.open.add(writer)
        try:
            while (asked := await _read(reader)) is not None:
                if self.mute:
                    await asyncio.Event().wait()
                if asked.method == "GET" and self.deaf:
                    self.deaf -= 1
                    await reader.read()
                    return
                if asked.method == "GET":
                    self.looks += 1
                    status, body = self.gets.get(asked.path, (404, {"error": "unknown"}))
                    writer.write(http(status, body if isinstance(body, bytes) else json.dumps(body).encode()))
                else:
                    self.asked.append(asked)
                    await self.infer(asked, writer)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines if line)}
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))


@asynccontextmanager
async def serving(infer: Infer = well) -> AsyncIterator[Peer]:
    """The server, on a free port."""
    peer = Peer(infer=infer)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()
        # A connection may have been accepted just now: its handler comes first, then its end.
        for _ in range(5):
            await asyncio.sleep(0)
        for writer in tuple(peer.open):
            writer.transport.abort()
        await server.wait_closed()
        for _ in range(200):
            if not peer.open:
                break
            await asyncio.sleep(0.005)
        await asyncio.sleep(0)
