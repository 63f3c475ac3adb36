"""The words of one session: its stream is cut into utterances, and these are decoded in order."""

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.transcribe.pool import Claim, Outcome, Pool
from gateway.transcribe.port import Emit, TranscriptUpdate, Warn
from gateway.transcribe.segmenter import Action, Begin, Segmenter, Speech
from gateway.transcribe.utterance import BYTES_PER_SAMPLE, PATIENCE_S, Utterance

log = logging.getLogger(__name__)

HELD_S: Final = 30
"""Seconds of speech of one stream that may wait for a decoder. A live talker never comes near; a recording
that is sent faster than it can be decoded does."""
FLUSH_S: Final = 10.0
"""How long a flush waits."""

_HELD_BYTES: Final = HELD_S * 16_000 * BYTES_PER_SAMPLE
_SWAP: Final = sys.byteorder != "little"

_LOSSES: Final = {
    Outcome.NO_DECODER: "no transcript for now: no decoder is free",
    Outcome.OVERFLOW: "no transcript for now: audio arrives faster than it can be decoded",
    Outcome.DECODER_DIED: "the transcript of an utterance was lost: its decoder ended",
    Outcome.DECODER_STUCK: "the transcript of an utterance was lost: its decoder didn't answer",
    Outcome.LATE: "the last words were not transcribed in time",
}
_DROUGHT: Final = frozenset({Outcome.NO_DECODER, Outcome.OVERFLOW, Outcome.LATE})
"""Losses that come in series: told once, and again only after an utterance was decoded in between."""
_SERVED: Final = frozenset({Outcome.DECODED, Outcome.EMPTY, Outcome.DECODER_DIED, Outcome.DECODER_STUCK})
"""What becomes of an utterance that had a decoder to itself until then."""


def _nobody() -> None:
    """Is told of utterances that nobody waits for."""


class PooledStream:
    """A `TranscriptStream` whose utterances take turns with everybody else's at the pool's decoders.

    One of its utterances is decoded at a time, the oldest, so that words come in order and each utterance
    is decoded with what the one before it taught of the channel.
    """

    def __init__(
        self, pool: Pool, *, emit: Emit, warn: Warn, language: str | None, flush_s: float = FLUSH_S
    ) -> None:
        self.language = language
        self.patient = False
        self.on_settled: Callable[[], None] = _nobody
        self.patience_s = PATIENCE_S
        self.profile: str | None = None
        self.served_at = float("-inf")
        """Monotonic seconds at which a decoder was last done with one of its utterances, or broke off."""
        self._pool = pool
        self._emit = emit
        self._warn = warn
        self._flush_s = flush_s
        self._segmenter: Segmenter | None = None
        self._queue: deque[Utterance] = deque()
        self._open: Utterance | None = None
        self._held = 0
        self._drought = False
        self._closed = False

    @property
    def pending_from16k(self) -> int | None:
        """Start of the oldest utterance that hasn't settled."""
        return self._queue[0].start16k if self._queue else None

    def feed(self, samples: npt.NDArray[np.int16], start16k: int) -> None:
        """Cut, and pass on or hold; after `aclose` the samples are ignored."""
        if self._closed:
            return
        if self._segmenter is None:
            self._segmenter = Segmenter(start16k)
        elif start16k != self._segmenter.next_sample:
            self._follow(self._segmenter.jump(start16k))
        self._follow(self._segmenter.feed(samples))

    async def flush(self) -> None:
        """Return when every utterance begun so far has settled; `FLUSH_S` at most, then they are lost."""
        if self._segmenter is not None and not self._closed:
            self._follow(self._segmenter.flush())
        await self._settle_all()

    async def _settle_all(self) -> None:
        begun = list(self._queue)
        try:
            async with asyncio.timeout(self._flush_s):
                for utterance in begun:
                    await utterance.done.wait()
        except TimeoutError:
            self._give_up(begun, Outcome.LATE)

    async def aclose(self) -> None:
        """Give up what isn't decoded."""
        self._closed = True
        self._open = None
        self._give_up(list(self._queue), Outcome.ABANDONED)

    def request(self, claim: Claim) -> None:
        """Queue for a decoder."""
        self._pool.request(claim)

    def hold(self, size: int) -> bool:
        """Whether `size` bytes of audio may wait."""
        if self._held + size > _HELD_BYTES or not self._pool.hold(size):
            return False
        self._held += size
        return True

    def release(self, size: int) -> None:
        """They wait no longer."""
        self._held -= size
        self._pool.release(size)

    def say(self, update: TranscriptUpdate) -> None:
        """Emit."""
        if not self._closed:
            self._tell(lambda: self._emit(update))

    def served(self) -> None:
        """A decoder is done with its utterance, or broke off: who waited for that is patient from now on."""
        self.served_at = self._pool.clock.monotonic()

    def settled(self, utterance: Utterance, outcome: Outcome) -> None:
        """Count it, tell a loss, and let the next one queue for a decoder."""
        self._pool.outcomes[outcome] += 1
        self._pool.withdraw(utterance)
        was_head = bool(self._queue) and self._queue[0] is utterance
        if utterance in self._queue:
            self._queue.remove(utterance)
        if outcome in (Outcome.DECODED, Outcome.EMPTY):
            self._drought = False
        else:
            self._tell_loss(outcome)
        if outcome in _SERVED:
            self.served()
        if was_head and self._queue:
            self._queue[0].on_turn()
        if not self._closed:
            self._tell(self.on_settled)

    def _tell(self, listener: Callable[[], None]) -> None:
        """A listener's fault must not reach the decoder, which serves others too."""
        try:
            listener()
        except Exception:
            log.exception("the receiver of a transcript failed")

    def _follow(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Begin):
                self._begin(action.start16k)
            elif self._open is None:
                continue
            elif isinstance(action, Speech):
                samples = action.samples.byteswap() if _SWAP else action.samples
                self._open.audio(samples.tobytes(), pause=action.pause)
            else:
                self._open.end(self._pool.clock.monotonic())
                self._open = None

    def _begin(self, start16k: int) -> None:
        self._open = self._utterance(start16k)
        self._queue.append(self._open)
        if len(self._queue) == 1:
            self._open.on_turn()

    def _utterance(self, start16k: int) -> Utterance:
        return Utterance(self, start16k)

    def _give_up(self, utterances: list[Utterance], outcome: Outcome) -> None:
        """The youngest first, so that none is granted a decoder only to lose it."""
        for utterance in reversed(utterances):
            if not utterance.done.is_set():
                utterance.lose(outcome)

    def _tell_loss(self, outcome: Outcome) -> None:
        again = outcome in _DROUGHT and self._drought
        self._drought = self._drought or outcome in _DROUGHT
        if outcome in _LOSSES and not again:
            self._warn(_LOSSES[outcome])


class MuteStream:
    """The stream of a session in a language nobody here understands: says so once, and listens no more."""

    pending_from16k: int | None = None
    patient = False

    def __init__(self, warn: Warn, language: str) -> None:
        self.on_settled: Callable[[], None] = _nobody
        self._warn: Warn | None = warn
        self._language = language

    def feed(self, samples: npt.NDArray[np.int16], start16k: int) -> None:
        """Ignore the samples."""
        warn, self._warn = self._warn, None
        if warn is not None:
            warn(f"no transcript for {self._language}")

    async def flush(self) -> None:
        """Nothing is ever due."""

    async def aclose(self) -> None:
        """Nothing is held."""
        self._warn = None
