"""The demo's recording: somebody dials, hears it ring, waits to music, then two people talk.

The tones and the music are made here. The speech comes from the best source at hand: the `flite` command,
else real recordings of a system package, else our own formant voice. The same machine always gets the same
samples.
"""

import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from gateway.commands import synth
from gateway.commands.wav import Coding, WavError, WavReader

DIGITS = "5550142"
"""What is dialled; a number reserved for fiction"""
_FLITE_TIMEOUT_S = 15


@dataclass(frozen=True, slots=True)
class Turn:
    """One stretch of speech."""

    text: str
    """What is said; empty where it isn't known"""
    sound: synth.Samples
    """16 kHz, full scale ±1"""


@dataclass(frozen=True, slots=True)
class DemoAudio:
    """The finished recording."""

    samples: npt.NDArray[np.int16]
    """Mono, 16 kHz"""
    speech_from: str
    """Where the speech came from, for the user"""


def build() -> DemoAudio:
    """Compose the recording, about 28 seconds; takes about a second."""
    speech_from, turns = _speech()
    parts = [
        synth.silence(0.4),
        synth.dtmf(DIGITS),
        synth.silence(0.5),
        synth.ringback(2.0),
        synth.silence(1.2),
        synth.hold_music(6.5),
        synth.silence(1.0),
    ]
    for turn in turns:
        parts += [turn.sound, synth.silence(0.5)]
    sound = np.concatenate([*parts, synth.silence(0.5)])
    # Real rooms are never digitally silent; -70 dB of noise keeps the picture honest.
    sound += 10 ** (-70 / 20) * np.random.default_rng(0).standard_normal(len(sound))
    return DemoAudio(samples=_int16(sound), speech_from=speech_from)


def flite_turns() -> list[Turn]:
    """The conversation by `flite`: calm, then animated, then a second voice. Empty where it is missing."""
    command = shutil.which("flite")
    if command is None:
        return []
    turns = [_flite(command, line) for line in _LINES]
    return [turn for turn in turns if turn is not None] if all(turns) else []


def recorded_turns() -> list[Turn]:
    """Real voices out of a system package; empty where none is installed."""
    turns = [_recording(Path(path), level) for path, level in _RECORDINGS]
    return [turn for turn in turns if turn is not None]


def formant_turns() -> list[Turn]:
    """Our own voice, which needs nothing."""
    manners = ((5.0, synth.CALM), (4.5, synth.ANIMATED), (4.0, synth.SECOND))
    return [Turn(text="", sound=synth.voice(seconds, manner)) for seconds, manner in manners]


@dataclass(frozen=True, slots=True)
class _Line:
    voice: str
    text: str
    level: float
    settings: tuple[str, ...]


_LINES = (
    _Line(
        "slt",
        "Good morning. This is about the book that I bought on Monday. Can you tell me if it is here?",
        0.35,
        (),
    ),
    _Line(
        "slt",
        "That is wonderful news! Thank you so much! I did not expect it so soon!",
        0.85,
        ("duration_stretch=0.95", "int_f0_target_mean=198", "int_f0_target_stddev=40"),
    ),
    _Line("rms", "You are welcome. Is there anything else that I can help you with?", 0.45, ()),
)

_VOICES = Path("/usr/share/pocketsphinx/test/data/librivox")
_BOOK = "sense_and_sensibility_01_austen_64kb"
_RECORDINGS: Sequence[tuple[str, float]] = (
    (str(_VOICES / f"{_BOOK}-0870.wav"), 0.4),
    (str(_VOICES / f"{_BOOK}-0890.wav"), 0.8),
    ("/usr/share/sounds/alsa/Front_Center.wav", 0.4),
    ("/usr/share/sounds/alsa/Rear_Left.wav", 0.8),
    ("/usr/share/sounds/alsa/Side_Right.wav", 0.4),
)

_OWN_VOICE = "a built-in voice that makes syllables, not words"
_SPEECH: Sequence[tuple[str, Callable[[], list[Turn]]]] = (
    ("the flite speech synthesiser", flite_turns),
    ("recordings of a system package", recorded_turns),
)


def _speech() -> tuple[str, list[Turn]]:
    for speech_from, make in _SPEECH:
        turns = make()
        if turns:
            return speech_from, turns
    return _OWN_VOICE, formant_turns()


def _flite(command: str, line: _Line) -> Turn | None:
    settings = [part for setting in line.settings for part in ("--setf", setting)]
    with tempfile.TemporaryDirectory(prefix="undertone-demo-") as folder:
        out = Path(folder) / "speech.wav"
        arguments = [command, "-voice", line.voice, *settings, "-t", line.text, "-o", str(out)]
        try:
            subprocess.run(arguments, check=True, capture_output=True, timeout=_FLITE_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError):
            return None
        sound = _load(out, line.level)
    return None if sound is None else Turn(text=line.text, sound=sound)


def _recording(path: Path, level: float) -> Turn | None:
    sound = _load(path, level)
    return None if sound is None else Turn(text="", sound=sound[: 6 * synth.RATE])


def _load(path: Path, level: float) -> synth.Samples | None:
    """A 16-bit WAV file as mono 16 kHz, its peak at `level`; None where it is missing or something else."""
    try:
        with path.open("rb") as stream:
            reader = WavReader(stream, available=path.stat().st_size)
            if (reader.format.coding, reader.format.bits) != (Coding.PCM, 16):
                return None
            data = b"".join(reader.blocks(1 << 16))
    except (OSError, WavError):
        return None
    mono = np.frombuffer(data, "<i2").reshape(-1, reader.format.channels).mean(axis=1)
    sound = np.asarray(soxr.resample(mono, reader.format.sample_rate, synth.RATE), dtype=np.float64)
    peak = float(np.abs(sound).max(initial=0.0))
    return None if math.isclose(peak, 0.0) else sound * (level / peak)


def _int16(sound: synth.Samples) -> npt.NDArray[np.int16]:
    return np.clip(np.rint(sound * 32_767), -32_768, 32_767).astype(np.int16)
