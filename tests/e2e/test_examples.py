"""The README's Python client, run as it is but for the address, against a real gateway."""

import json
import re
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr

from tests.e2e.audio import LIBRIVOX, pcm, recording
from tests.e2e.conftest import ROOT, GatewayProcess
from tests.needs import need_file

EXAMPLES = ROOT / "docs" / "examples"
ADDRESS = "ws://127.0.0.1:8522/ws/voice"
MONO = "/usr/share/sounds/alsa/Front_Center.wav"


def stereo(folder: Path) -> Path:
    """Two seconds of a reader, in both channels, at 22,050 Hz."""
    rate, samples = recording(LIBRIVOX.format("0870"))
    resampled = soxr.resample(samples[rate : 3 * rate], rate, 22_050).astype(np.int16)
    path = folder / "stereo.wav"
    with wave.open(str(path), "wb") as target:
        target.setnchannels(2)
        target.setsampwidth(2)
        target.setframerate(22_050)
        target.writeframes(pcm(np.repeat(resampled, 2)))
    return path


@pytest.mark.parametrize("channels", [1, 2])
def test_the_python_client_plays_a_file_to_its_last_sample(
    gateway: GatewayProcess, tmp_path: Path, channels: int
) -> None:
    """Events are printed from `welcome` to `summary`; the file is heard whole, and no faster than spoken."""
    path = stereo(tmp_path) if channels == 2 else need_file(MONO)
    with wave.open(str(path)) as file:
        rate, length = file.getframerate(), file.getnframes()
    source = (EXAMPLES / "client.py").read_text(encoding="utf-8").replace(ADDRESS, gateway.ws_url)
    started = time.monotonic()
    command = [sys.executable, "-c", source, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    took_s = time.monotonic() - started
    assert (ran.returncode, ran.stderr) == (0, "")
    welcome, *events, summary = map(json.loads, ran.stdout.splitlines())
    assert welcome["audio"] == {"encoding": "pcm_s16le", "sample_rate": rate, "channels": channels}
    assert "tone" in {event["type"] for event in events}
    assert (summary["type"], summary["received_samples"], summary["gap_samples"]) == ("summary", length, 0)
    assert took_s >= length / rate


@pytest.mark.parametrize("name", ["client.js", "client.py"])
def test_the_examples_are_ten_lines_or_so(name: str) -> None:
    """What the README promises to be short stays so, and fits a page."""
    lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line]) <= 11
    assert max(map(len, lines)) <= 110


def test_the_script_in_the_page_about_clients(gateway: GatewayProcess) -> None:
    """It prints every event, ends with `summary`, and loses nothing on the way."""
    text = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(import asyncio.*?)```", text, re.DOTALL)
    path = need_file(MONO)
    with wave.open(str(path)) as file:
        length = file.getnframes()
    command = [sys.executable, "-c", source, str(path), gateway.ws_url.removesuffix("/ws/voice")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=ROOT)
    assert (ran.returncode, ran.stderr) == (0, "")
    *before, last = ran.stdout.splitlines()
    assert any(line.startswith("Tone(") for line in before)
    assert last.startswith("Summary(")
    assert f"classified_samples={length}, gap_samples=0" in last
