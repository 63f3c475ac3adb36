"""What a decoder is to the pool: one utterance at a time, audio in, results by callback.

All calls go either way on the event loop's thread, and none of them blocks.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Partial:
    """What is understood of the open utterance so far."""

    text: str
    samples: int
    """Samples heard for it."""


@dataclass(frozen=True, slots=True)
class HeardWord:
    """One word of an utterance."""

    text: str
    start: int
    """First sample, counted from the utterance's first."""
    end: int
    """One past the last."""
    confidence: float | None
    """0..1, or None."""


@dataclass(frozen=True, slots=True)
class Final:
    """What was understood of a finished utterance; no words when there were none."""

    words: tuple[HeardWord, ...]
    profile: str | None
    """What the decoder learned of the channel, to be given to the next utterance of the same stream."""
    text: str | None = None
    """The words as they are written; None where that is each of them and a space between."""
    language: str | None = None
    """BCP 47 tag, where the decoder told it from what it heard; else None."""
    confidence: float | None = None
    """0..1, of the whole; None where the mean of the words' stands for it."""


class Owner(Protocol):
    """Whoever leases decoders out."""

    def on_ready(self, decoder: "Decoder") -> None:
        """It can begin its first utterance."""
        ...

    def on_partial(self, decoder: "Decoder", partial: Partial) -> None:
        """Something was understood of the open utterance."""
        ...

    def on_final(self, decoder: "Decoder", final: Final) -> None:
        """The finished utterance is done; the decoder is free."""
        ...

    def on_death(self, decoder: "Decoder", reason: str) -> None:
        """It ended without being asked to by `aclose`; called once, and nothing after it."""
        ...


class Decoder(Protocol):
    """One decoder, busy with one utterance at most."""

    def launch(self, owner: Owner) -> None:
        """Begin to load; `owner` hears `on_ready` or `on_death`."""
        ...

    def begin(self, profile: str | None) -> None:
        """Open an utterance; a former one that isn't finished is forgotten.

        `profile` is what the engine is to know beforehand, in a form of its own.
        """
        ...

    def audio(self, pcm: bytes) -> None:
        """The next samples of the open utterance: int16 little-endian, mono, 16 kHz."""
        ...

    def finish(self) -> None:
        """The utterance has no more audio; `on_final` follows."""
        ...

    def drop(self) -> None:
        """Forget the open utterance; nothing more is told of it, and another may begin at once."""
        ...

    def kill(self) -> None:
        """End it now; `on_death` follows."""
        ...

    async def aclose(self) -> None:
        """End it, and return when it has ended. Nothing is told any more."""
        ...
