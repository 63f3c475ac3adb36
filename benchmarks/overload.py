"""Live speech for a classifier three times too slow, over real sockets: what is told, dropped, refused.

    python -m benchmarks.overload

The server is a process of its own (`tests.chaos.slow_gateway`), the clients share another one. All sessions
speak for two minutes; each second somebody new asks to be let in and one session's account is looked at.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from benchmarks.rows import Row, table
from gateway.commands.load import speech_like
from protocol.client import Client, connect
from protocol.events import Flow, FlowState, Gap, Summary, Tone
from tests.e2e.conftest import GatewayProcess, start_gateway

SESSIONS = 60
SECONDS = 120
SLOW = 3
RATE = 16_000
FRAME_S = 0.1
FRAME = 3_200
"""Bytes."""


@dataclass(slots=True)
class Heard:
    """What one client was told."""

    staleness_s: list[float] = field(default_factory=list)
    """Of each tone: from the moment its last sample was sent to its arrival here."""
    gaps: list[tuple[int, int]] = field(default_factory=list)
    states: set[FlowState] = field(default_factory=set)
    summary: Summary | None = None

    @property
    def undeclared(self) -> int:
        """Samples that were neither classified nor declared; less than 0 where some were twice."""
        assert self.summary is not None
        declared = sum(end - start for start, end in self.gaps)
        return self.summary.next_sample - self.summary.classified_samples - declared


@dataclass(slots=True)
class Door:
    """What newcomers and the accounts said, second by second."""

    asked: int = 0
    refused: int = 0
    retry_s: list[int] = field(default_factory=list)
    unbalanced: int = 0


def rows() -> list[Row]:
    """One run; takes about two and a half minutes."""
    slow = ("tests.chaos.slow_gateway", "--slow", str(SLOW), "--sessions", str(SESSIONS))
    gateway = start_gateway(*slow, TRANSCRIBER="none", CLASSIFY_WORKERS="1", LOG_LEVEL="warning")
    try:
        heard, door = asyncio.run(_run(gateway))
    finally:
        gateway.stop()
    return _figures(heard, door)


def _figures(heard: Sequence[Heard], door: Door) -> list[Row]:
    stale = sorted(seconds for one in heard for seconds in one.staleness_s)
    cents = statistics.quantiles(stale, n=100)
    done = [one.summary.classified_samples for one in heard if one.summary is not None]
    share = sum(done) / (len(heard) * SECONDS * RATE)
    shed = sum(FlowState.SHEDDING in one.states for one in heard)
    could = "audio the classifier could do"
    return [
        Row("sessions", len(heard), "sessions"),
        Row("staleness of tones p50", cents[49], "s"),
        Row("staleness of tones p99", cents[98], "s"),
        Row("staleness of tones, most", stale[-1], "s"),
        Row(could, 1 / SLOW, "share"),
        Row("audio classified", share, "share", could, share * SLOW),
        Row("Jain's index of the sessions' classified audio", _jain(done), ""),
        Row("samples neither classified nor declared", sum(abs(one.undeclared) for one in heard), "samples"),
        Row("accounts looked at that did not balance", door.unbalanced, f"of {door.asked}"),
        Row("sessions told that they shed", shed, "sessions"),
        Row("newcomers refused", door.refused, f"of {door.asked}"),
        Row("told to come back after, on average", statistics.fmean(door.retry_s or [0]), "s"),
    ]


def _jain(shares: Sequence[float]) -> float:
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


async def _run(gateway: GatewayProcess) -> tuple[list[Heard], Door]:
    door, over = Door(), asyncio.Event()
    ids: list[str] = []
    watching = asyncio.create_task(_watch(gateway, ids, door, over))
    speech = speech_like(RATE)
    frames = [speech[start : start + FRAME] for start in range(0, len(speech), FRAME)]
    heard = await asyncio.gather(*(_speak(gateway, n, frames, ids) for n in range(SESSIONS)))
    over.set()
    await watching
    return list(heard), door


async def _speak(gateway: GatewayProcess, number: int, frames: Sequence[bytes], ids: list[str]) -> Heard:
    """One session, not in step with the others."""
    await asyncio.sleep(number / SESSIONS)
    heard = Heard()
    async with connect(gateway.ws_url, resume=False) as client:
        ids.append(client.welcome.session_id)
        began = time.monotonic()
        listening = asyncio.create_task(_listen(client, heard, began))
        for sent in range(round(SECONDS / FRAME_S)):
            await asyncio.sleep(began + (sent + 1) * FRAME_S - time.monotonic())
            await client.send(frames[sent % len(frames)])
        await client.end()
        await listening
    return heard


async def _listen(client: Client, heard: Heard, began: float) -> None:
    async for event in client:
        match event:
            case Tone():
                heard.staleness_s.append(time.monotonic() - began - event.end_sample / RATE)
            case Gap():
                heard.gaps.append((event.start_sample, event.end_sample))
            case Flow():
                heard.states.add(event.state)
            case Summary():
                heard.summary = event


async def _watch(gateway: GatewayProcess, ids: Sequence[str], door: Door, over: asyncio.Event) -> None:
    """Each second: ask for a session, and look at the account of one there is."""
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as rest:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), timeout=1)
            answer = await rest.post("/api/v1/sessions")
            door.asked += 1
            if answer.is_success:
                await rest.delete(answer.headers["location"])
            else:
                door.refused += 1
                door.retry_s.append(int(answer.headers["retry-after"]))
            if ids:
                one = ids[door.asked % len(ids)]
                door.unbalanced += not _balances((await rest.get(f"/api/v1/sessions/{one}/stats")).json())


def _balances(counts: Mapping[str, int]) -> bool:
    settled = counts["classified_samples"] + counts["gap_samples"]
    return counts["next_sample"] == settled + counts.get("pending_samples", 0)


if __name__ == "__main__":
    print(table(rows()))
