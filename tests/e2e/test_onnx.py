"""A gateway whose tones come from a local model: what its clients hear, and what it refuses to start with."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr

from protocol.client import connect
from protocol.events import Event, Speaker, Summary, Tone, UnknownEvent
from tests.e2e.audio import HOLD_MUSIC, pcm, recording, speech
from tests.e2e.conftest import ROOT, GatewayProcess
from tests.gateway.classify.onnx.graphs import CLASSES, Graph, describe


def told(gateway: GatewayProcess, sound: bytes) -> list[Event | UnknownEvent]:
    """Every event about a recording."""

    async def main() -> list[Event | UnknownEvent]:
        async with asyncio.timeout(60), connect(gateway.ws_url, config={"delivery": "lossless"}) as client:
            await client.send(sound)
            await client.end()
            return [event async for event in client]

    return asyncio.run(main())


def test_tones_with_dimensions_and_speakers_beside_them(
    launch: Callable[..., GatewayProcess], tmp_path: Path
) -> None:
    """Real speech: the model gives the tone its dimensions, signal processing the speaker."""
    file = describe(tmp_path, Graph(gains=[4.0, 2.0, 1.0], biases=[0.3, 0.3, 0.3]), top='name = "tiny-1"')
    gateway = launch(CLASSIFIER="onnx", ONNX_MODEL_FILE=str(file), TRANSCRIBER="none")
    events = told(gateway, pcm(speech()))
    tones = [event for event in events if isinstance(event, Tone)]
    summary = next(event for event in events if isinstance(event, Summary))
    assert summary.gap_samples == 0
    assert summary.classified_samples == len(speech())
    assert len(tones) >= 0.7 * len(speech()) / 16_000
    for tone in tones:
        assert tone.model == "tiny-1"
        assert tone.speaker_id == "Speaker A"
        for value in (tone.arousal, tone.dominance, tone.valence, tone.confidence):
            assert value is not None
            assert 0.0 <= value <= 1.0
        assert tone.arousal != tone.dominance
    assert any(isinstance(event, Speaker) for event in events)
    assert tones[0].trend is None
    assert tones[-1].trend is not None


def test_hold_music_and_silence_have_no_tone(launch: Callable[..., GatewayProcess], tmp_path: Path) -> None:
    """The model would name any sound: it isn't asked."""
    file = describe(tmp_path, Graph(gains=[1.0] * 4, biases=[0.0, 0.0, 1.0, 0.0]), rest=CLASSES)
    gateway = launch(CLASSIFIER="onnx", ONNX_MODEL_FILE=str(file), TRANSCRIBER="none")
    rate, music = recording(HOLD_MUSIC)
    sound = soxr.resample(music[-10 * rate :], rate, 16_000).astype(np.int16)
    events = told(gateway, pcm(np.concatenate([sound, np.zeros(80_000, np.int16)])))
    # One in a hundred windows of music is taken for speech, as the acoustic classifier's gate says of itself.
    assert len([event for event in events if isinstance(event, Tone)]) <= 1
    assert next(event for event in events if isinstance(event, Summary)).gap_samples == 0


def undertone(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that must end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *command],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "UNDERTONE_CLASSIFIER": "onnx", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "command", [("serve", "--port", "0"), ("check-config",)], ids=["serve", "check-config"]
)
def test_a_model_that_can_not_be_used_is_told_at_the_start(command: tuple[str, ...], tmp_path: Path) -> None:
    """Before anything is served: the exit status of wrong settings, the setting and the field."""
    file = describe(tmp_path, Graph(), rest=CLASSES)
    done = undertone(*command, UNDERTONE_ONNX_MODEL_FILE=str(file))
    assert done.returncode == 2
    assert "UNDERTONE_ONNX_MODEL_FILE" in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "classes.labels" in line]
    assert "has 4 entries, but the output logits has 3 numbers" in line
    assert "Traceback" not in done.stderr
    assert "listens" not in done.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no graph", "model.onnx can't be loaded"),
        (None, "model is no file"),
    ],
)
def test_other_files_that_can_not_be_used(tmp_path: Path, content: bytes | None, said: str) -> None:
    """A model that is none, and one that is missing."""
    if content is not None:
        (tmp_path / "model.onnx").write_bytes(content)
    done = undertone("check-config", UNDERTONE_ONNX_MODEL_FILE=str(describe(tmp_path)))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_can_be_used_is_shown(tmp_path: Path) -> None:
    """`check-config` loads it, and shows the settings in force."""
    file = str(describe(tmp_path, Graph()))
    done = undertone("check-config", UNDERTONE_ONNX_MODEL_FILE=file)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"UNDERTONE_ONNX_MODEL_FILE={file}\n" in done.stdout


def test_no_file_named() -> None:
    """The classifier needs one."""
    done = undertone("check-config")
    assert done.returncode == 2
    assert "must not be onnx without UNDERTONE_ONNX_MODEL_FILE" in done.stderr
