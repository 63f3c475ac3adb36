"""Five minutes of a voice, in one piece."""

import json
import subprocess

import pytest

from tests.e2e.long_stream import STREAM_S


@pytest.mark.timeout(STREAM_S + 180)
def test_five_minutes_without_a_hole(long_stream: "subprocess.Popen[str]") -> None:
    """Every window has its tone, every event its place, and the page nothing to complain of."""
    told, errors = long_stream.communicate()
    assert long_stream.returncode == 0, errors
    found = json.loads(told)
    assert found["phases"] == ["live"]
    assert found["problems"] == []
    assert found["gaps"] == []
    assert found["complete"]
    assert found["joined"]
    assert found["welcomes"] == 1
    # A microphone made of a file hands over less than real time where the processor is busy.
    assert found["summary"]["received_samples"] > 0.9 * STREAM_S * 16_000
    assert found["tones"] >= found["summary"]["received_samples"] // 16_000
