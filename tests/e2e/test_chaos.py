"""A connection that is cut again and again changes nothing in what is heard."""

import asyncio
import json
import re
import subprocess
import sys
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.commands.demo_audio import build
from protocol.client import connect
from protocol.events import Gap, Welcome
from tests.e2e.audio import LIBRIVOX, recording, speech
from tests.e2e.conftest import ROOT, GatewayProcess
from tests.needs import need_module

RATE = 16_000
SECONDS = 300
SPOKEN_SECONDS = 30


@dataclass(frozen=True)
class Run:
    """What `undertone stream` printed."""

    events: list[dict[str, Any]]
    remarks: str

    def only(self, *types: str) -> list[dict[str, Any]]:
        """Events of these types."""
        return [event for event in self.events if event["type"] in types]

    @property
    def seqs(self) -> list[int]:
        """The numbers of the durable events."""
        return [event["seq"] for event in self.events if "seq" in event]

    @property
    def heard(self) -> list[tuple[Any, ...]]:
        """Range and label of what was heard."""
        kinds = self.only("tone", "speaker", "queue")
        return [(one["type"], one["start_sample"], one["end_sample"], one["label"]) for one in kinds]

    @property
    def words(self) -> list[tuple[Any, ...]]:
        """The final transcript."""
        finals = [one for one in self.only("transcript") if one["is_final"]]
        return [(one["start_sample"], one["end_sample"], one["text"]) for one in finals]


def stream(gateway: GatewayProcess, audio: Path, *more: str) -> Run:
    """`undertone stream AUDIO --fast --json`, to its end."""
    command = [sys.executable, "-m", "gateway", "stream", str(audio), "--url", gateway.url]
    done = subprocess.run(
        [*command, "--fast", "--json", *more], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    remarks = done.stderr.decode()
    assert done.returncode == 0, remarks
    return Run([json.loads(line) for line in done.stdout.splitlines()], remarks)


def written(path: Path, seconds: int, *parts: Any) -> Path:
    """A WAV file of so many seconds, of `parts` over and over."""
    samples = np.resize(np.concatenate(parts), seconds * RATE).astype("<i2")
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(RATE)
        target.writeframes(samples.tobytes())
    return path


def check_whole(run: Run, seconds: int) -> None:
    """Nothing is missing, nothing came twice."""
    (summary,) = run.only("summary")
    assert run.seqs == list(range(1, summary["seq"] + 1))
    assert not run.only("gap", "error")
    assert summary["classified_samples"] == summary["received_samples"] == seconds * RATE


def test_five_minutes_in_pieces_are_five_minutes(gateway: GatewayProcess, tmp_path: Path) -> None:
    """Cut about every 0.3 s, a lossless recording yields the very same tones, speakers and call states."""
    audio = written(tmp_path / "call.wav", SECONDS, speech(), build().samples)
    calm = stream(gateway, audio)
    cut = stream(gateway, audio, "--chaos", "0.3", "--chaos-seed", "1")
    check_whole(calm, SECONDS)
    check_whole(cut, SECONDS)
    assert len(calm.heard) > SECONDS / 2
    assert cut.heard == calm.heard
    report = re.search(r"cut (\d+) times on purpose, reconnected (\d+) times; nothing missed", cut.remarks)
    assert report is not None, cut.remarks
    resumed = [one for one in cut.only("welcome")[1:] if one["recovered"]]
    assert len(resumed) == int(report[2]) >= 3


def test_the_words_are_the_same(launch: Callable[..., GatewayProcess], tmp_path: Path) -> None:
    """The final transcript, too: each run has a gateway of its own, so that no decoder has heard anything."""
    need_module("pocketsphinx")
    readings = [recording(LIBRIVOX.format(number))[1] for number in ("0870", "0880", "0890")]
    audio = written(tmp_path / "reading.wav", SPOKEN_SECONDS, *readings)
    runs = []
    for more in ([], ["--chaos", "0.5", "--chaos-seed", "2"]):
        gateway = launch(TRANSCRIBER="pocketsphinx")
        runs.append(stream(gateway, audio, *more))
        gateway.stop()
    for run in runs:
        check_whole(run, SPOKEN_SECONDS)
    calm, cut = runs
    assert len(cut.only("welcome")) > 3
    assert len(calm.words) >= 3
    assert cut.words == calm.words
    assert cut.heard == calm.heard


@pytest.mark.parametrize("seed", [1, 2])
def test_live_audio_through_a_tunnel(gateway: GatewayProcess, seed: int) -> None:
    """Realtime: cut every second, with speech going on meanwhile, nothing needs to be given up."""
    pcm = np.resize(speech(), 12 * RATE).astype("<i2").tobytes()
    rng = np.random.default_rng(seed)

    async def main() -> None:
        seen = []
        async with asyncio.timeout(40), connect(gateway.ws_url) as client:

            async def collect() -> None:
                seen.extend([event async for event in client])

            collecting = asyncio.create_task(collect())
            at = 0
            while at < len(pcm):
                size = int(rng.integers(1, 6_400))
                await client.send(pcm[at : at + size])
                at += size
                await asyncio.sleep(size / 2 / RATE / 3)
                if rng.random() < 0.1:
                    client.drop()
            summary = await client.end()
            await collecting
            assert client.resumes > 2
            assert (client.missed, client.lost_samples) == (0, 0)
            assert all(event.recovered for event in seen if isinstance(event, Welcome))
            assert not [event for event in seen if isinstance(event, Gap)]
            assert summary.received_samples == summary.next_sample == 12 * RATE

    asyncio.run(main())
