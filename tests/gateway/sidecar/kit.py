"""A sidecar in this process, with a classifier that the test holds."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from starlette.applications import Starlette

from gateway.classify.notices import Notices
from gateway.classify.port import Answer, ClassifierError, Health, HealthStatus, ToneObservation, Window
from gateway.classify.sidecar.batch import REQUEST_TYPE, Asked, Reply, decode_answer, encode_request
from gateway.clock import ManualClock
from gateway.settings import Settings
from gateway.sidecar.app import create_sidecar


@dataclass
class HeldClassifier:
    """Tells how often it has heard a session, once it may; fails windows whose first sample is 13."""

    name: str = "held"
    notices: Notices = field(default_factory=Notices)
    batches: list[list[Window]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    may: asyncio.Event = field(default_factory=asyncio.Event)
    now: Health = field(default_factory=lambda: Health(HealthStatus.READY))
    broken: Exception | None = None
    """What every call raises."""
    observation: Any = None
    """What is said in place of a count."""
    closed: bool = False

    def __post_init__(self) -> None:
        self.may.set()

    async def start(self) -> None: ...

    async def classify(self, batch: Sequence[Window]) -> list[Answer]:
        self.batches.append(list(batch))
        await self.may.wait()
        if self.broken is not None:
            raise self.broken
        return [self._answer(window) for window in batch]

    def _answer(self, window: Window) -> Answer:
        if window.samples[0] == 13 or not isinstance(window.state.get("count", 0), int):
            return ClassifierError("bad luck")
        window.state["count"] = window.state.get("count", 0) + 1
        label = f"{window.samples[0]}/{window.state['count']}"
        return [self.observation or ToneObservation(label=label, confidence=0.5)]

    def forget(self, session: str) -> None:
        self.forgotten.append(session)

    def health(self) -> Health:
        return self.now

    async def aclose(self) -> None:
        self.closed = True


def pcm(first: int = 1, samples: int = 16_000) -> npt.NDArray[np.int16]:
    """Some samples, by which they are known again."""
    return np.full(samples, first, dtype=np.int16)


def body(first: int = 1, samples: int = 16_000, **more: Any) -> dict[str, Any]:
    """What a caller of the single contract sends."""
    chunk = base64.b64encode(pcm(first, samples).tobytes()).decode()
    plain: dict[str, Any] = {"timestamp": 0.0, "elcor": False, "session_id": "one", "language": None}
    return {"audio_chunk": chunk, **plain, "num_speakers": None, **more}


def asked(session: str, first: int = 1, state: bytes | None = None, samples: int = 16_000) -> Asked:
    """One window of a batch."""
    return Asked(session, pcm(first, samples), samples, 1.0, state=state)


@dataclass
class Here:
    """The sidecar, its caller, and what the test holds."""

    app: Starlette
    client: httpx.AsyncClient
    classifier: HeldClassifier
    clock: ManualClock

    async def single(self, **more: Any) -> httpx.Response:
        """One call of the single contract."""
        return await self.client.post("/classify", json=body(**more))

    async def raw(self, content: bytes, path: str = "/v1/classify/batch") -> httpx.Response:
        """One call of the batch contract, as bytes."""
        return await self.client.post(path, content=content, headers={"content-type": REQUEST_TYPE})

    async def batch(self, *windows: Asked) -> list[Reply]:
        """What a batch is answered."""
        answer = await self.raw(b"".join(encode_request(windows)))
        assert answer.status_code == 200, answer.text
        return decode_answer(answer.content, len(windows))

    async def metric(self, name: str) -> float:
        """A metric of the sidecar's own, by name and label as exposed."""
        text = (await self.client.get("/metrics")).text
        return next(
            float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} ")
        )


@asynccontextmanager
async def sidecar(**settings: Any) -> AsyncIterator[Here]:
    """A sidecar with these settings, running; its linger is none and its clock is the test's."""
    classifier, clock = HeldClassifier(), ManualClock()
    chosen = Settings(**{"classify_linger_ms": 0.0, "classify_workers": 1, **settings})
    app = create_sidecar(chosen, classifier=classifier, clock=clock)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8523") as client,
    ):
        yield Here(app, client, classifier, clock)
    assert classifier.closed


async def turns(count: int = 50) -> None:
    """Let everything happen that can."""
    for _ in range(count):
        await asyncio.sleep(0)


class Leaver:
    """A caller of the batch contract, from the server's side of ASGI, who may hang up."""

    def __init__(self, app: Starlette, *windows: Asked) -> None:
        self._app = app
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        body = b"".join(encode_request(windows))
        self._inbox.put_nowait({"type": "http.request", "body": body, "more_body": False})
        self.said: list[Any] = []

    def call(self) -> "asyncio.Task[None]":
        """Call."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/v1/classify/batch",
            "raw_path": b"/v1/classify/batch",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1:8523"), (b"content-type", REQUEST_TYPE.encode())],
            "server": ("127.0.0.1", 8523),
            "client": ("127.0.0.1", 50_000),
        }

        async def serve() -> None:
            await self._app(scope, self._inbox.get, self._hear)

        return asyncio.create_task(serve())

    async def _hear(self, message: Any) -> None:
        self.said.append(message)

    def leave(self) -> None:
        """Hang up."""
        self._inbox.put_nowait({"type": "http.disconnect"})
