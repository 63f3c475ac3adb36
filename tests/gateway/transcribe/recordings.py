"""Real speech from system packages, and how many words of it were understood."""

import re
import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.gateway.transcribe.fakes import Samples
from tests.needs import need_command, need_file

DATA = Path("/usr/share/pocketsphinx/test/data")


def go_forward() -> Samples:
    """A man says "go forward ten meters", 2.8 s."""
    return np.fromfile(need_file(DATA / "goforward.raw"), np.int16)


def librivox() -> list[tuple[Samples, list[str]]]:
    """Five sentences of a LibriVox reading with the words that were read."""
    folder = need_file(DATA / "librivox")
    names = (folder / "fileids").read_text().split()
    lines = (folder / "transcription").read_text().splitlines()
    texts = [re.sub(r"\([^)]*\)$|</?s>", "", line).split() for line in lines]
    return [(_wave(folder / f"{name}.wav"), text) for name, text in zip(names, texts, strict=True)]


def synthesised(text: str, folder: Path) -> Samples:
    """`text` in flite's voice `slt`."""
    path = folder / "speech.wav"
    subprocess.run([need_command("flite"), "-voice", "slt", "-t", text, str(path)], check=True)
    return _wave(path)


def errors(expected: Sequence[str], heard: Sequence[str]) -> int:
    """Word insertions, deletions and substitutions (Levenshtein distance)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(expected, 1):
        above, row[0] = row[:], i
        for j, other in enumerate(heard, 1):
            row[j] = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (word != other))
    return row[-1]


def _wave(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)
