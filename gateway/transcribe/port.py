"""What a transcriber is: the continuous 16 kHz stream of a session in, words out.

Unlike a classifier it keeps state per session (the utterance being spoken), so each session opens a stream
of its own. A lost utterance is said, through `warn`, but it is no gap: its audio was classified.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gateway.classify.port import Health


class TranscriberUnavailable(Exception):
    """The transcriber can't work on this machine (say, its module isn't installed)."""


@dataclass(frozen=True, slots=True)
class TranscriptWord:
    """One word of a final transcript."""

    text: str
    start_sample16k: int
    """First sample; 16 kHz index of the session."""
    end_sample16k: int
    """One past the last sample."""
    confidence: float | None = None
    """0..1; a score, not a calibrated probability."""


@dataclass(frozen=True, slots=True)
class TranscriptUpdate:
    """What is understood of one utterance by now; each update replaces the one before it."""

    text: str
    """Plain text. Empty only in a final that takes back interims which turned out to be no words."""
    is_final: bool
    """No further revision of this utterance follows."""
    revision: int
    """0, 1, 2, … within one utterance."""
    confidence: float | None
    """0..1; None where the engine gives none, as for interims."""
    start_sample16k: int
    """First sample of the utterance; 16 kHz index of the session."""
    end_sample16k: int
    """One past the last sample heard for this update."""
    language: str | None
    """BCP 47 tag of the words."""
    words: tuple[TranscriptWord, ...] = ()
    """In order; of finals only."""


Emit = Callable[[TranscriptUpdate], None]
"""Called on the event loop, in order; utterances of one stream never interleave."""

Warn = Callable[[str], None]
"""Called on the event loop with one sentence for people."""


class TranscriptStream(Protocol):
    """The words of one session. All methods are called on the event loop."""

    patient: bool
    """Whether its utterances wait for a decoder as long as it takes: a recording's do, a talker's don't."""
    on_settled: Callable[[], None]
    """Called on the event loop when `pending_from16k` may have moved on: an utterance was told or given up,
    be it that it had no words, or audio was searched for utterances."""

    @property
    def pending_from16k(self) -> int | None:
        """Start of the oldest utterance whose final hasn't been emitted, or of audio that isn't searched for
        utterances yet where that is older; None when nothing is open."""
        ...

    def feed(self, samples: npt.NDArray[np.int16], start16k: int) -> None:
        """Take samples of shape (n,), mono, 16 kHz, whose first has index `start16k`. Never blocks.

        An index that isn't the one after the last sample ends the open utterance and starts anew there.
        """
        ...

    async def flush(self) -> None:
        """Finish the open utterance.

        On return every final due so far was emitted, or given up with a warning.
        """
        ...

    async def aclose(self) -> None:
        """Give up what isn't decoded yet; nothing is emitted any more. May be called twice."""
        ...


class Transcriber(Protocol):
    """Opens streams, and owns what they share."""

    def open(self, *, emit: Emit, warn: Warn, language: str | None) -> TranscriptStream:
        """A new stream; `language` is the BCP 47 tag the session asks for, None where it doesn't say."""
        ...

    async def start(self) -> None:
        """Begin to work, on the running event loop; called once, before `open`."""
        ...

    async def aclose(self) -> None:
        """End every process and task. May be called twice."""
        ...

    def health(self) -> Health:
        """Whether words can be had now."""
        ...

    def decoders(self) -> Mapping[str, int]:
        """Decoders by state, now."""
        ...

    def utterances(self) -> Mapping[str, int]:
        """Utterances so far, by what became of them."""
        ...
