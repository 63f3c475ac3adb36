"""An utterance that is decoded as a whole: its audio stays here until the final is there.

A streaming engine is leased for as long as somebody speaks; this one only while it decodes, so a few
processes serve many talkers. While the utterance goes on it is decoded as far as it goes about once a second,
as a draft, but only by a decoder that nobody else wants: where there is none the draft is left out.
"""

from typing import Final, Protocol

from gateway.transcribe.decoder import Final as FinalResult
from gateway.transcribe.decoder import Partial
from gateway.transcribe.pool import Claim, Lease, Outcome
from gateway.transcribe.utterance import BYTES_PER_SAMPLE, Home, Utterance

DRAFT: Final = 16_000
"""Samples between drafts: 1 s."""


class WholeHome(Home, Protocol):
    """What such an utterance asks of its stream."""

    def borrow(self, claim: Claim) -> bool: ...

    def hints(self, *, draft: bool, heard: str | None) -> str: ...

    def served(self) -> None: ...

    def unsettled(self) -> None: ...


class WholeUtterance(Utterance):
    """Waits until it is over, is decoded, and settles exactly once; drafts until then."""

    __slots__ = ("_drafted", "_drafting", "_language", "_stream", "_turn")

    def __init__(self, home: WholeHome, start16k: int) -> None:
        super().__init__(home, start16k)
        self._stream = home
        self._turn = self._drafting = False
        self._drafted = 0
        self._language: str | None = None

    def on_turn(self) -> None:
        """Now it may say something, and be decoded if it is over."""
        self._turn = True
        if self._ended_at is not None:
            self._stream.request(self)

    def audio(self, pcm: bytes, *, pause: bool = False) -> None:
        """Its next samples; the utterance is lost where they would be too many.

        No draft is begun in a pause: the final would have to wait for it.
        """
        if self.done.is_set():
            return
        self._heard += len(pcm) // BYTES_PER_SAMPLE
        if not self._stream.hold(len(pcm)):
            self.lose(Outcome.OVERFLOW)
            return
        self._held.append(pcm)
        due = self._heard - self._drafted >= DRAFT and not pause
        if due and self._turn and self._lease is None:
            self._drafting = True
            self._drafting = self._stream.borrow(self)

    def end(self, now: float) -> None:
        """It was spoken to the end; decoded when it is its turn and no draft is under way."""
        self._ended_at = now
        if self._turn and self._lease is None and not self.done.is_set():
            self._stream.request(self)

    def on_granted(self, lease: Lease) -> None:
        """Have it decoded, as far as it goes."""
        self._lease = lease
        self._drafted = self._heard
        lease.begin(self._stream.hints(draft=self._drafting, heard=self._language))
        lease.audio(b"".join(self._held))
        lease.finish()

    def on_partial(self, partial: Partial) -> None:
        """An engine that hears it as a whole has none."""

    def on_final(self, final: FinalResult) -> None:
        """Say a draft if it is news; the final settles it."""
        if not self._drafting:
            super().on_final(final)
            return
        self._put_draft_away()
        self._language = final.language
        if final.text and final.text != self._text:
            self._text = final.text
            self._say(final.text, self.start16k + self._drafted, final=final)
        self._go_on()

    def on_lost(self, outcome: Outcome) -> None:
        """A draft can be lost without the utterance."""
        if self._drafting and outcome in (Outcome.DECODER_DIED, Outcome.DECODER_STUCK):
            self._put_draft_away()
            self._stream.unsettled()
            self._go_on()
            return
        super().on_lost(outcome)

    def _put_draft_away(self) -> None:
        self._drafting, self._lease = False, None
        self._stream.served()

    def _go_on(self) -> None:
        """Be decoded as a whole if it ended over the draft; its patience begins now."""
        if self._ended_at is not None:
            self._stream.request(self)
