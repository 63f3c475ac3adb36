"""From the samples of a WAV file to what the gateway accepts, touching as little as possible.

8, 24 and 32-bit integers become 16-bit ones (the gateway analyses 16 bits, so more would only cost
bandwidth); floats stay floats; G.711 passes through. Rates from 8 to 48 kHz pass through too, since the
gateway resamples without losing count; others are resampled here to the nearest end of that range.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from gateway.commands.wav import Coding, WavError, WavFormat
from protocol.audio import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, AudioEncoding, AudioFormat

_INT16_MAX = 32_767
_ENCODINGS = {
    Coding.PCM: AudioEncoding.PCM_S16LE,
    Coding.FLOAT: AudioEncoding.PCM_F32LE,
    Coding.ALAW: AudioEncoding.ALAW,
    Coding.MULAW: AudioEncoding.MULAW,
}

Samples = npt.NDArray[Any]


class Converter:
    """Turns blocks of one WAV file's audio into PCM in `audio`; a resampler keeps state between blocks.

    Raises WavError where G.711 would have to be decoded first (odd rates, more than two channels).
    """

    def __init__(self, source: WavFormat) -> None:
        rate = min(max(source.sample_rate, MIN_SAMPLE_RATE), MAX_SAMPLE_RATE)
        channels = source.channels if source.channels <= MAX_CHANNELS else 1
        self.notes: list[str] = []
        """What is changed on the way, in words for the user"""
        self.audio = AudioFormat(encoding=_ENCODINGS[source.coding], sample_rate=rate, channels=channels)
        self._source = source
        self._resampler: soxr.ResampleStream | None = None
        self._decode = _DECODERS.get((source.coding, source.bits))
        if rate != source.sample_rate or channels != source.channels:
            self._prepare(rate, channels)

    def convert(self, data: bytes) -> bytes:
        """PCM for one block of whole sample indices; may be shorter or empty while a resampler fills."""
        if self._decode is None:
            return data
        samples = self._mixed(self._decode(data))
        return samples.tobytes() if self._resampler is None else self._resampled(samples, last=False)

    def finish(self) -> bytes:
        """What a resampler still holds once all audio is in."""
        if self._resampler is None:
            return b""
        empty = np.zeros((0, self.audio.channels), dtype=self._dtype)
        return self._resampled(empty, last=True)

    def samples_out(self, samples_in: int) -> int:
        """How many sample indices `samples_in` of the file become; exact without resampling."""
        return samples_in * self.audio.sample_rate // self._source.sample_rate

    @property
    def _dtype(self) -> str:
        return "<f4" if self._source.coding is Coding.FLOAT else "<i2"

    def _prepare(self, rate: int, channels: int) -> None:
        source = self._source
        if source.coding in (Coding.ALAW, Coding.MULAW):
            what = f"{source.channels} channels at {source.sample_rate} Hz"
            raise WavError(f"G.711 audio of {what} is not supported")
        if self._decode is None:
            self._decode = _float32 if source.coding is Coding.FLOAT else _int16
        if channels != source.channels:
            self.notes.append(f"{source.channels} channels are mixed to one")
        if rate != source.sample_rate:
            self.notes.append(f"{source.sample_rate:,} Hz is resampled to {rate:,} Hz")
            self._resampler = soxr.ResampleStream(source.sample_rate, rate, channels, dtype="float32")

    def _mixed(self, samples: Samples) -> Samples:
        if self._source.channels == self.audio.channels:
            return samples
        mono = samples.reshape(-1, self._source.channels).mean(axis=1, dtype=np.float64)
        mixed: Samples = mono if self._dtype == "<f4" else np.rint(mono)
        return mixed.astype(self._dtype)

    def _resampled(self, samples: Samples, *, last: bool) -> bytes:
        assert self._resampler is not None
        shaped = samples.reshape(-1, self.audio.channels).astype(np.float32)
        out = self._resampler.resample_chunk(shaped if self.audio.channels > 1 else shaped[:, 0], last=last)
        if self._dtype == "<i2":
            out = np.clip(np.rint(out), -_INT16_MAX - 1, _INT16_MAX)
        return bytes(out.astype(self._dtype).tobytes())


def _unsigned8(data: bytes) -> Samples:
    return ((np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8).astype("<i2")


def _int16(data: bytes) -> Samples:
    return np.frombuffer(data, "<i2")


def _int24(data: bytes) -> Samples:
    octets = np.frombuffer(data, np.uint8).reshape(-1, 3)
    high: Samples = octets[:, 1].astype(np.int32) | (octets[:, 2].view(np.int8).astype(np.int32) << 8)
    rounded: Samples = np.minimum(high + (octets[:, 0] >> 7), _INT16_MAX)
    return rounded.astype("<i2")


def _int32(data: bytes) -> Samples:
    wide = np.frombuffer(data, "<i4").astype(np.int64)
    rounded: Samples = np.minimum((wide + 0x8000) >> 16, _INT16_MAX)
    return rounded.astype("<i2")


def _float32(data: bytes) -> Samples:
    return np.frombuffer(data, "<f4")


def _float64(data: bytes) -> Samples:
    with np.errstate(over="ignore"):
        return np.frombuffer(data, "<f8").astype("<f4")


_DECODERS: dict[tuple[Coding, int], Callable[[bytes], Samples]] = {
    (Coding.PCM, 8): _unsigned8,
    (Coding.PCM, 24): _int24,
    (Coding.PCM, 32): _int32,
    (Coding.FLOAT, 64): _float64,
}
