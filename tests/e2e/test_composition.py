"""Two namespaces on one gateway, each with its own classifier: the trouble of one is not the other's."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from websockets.asyncio.client import ClientConnection as Socket
from websockets.asyncio.client import connect

from gateway.sessions.keys import Choice, Keyring, NewKey
from gateway.stores.keyfile import save
from protocol.events import Gap, GapReason, Service, Summary, Tone
from tests.e2e.conftest import GatewayProcess
from tests.e2e.test_orchestrator import LOUD, STEP_S, ready
from tests.e2e.wire import Said, dial, hear, rest, run, say, welcomed
from tests.sidecars.process import sidecar


def dial_as(gateway: GatewayProcess, key: NewKey) -> connect:
    """A WebSocket to a new session of the namespace with that key."""
    return dial(gateway, additional_headers={"authorization": f"Bearer {key.bearer}"})


async def speak(socket: Socket, seconds: int = 2) -> list[Said]:
    """So many windows, and what was heard up to the last of them."""
    heard: list[Said] = []
    for _ in range(seconds):
        await socket.send(LOUD)
        await say(socket, "flush", id="x")
        await asyncio.sleep(STEP_S)
        while not heard or heard[-1].type != "flushed":
            heard.append(await hear(socket))
        heard.append(await hear_pong(socket))
    return heard


async def hear_pong(socket: Socket) -> Said:
    """The answer to a ping, past what is said meanwhile, so that `heard` can go on."""
    await say(socket, "ping", t=1)
    while (event := await hear(socket)).type != "pong":
        pass
    return event


def labels(heard: list[Said]) -> set[str]:
    return {event.label for event in heard if isinstance(event, Tone)}


async def ended(socket: Socket) -> list[Said]:
    await say(socket, "end")
    heard, code = await rest(socket)
    assert code == 1000
    summary = heard[-1]
    assert isinstance(summary, Summary)
    assert summary.next_sample == summary.classified_samples + summary.gap_samples
    return heard


def test_the_trouble_of_one_namespaces_sidecar_is_its_own(
    launch: Callable[..., GatewayProcess], tmp_path: Path
) -> None:
    """Its sessions are told, and their windows are gaps; the other's go on, and the node stays ready."""
    with sidecar() as theirs:
        ring, plain = Keyring().with_key("plain", time.time())
        ring, remote = ring.with_key("remote", time.time(), None, Choice("remote", "none"))
        path = tmp_path / "namespaces.toml"
        save(path, ring)
        running = launch(
            NAMESPACES_FILE=str(path), CLASSIFIER="acoustic", CLASSIFIER_URL=theirs.url, TRANSCRIBER="none"
        )

        async def scenario() -> None:
            async with dial_as(running, plain) as here, dial_as(running, remote) as there:
                for socket in (here, there):
                    await welcomed(socket)
                assert "Loud" not in labels(await speak(here))
                assert labels(await speak(there)) == {"Loud"}
                theirs.kill()
                told: list[Said] = []
                while not any(isinstance(event, Service) and event.status == "error" for event in told):
                    await there.send(LOUD)
                    await asyncio.sleep(STEP_S)
                    told.append(await hear(there))
                await speak(here)
                lost = [event for event in await ended(there) + told if isinstance(event, Gap)]
                assert {gap.reason for gap in lost} == {GapReason.CLASSIFIER}
                summary = (await ended(here))[-1]
                assert isinstance(summary, Summary)
                assert summary.gap_samples == 0
            answer = await asyncio.to_thread(ready, running)
            assert answer.status_code == 200
            assert answer.json()["checks"]["classifier"] == "acoustic"
            assert answer.json()["checks"]["classifier:remote"] == "the sidecar can't be reached"

        run(scenario(), 60)


def test_what_a_namespace_chooses_later_starts_without_a_restart(
    launch: Callable[..., GatewayProcess], tmp_path: Path
) -> None:
    """For new sessions; one that is open keeps what it began with. A choice that can't be is refused."""
    with sidecar() as theirs:
        ring, key = Keyring().with_key("acme", time.time())
        path = tmp_path / "namespaces.toml"
        save(path, ring)
        running = launch(
            NAMESPACES_FILE=str(path), CLASSIFIER="acoustic", CLASSIFIER_URL=theirs.url, TRANSCRIBER="none"
        )

        async def scenario() -> None:
            async with dial_as(running, key) as before:
                await welcomed(before)
                await speak(before)
                changed, _ = ring.with_key("acme", time.time(), None, Choice("remote"))
                save(path, changed)
                await asyncio.sleep(1.1)
                async with dial_as(running, key) as after:
                    await welcomed(after)
                    assert labels(await speak(after)) == {"Loud"}
                    assert "Loud" not in labels(await speak(before))
                path.write_text(path.read_text().replace('"remote"', '"clairvoyant"'))
                await asyncio.sleep(1.1)
                async with dial_as(running, key) as after:
                    await welcomed(after)
                    assert labels(await speak(after)) == {"Loud"}

        run(scenario(), 60)
        assert any("the keys stay as they were" in line for line in running.log)
