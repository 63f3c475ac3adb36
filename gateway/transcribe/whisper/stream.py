"""The words of one session by Whisper: cut beside the event loop, decoded by whoever is free."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.transcribe.pool import Claim, Outcome, Pool
from gateway.transcribe.port import Emit, Warn
from gateway.transcribe.segmenter import Action
from gateway.transcribe.stream import HELD_S, PooledStream
from gateway.transcribe.utterance import Utterance
from gateway.transcribe.whisper.cutting import Cut, Cutter
from gateway.transcribe.whisper.hints import Hints
from gateway.transcribe.whisper.languages import bcp47, whisper_code
from gateway.transcribe.whisper.utterance import WholeUtterance

PATIENCE_S: Final = 8.0
"""How long a spoken utterance waits for a decoder: late words are better than none, and a flush waits for ten
seconds."""

_UNCUT: Final = HELD_S * 16_000


@dataclass(frozen=True, slots=True)
class Ask:
    """How a session's utterances are decoded."""

    code: str | None
    """Whisper's code of the session's language; None to have it detected."""
    prompt: str = ""


class WhisperStream(PooledStream):
    """A `TranscriptStream` whose utterances are decoded as a whole."""

    def __init__(
        self, pool: Pool, cutter: Cutter, ask: Ask, *, emit: Emit, warn: Warn, flush_s: float
    ) -> None:
        language = None if ask.code is None else bcp47(ask.code)
        super().__init__(pool, emit=emit, warn=warn, language=language, flush_s=flush_s)
        self.patience_s = PATIENCE_S
        self._ask = ask
        self._cutter = cutter
        self._cut = Cut(self._on_actions, self._on_cut)

    @property
    def pending_from16k(self) -> int | None:
        """Start of the oldest utterance that hasn't settled, or of what isn't cut into utterances yet."""
        starts = (super().pending_from16k, self._cut.uncut_from16k)
        return min((start for start in starts if start is not None), default=None)

    def feed(self, samples: npt.NDArray[np.int16], start16k: int) -> None:
        """Have them cut; what the cutter can't keep up with is lost, and said to be."""
        if self._closed:
            return
        if self._cut.waiting_samples + len(samples) > _UNCUT:
            self._tell_loss(Outcome.OVERFLOW)
            return
        self._cutter.feed(self._cut, samples, start16k)

    async def flush(self) -> None:
        """Return when every utterance begun so far has settled, or was given up after `flush_s`."""
        if not self._closed:
            try:
                async with asyncio.timeout(self._flush_s):
                    await self._cutter.flush(self._cut)
            except TimeoutError:
                self._tell_loss(Outcome.LATE)
        await self._settle_all()

    async def aclose(self) -> None:
        """Give up what isn't decoded."""
        self._cutter.forget(self._cut)
        await super().aclose()

    def borrow(self, claim: Claim) -> bool:
        """Have it decoded now, if a decoder is idle."""
        return self._pool.borrow(claim)

    def hints(self, *, draft: bool, heard: str | None) -> str:
        """For one decoding; a draft takes the language that the draft before it heard."""
        code = self._ask.code
        if code is None and draft and heard is not None:
            code = whisper_code(heard)
        return Hints(code, draft, self._ask.prompt).pack()

    def unsettled(self) -> None:
        """Tell that a decoder ended over a draft; the final is still to come."""
        self._warn("a decoder ended over an utterance, which is decoded again when it is over")

    def _on_actions(self, actions: Sequence[Action]) -> None:
        if not self._closed:
            self._follow(actions)

    def _on_cut(self) -> None:
        if not self._closed:
            self._tell(self.on_settled)

    def _utterance(self, start16k: int) -> Utterance:
        return WholeUtterance(self, start16k)
