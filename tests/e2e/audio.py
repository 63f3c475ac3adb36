"""Audio for end-to-end tests: real recordings from system packages, as PCM."""

import subprocess
import wave
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.needs import need_command, need_file

LIBRIVOX = "/usr/share/pocketsphinx/test/data/librivox/sense_and_sensibility_01_austen_64kb-{}.wav"
HOLD_MUSIC = "/usr/share/asterisk/moh/macroform-the_simplicity.wav"


@cache
def recording(path: str) -> tuple[int, npt.NDArray[np.int16]]:
    """Sample rate and mono samples of a 16-bit WAV file."""
    with wave.open(str(need_file(path))) as source:
        samples = np.frombuffer(source.readframes(source.getnframes()), "<i2")
        return source.getframerate(), samples.reshape(-1, source.getnchannels())[:, 0].copy()


def speech() -> npt.NDArray[np.int16]:
    """Some seconds of a real reader, 16 kHz."""
    rate, samples = recording(LIBRIVOX.format("0870"))
    assert rate == 16_000
    return samples


def voice(name: str, text: str, directory: Path) -> npt.NDArray[np.int16]:
    """`text` spoken by one of flite's voices, 16 kHz where the voice has it."""
    target = directory / f"{name}.wav"
    subprocess.run([need_command("flite"), "-voice", name, "-t", text, "-o", str(target)], check=True)
    return recording(str(target))[1]


def pcm(samples: npt.NDArray[np.int16]) -> bytes:
    """The wire form of 16-bit samples."""
    return samples.astype("<i2").tobytes()
