"""One stretch of speech on its way to words: its audio until a decoder takes it, its results from then on."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from gateway.transcribe.decoder import Final as FinalResult
from gateway.transcribe.decoder import HeardWord, Partial
from gateway.transcribe.pool import Claim, Lease, Outcome
from gateway.transcribe.port import TranscriptUpdate, TranscriptWord

PATIENCE_S: Final = 2.0
"""How long a spoken utterance waits for a decoder to come free."""

BYTES_PER_SAMPLE: Final = 2


class Home(Protocol):
    """What an utterance asks of its stream."""

    language: str | None
    profile: str | None
    served_at: float
    patient: bool
    patience_s: float

    def request(self, claim: Claim) -> None: ...

    def hold(self, size: int) -> bool: ...

    def release(self, size: int) -> None: ...

    def say(self, update: TranscriptUpdate) -> None: ...

    def settled(self, utterance: "Utterance", outcome: Outcome) -> None: ...


class Utterance:
    """Waits, is decoded, and settles exactly once. It is the pool's `Claim`."""

    __slots__ = ("_ended_at", "_heard", "_held", "_home", "_lease", "_revision", "_text", "done", "start16k")

    start16k: int
    """First sample."""
    done: asyncio.Event
    """Set when it has settled."""

    def __init__(self, home: Home, start16k: int) -> None:
        self._home = home
        self.start16k = start16k
        self.done = asyncio.Event()
        self._heard = 0
        self._held: list[bytes] = []
        self._lease: Lease | None = None
        self._ended_at: float | None = None
        self._revision = 0
        self._text = ""

    @property
    def deadline(self) -> float | None:
        """Its patience begins with its end, or when its stream's last one was served if that was later."""
        if self._ended_at is None or self._home.patient:
            return None
        return max(self._ended_at, self._home.served_at) + self._home.patience_s

    @property
    def end16k(self) -> int:
        """One past its last sample so far."""
        return self.start16k + self._heard

    def on_turn(self) -> None:
        """It is the oldest of its stream that isn't settled: it may have a decoder."""
        self._home.request(self)

    def audio(self, pcm: bytes, *, pause: bool = False) -> None:
        """Its next samples; they wait for a decoder within the bounds, else the utterance is lost.

        Args:
            pause: they end in one, so it may be over; an engine that hears it as it comes needn't know.
        """
        if self.done.is_set():
            return
        self._heard += len(pcm) // BYTES_PER_SAMPLE
        if self._lease is not None:
            self._lease.audio(pcm)
        elif self._home.hold(len(pcm)):
            self._held.append(pcm)
        else:
            self.lose(Outcome.OVERFLOW)

    def end(self, now: float) -> None:
        """It was spoken to the end, at monotonic second `now`."""
        self._ended_at = now
        if self._lease is not None and not self.done.is_set():
            self._lease.finish()

    def lose(self, outcome: Outcome) -> None:
        """Give it up, and the decoder back."""
        if self._lease is not None:
            self._lease.drop()
        self.on_lost(outcome)

    def on_granted(self, lease: Lease) -> None:
        """Hand over what was held."""
        self._lease = lease
        lease.begin(self._home.profile)
        for pcm in self._held:
            lease.audio(pcm)
        self._release()
        if self._ended_at is not None:
            lease.finish()

    def on_partial(self, partial: Partial) -> None:
        """Something new was understood."""
        self._text = partial.text
        self._say(partial.text, self.start16k + partial.samples)

    def on_final(self, final: FinalResult) -> None:
        """Say it, unless neither the final nor an interim had words."""
        words = tuple(self._word(word) for word in final.words)
        if words or final.text or self._revision:
            text = " ".join(word.text for word in words) if final.text is None else final.text
            self._say(text, self.end16k, words=words, final=final)
        self._settle(Outcome.DECODED if words or final.text else Outcome.EMPTY, final.profile)

    def on_lost(self, outcome: Outcome) -> None:
        """Close the chain of revisions with what was last understood, so that no interim stays open."""
        if self.done.is_set():
            return
        if self._revision and outcome is not Outcome.ABANDONED:
            self._say(self._text, self.end16k, words=())
        self._settle(outcome, None)

    def _settle(self, outcome: Outcome, profile: str | None) -> None:
        self._lease = None
        self._release()
        if profile is not None:
            self._home.profile = profile
        self.done.set()
        self._home.settled(self, outcome)

    def _release(self) -> None:
        self._home.release(sum(map(len, self._held)))
        self._held.clear()

    def _say(
        self,
        text: str,
        end16k: int,
        *,
        words: tuple[TranscriptWord, ...] | None = None,
        final: FinalResult | None = None,
    ) -> None:
        """An interim, or a final when there are `words` to go with it, be they none.

        Args:
            final: where the decoder may have said its confidence and the language.
        """
        confidence = final.confidence if final is not None and words != () else None
        update = TranscriptUpdate(
            text=text,
            is_final=words is not None,
            revision=self._revision,
            confidence=_mean(words or ()) if confidence is None else confidence,
            start_sample16k=self.start16k,
            end_sample16k=min(end16k, self.end16k),
            language=(final.language if final is not None else None) or self._home.language,
            words=words or (),
        )
        self._revision += 1
        self._home.say(update)

    def _word(self, word: HeardWord) -> TranscriptWord:
        place: Callable[[int], int] = lambda sample: min(self.start16k + sample, self.end16k)  # noqa: E731
        return TranscriptWord(word.text, place(word.start), place(word.end), word.confidence)


def _mean(words: tuple[TranscriptWord, ...]) -> float | None:
    """The mean of the words' confidences; None where any is unknown."""
    known = [word.confidence for word in words if word.confidence is not None]
    return round(sum(known) / len(known), 3) if words and len(known) == len(words) else None
