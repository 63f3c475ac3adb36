"""The audio that sessions of a load run send: made-up speech or a file, cut into frames."""

import numpy as np
import soxr

from gateway.commands import synth
from gateway.commands.exits import CommandError
from gateway.commands.sources import RawFormat, open_file
from protocol.audio import AudioFormat

_MAX_AUDIO_S = 60
"""Seconds of a file that are used, over and over"""


def speech_like(rate: int) -> bytes:
    """20 s of two voices with pauses, as s16le; the same on each call."""
    turns = ((5.5, synth.CALM), (5.0, synth.ANIMATED), (5.5, synth.SECOND))
    parts = [
        piece for seconds, manner in turns for piece in (synth.voice(seconds, manner), synth.silence(1.3))
    ]
    sound = np.asarray(soxr.resample(np.concatenate(parts), synth.RATE, rate))
    return bytes(np.clip(np.rint(sound * 32_767), -32_768, 32_767).astype("<i2").tobytes())


def pieces(file: str | None, audio: AudioFormat, frame_ms: int) -> tuple[AudioFormat, list[bytes]]:
    """The audio cut into frames, and its format; what is left over at the end is not used."""
    if file is None:
        data = speech_like(audio.sample_rate)
    else:
        source = open_file(file, RawFormat(audio, forced=False))
        audio = source.audio
        data = b"".join(source.blocks)[: audio.bytes(_MAX_AUDIO_S * audio.sample_rate)]
        source.close()
    if audio.sample_rate * frame_ms % 1000:
        message = f"{frame_ms} ms are no whole number of samples at {audio.sample_rate:,} Hz"
        raise CommandError(message, hint="Choose another --frame-ms, such as 40 or 80.")
    size = audio.bytes(audio.samples_of_ms(frame_ms))
    found = [data[start : start + size] for start in range(0, len(data) - size + 1, size)]
    if not found:
        raise CommandError(f"{file} is shorter than one frame")
    return audio, found
