"""Sidecars from an orchestrator: gateway, orchestrator and sidecars, each a real process of its own."""

import asyncio
import math
import re
from array import array
from collections.abc import Callable, Iterator

import httpx
import pytest
from websockets.asyncio.client import ClientConnection as Socket

from protocol.events import Service, Summary, Tone
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import Said, dial, hear, rest, run, say, until, welcomed
from tests.orchestrators.process import OrchestratorProcess, orchestrator
from tests.sidecars.process import SidecarProcess, sidecar

RATE = 16_000
LOUD = array("h", (int(20_000 * math.sin(2 * math.pi * 220 * n / RATE)) for n in range(RATE // 4))).tobytes()
"""A quarter of a second; sidecars of these tests call it `Loud`, which the embedded classifier never says."""
STEP_S = 0.1


@pytest.fixture(scope="module")
def sidecars() -> Iterator[list[SidecarProcess]]:
    with sidecar() as one, sidecar("--no-batch") as two:
        yield [one, two]


@pytest.fixture
def theirs(sidecars: list[SidecarProcess]) -> Iterator[OrchestratorProcess]:
    with orchestrator(*(one.url for one in sidecars)) as running:
        yield running


async def by_sidecar(socket: Socket) -> Tone:
    """Speak until a sidecar answers; its first answer."""
    for _ in range(100):
        await socket.send(LOUD)
        await say(socket, "flush", id="x")
        tones = [event for event in await _up_to_flushed(socket) if isinstance(event, Tone)]
        if any(tone.label == "Loud" for tone in tones):
            return next(tone for tone in tones if tone.label == "Loud")
        await asyncio.sleep(STEP_S)
    raise AssertionError("no sidecar ever answered")


async def _up_to_flushed(socket: Socket) -> list[Said]:
    heard: list[Said] = []
    while not heard or heard[-1].type != "flushed":
        heard.append(await hear(socket))
    return heard


def ready(gateway: GatewayProcess) -> httpx.Response:
    """What `/readyz` says."""
    return httpx.get(f"{gateway.url}/readyz", trust_env=False)


async def service(socket: Socket, status: str) -> Service:
    """The next word of that status."""
    while True:
        last = (await until(socket, Service))[-1]
        assert isinstance(last, Service)
        if last.status == status:
            return last


async def books(theirs: OrchestratorProcess, held: int) -> None:
    """Wait until so many are held."""
    for _ in range(100):
        if len(theirs.books()["held"]) == held:
            return
        await asyncio.sleep(STEP_S)
    raise AssertionError(theirs.books())


def test_a_node_has_one_sidecar_and_gives_it_back_when_it_stops(
    launch: Callable[..., GatewayProcess], theirs: OrchestratorProcess
) -> None:
    """All sessions go there, and nothing of them is told to the orchestrator."""
    running = launch(ORCH_URL=theirs.url, TRANSCRIBER="none")

    async def scenario() -> list[Said]:
        async with dial(running) as socket, dial(running) as other:
            session = (await welcomed(socket)).session_id
            await welcomed(other)
            await by_sidecar(socket)
            await by_sidecar(other)
            assert [caller for caller in theirs.books()["callers"] if session[:8] in caller] == []
            await say(socket, "end")
            heard, code = await rest(socket)
            assert code == 1000
            return heard

    summary = run(scenario())[-1]
    assert isinstance(summary, Summary)
    assert summary.next_sample == summary.classified_samples + summary.gap_samples
    assert len(theirs.books()["held"]) == 1
    assert theirs.books()["made"] == 1
    answer = ready(running)
    assert (answer.status_code, answer.json()["checks"]["classifier"]) == (200, "orchestrated")
    assert running.stop() == 0
    assert theirs.books()["held"] == {}


def test_each_session_has_its_own_until_it_is_over(
    launch: Callable[..., GatewayProcess], theirs: OrchestratorProcess
) -> None:
    """Those that are left are given back when the node stops."""
    running = launch(ORCH_URL=theirs.url, ORCH_SCOPE="session", TRANSCRIBER="none")

    async def scenario() -> None:
        async with dial(running) as one, dial(running) as two:
            for socket in (one, two):
                await welcomed(socket)
                await by_sidecar(socket)
            assert len(theirs.books()["held"]) == 2
            await say(one, "end")
            await rest(one)
            await books(theirs, 1)

    run(scenario(), 60)
    assert running.stop() == 0
    assert theirs.books()["held"] == {}


def test_without_a_sidecar_the_embedded_classifier_listens_until_there_is_one(
    launch: Callable[..., GatewayProcess], theirs: OrchestratorProcess
) -> None:
    """The session is told both, and loses nothing; nor does the node stop being ready."""
    theirs.answer(503, {"detail": "no capacity at http://user:secret@nowhere"})
    running = launch(ORCH_URL=theirs.url, TRANSCRIBER="none")

    async def scenario() -> list[Said]:
        async with dial(running) as socket:
            await welcomed(socket)
            told = await service(socket, "warning")
            assert "embedded" in told.detail
            await socket.send(LOUD)
            assert (await asyncio.to_thread(ready, running)).status_code == 200
            theirs.be_well()
            await service(socket, "ready")
            await by_sidecar(socket)
            await say(socket, "end")
            heard, _ = await rest(socket)
            return heard

    summary = run(scenario(), 60)[-1]
    assert isinstance(summary, Summary)
    assert summary.gap_samples == 0
    assert running.stop() == 0
    assert not re.search("secret|Traceback", "".join(running.log))


def test_a_sidecar_that_dies_is_exchanged(
    launch: Callable[..., GatewayProcess], sidecars: list[SidecarProcess]
) -> None:
    """Its allocation is given back, the embedded classifier steps in, and the next sidecar takes over."""
    with sidecar() as doomed, orchestrator(sidecars[0].url, doomed.url) as theirs:
        running = launch(ORCH_URL=theirs.url, TRANSCRIBER="none")

        async def scenario() -> None:
            async with dial(running) as socket:
                await welcomed(socket)
                await by_sidecar(socket)
                assert list(theirs.books()["held"].values()) == [doomed.url]
                doomed.kill()
                for _ in range(200):
                    await socket.send(LOUD)
                    await say(socket, "flush", id="x")
                    await _up_to_flushed(socket)
                    if list(theirs.books()["held"].values()) == [sidecars[0].url]:
                        break
                    await asyncio.sleep(STEP_S)
                await by_sidecar(socket)

        run(scenario(), 90)
        assert running.stop() == 0
        assert theirs.books()["held"] == {}


def test_a_sidecar_of_our_own_wins_over_allocation(
    launch: Callable[..., GatewayProcess], theirs: OrchestratorProcess, sidecars: list[SidecarProcess]
) -> None:
    """The orchestrator is never asked."""
    running = launch(ORCH_URL=theirs.url, CLASSIFIER_URL=sidecars[0].url, TRANSCRIBER="none")

    async def scenario() -> None:
        async with dial(running) as socket:
            await welcomed(socket)
            await by_sidecar(socket)

    run(scenario())
    assert running.stop() == 0
    assert theirs.books()["callers"] == []
