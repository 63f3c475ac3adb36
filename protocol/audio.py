"""The audio format of a session, and its arithmetic between samples, bytes and time.

One *sample index* counts all channels at once: index 16,000 of a stereo stream at 16 kHz is one second in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from protocol import checks

MIN_SAMPLE_RATE = 8_000
"""Hertz."""
MAX_SAMPLE_RATE = 48_000
"""Hertz."""
MAX_CHANNELS = 2


class AudioEncoding(StrEnum):
    """How one sample of one channel is written."""

    PCM_S16LE = "pcm_s16le"
    """Signed 16-bit integer, little-endian."""
    PCM_F32LE = "pcm_f32le"
    """IEEE 754 single, little-endian, full scale ±1."""
    MULAW = "mulaw"
    """ITU-T G.711 µ-law, 8 bit."""
    ALAW = "alaw"
    """ITU-T G.711 A-law, 8 bit."""


_BYTES = {
    AudioEncoding.PCM_S16LE: 2,
    AudioEncoding.PCM_F32LE: 4,
    AudioEncoding.MULAW: 1,
    AudioEncoding.ALAW: 1,
}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What the binary messages of a session hold; fixed for its life.

    Raises:
        ProtocolError: `invalid_field`, naming the field.
    """

    encoding: AudioEncoding = AudioEncoding.PCM_S16LE
    """How samples are written."""
    sample_rate: int = 16_000
    """Hertz, 8000 to 48000."""
    channels: int = 1
    """1 or 2, interleaved."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoding", checks.member("encoding", self.encoding, AudioEncoding))
        checks.whole("sample_rate", self.sample_rate, MIN_SAMPLE_RATE, MAX_SAMPLE_RATE)
        checks.whole("channels", self.channels, 1, MAX_CHANNELS)

    @property
    def bytes_per_sample(self) -> int:
        """Bytes of one sample index, all channels."""
        return _BYTES[self.encoding] * self.channels

    def samples(self, nbytes: int) -> int:
        """Whole sample indices in `nbytes` bytes."""
        return nbytes // self.bytes_per_sample

    def bytes(self, samples: int) -> int:
        """Bytes of `samples` sample indices."""
        return samples * self.bytes_per_sample

    def seconds(self, samples: int) -> float:
        """Seconds of `samples` sample indices."""
        return samples / self.sample_rate

    def samples_of_ms(self, ms: int) -> int:
        """Sample indices in `ms` milliseconds, rounded down: where windows and hops are cut."""
        return ms * self.sample_rate // 1000

    def to_dict(self) -> dict[str, Any]:
        """The flat map of the REST body, the query and `welcome.audio`."""
        return {
            "encoding": self.encoding.value,
            "sample_rate": self.sample_rate,
            "channels": self.channels,
        }

    @classmethod
    def from_mapping(cls, fields: Mapping[str, Any]) -> "AudioFormat":
        """Read the three fields out of a flat map; other keys are not ours and are passed over.

        A missing or null field takes its default.
        """
        return cls(**{name: fields[name] for name in _FIELDS if fields.get(name) is not None})

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "AudioFormat":
        """The same out of a URL's query, where numbers are decimal text."""
        given: dict[str, Any] = {name: query[name] for name in _FIELDS if name in query}
        for name in ("sample_rate", "channels"):
            if name in given:
                given[name] = checks.decimal(name, given[name])
        return cls(**given)


_FIELDS = ("encoding", "sample_rate", "channels")
