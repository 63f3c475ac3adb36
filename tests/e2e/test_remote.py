"""A gateway whose windows go to a sidecar: real processes, and what becomes of sessions when it is killed."""

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest

from protocol.events import Summary, Tone
from tests.chaos.callers import Account, Call, Speaker, Voice, crowd
from tests.chaos.ledger import summary_of
from tests.e2e.conftest import GatewayProcess
from tests.e2e.wire import dial, only, rest, run, say
from tests.sidecars.process import SidecarProcess, start_sidecar
from tests.sidecars.process import sidecar as sidecar_process

CLIENTS = 12
SECONDS = 9.0
KILLS = 2
SLOW_CLIENTS = 24
SLOW_SECONDS = 30.0


@pytest.fixture
def sidecar() -> Iterator[SidecarProcess]:
    """One that the test may replace by another."""
    running = start_sidecar()
    yield running
    running.stop()


def test_windows_go_to_the_sidecar_and_back(
    launch: Callable[..., GatewayProcess], sidecar: SidecarProcess
) -> None:
    """Its labels and its own keys reach the client; calls are counted; the logs name no address."""
    gateway = launch(TRANSCRIBER="none", CLASSIFIER="remote", CLASSIFIER_URL=sidecar.url)

    async def scenario() -> None:
        async with dial(gateway) as socket:
            for _ in range(20):
                await socket.send(b"\x00\x20\x00\xe0" * 800)
            await say(socket, "end")
            heard, code = await rest(socket)
        assert code == 1000
        tones = [event for event in heard if isinstance(event, Tone)]
        assert [(tone.label, tone.extra["heard"]) for tone in tones] == [("Loud", 1), ("Loud", 2)]
        summary = only(heard, Summary)
        assert summary.classified_samples == summary.next_sample == 32_000
        async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as rest_client:
            metrics = (await rest_client.get("/metrics")).text
            assert 'undertone_sidecar_calls_total{outcome="ok",replica="0"} ' in metrics
            assert 'undertone_sidecar_breakers{state="closed"} 1.0' in metrics
            ready = (await rest_client.get("/readyz")).json()
        assert "remote" in str(ready)

    run(scenario())


def test_a_sidecar_that_is_killed_again_and_again(
    launch: Callable[..., GatewayProcess], sidecar: SidecarProcess
) -> None:
    """SIGKILL under live sessions: no session is lost, no event comes twice, and each window that was not
    classified is in a gap of the classifier's; when it is back, so are answers."""
    gateway = launch(TRANSCRIBER="none", CLASSIFIER="remote", CLASSIFIER_URL=sidecar.url)
    port = sidecar.url.rpartition(":")[2]

    async def trouble() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(1.5)
            sidecar.kill()
            await asyncio.sleep(0.5)
            fresh = await asyncio.to_thread(start_sidecar, "--port", port)
            sidecar.process = fresh.process

    async def main() -> Account:
        voice = Voice()
        async with asyncio.timeout(90):
            speakers = [Speaker(gateway.ws_url, SECONDS, voice) for _ in range(CLIENTS)]
            calls, _ = await asyncio.gather(crowd(speakers, ramp_s=1.0), trouble())
            last = [event for call in calls for event in call.history.events if isinstance(event, Tone)]
            assert max(tone.timestamp for tone in last) >= SECONDS - 2.0, "answers came back"
            return Account.of(calls)

    account = asyncio.run(main())
    assert account.faults == ()
    assert (account.whole, account.refused, account.missed) == (CLIENTS, 0, 0)
    assert account.gap_s.get("client", 0) == 0
    assert account.gap_s["classifier"] > 0


@pytest.mark.parametrize("contract", ["batch", "single"])
def test_a_sidecar_three_times_slower_than_its_windows_come(
    launch: Callable[..., GatewayProcess], contract: str
) -> None:
    """What it has time for it is asked, everybody gets the same share, and the rest is declared; no answer is
    older than the two deadlines allow."""
    options = [f"--window-ms={1_000 * 3 / SLOW_CLIENTS}", *(["--no-batch"] if contract == "single" else [])]
    with sidecar_process(*options) as slow:
        gateway = launch(TRANSCRIBER="none", CLASSIFIER="remote", CLASSIFIER_URL=slow.url)
        voice = Voice()
        speakers = [Speaker(gateway.ws_url, SLOW_SECONDS, voice) for _ in range(SLOW_CLIENTS)]

        async def main() -> list[Call]:
            async with asyncio.timeout(120):
                return await crowd(speakers, ramp_s=1.0)

        calls = asyncio.run(main())
    account = Account.of(calls)
    assert account.faults == ()
    assert (account.whole, account.refused, account.missed) == (SLOW_CLIENTS, 0, 0)
    shares = [
        summary.classified_samples for call in calls if (summary := summary_of(call.history)) is not None
    ]
    capacity = SLOW_CLIENTS * SLOW_SECONDS / 3 * speakers[0].audio.sample_rate
    assert sum(shares) > capacity / 2, "it is kept at work"
    assert sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares)) >= 0.95
    tones = [event for call in calls for event in call.history.events if isinstance(event, Tone)]
    ages = sorted((tone.queued_ms or 0.0) + (tone.classify_ms or 0.0) for tone in tones)
    assert ages[round(0.99 * (len(ages) - 1))] < 4_000


def test_a_setting_that_can_not_work_is_told_before_anything_opens(
    launch: Callable[..., GatewayProcess], tmp_path: object
) -> None:
    """A file that is not there is named; nothing is served."""
    with pytest.raises(AssertionError, match="UNDERTONE_CLASSIFIER_TOKEN_FILE"):
        launch(
            CLASSIFIER="remote",
            CLASSIFIER_URL="http://127.0.0.1:1",
            CLASSIFIER_TOKEN_FILE=f"{tmp_path}/missing",
        )
