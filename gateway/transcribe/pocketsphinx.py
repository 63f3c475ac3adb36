"""The offline transcriber: PocketSphinx 5 and its US-English model, in a bounded pool of processes.

Modest, and good enough to follow along: about one word in four of a LibriVox reading is wrong, one in
twenty of a synthetic voice; on telephone audio it is useless. A decoder takes about 105 MiB and a tenth to
a quarter of a core while somebody speaks.
"""

import asyncio
import importlib.util
import os
from collections.abc import Callable, Mapping
from typing import Final

from gateway.classify.port import Health
from gateway.clock import Clock, SystemClock
from gateway.transcribe.decoder import Decoder
from gateway.transcribe.pool import Pool
from gateway.transcribe.port import Emit, TranscriberUnavailable, TranscriptStream, Warn
from gateway.transcribe.process import DecoderProcess
from gateway.transcribe.stream import FLUSH_S, MuteStream, PooledStream

LANGUAGE: Final = "en"

_TICK_S: Final = 0.25


def understands(language: str | None) -> bool:
    """Whether the model is for this BCP 47 tag; a session that doesn't say is taken to speak English."""
    return language is None or language.replace("_", "-").split("-")[0].lower() in {LANGUAGE, "eng"}


class PocketSphinxTranscriber:
    """A `Transcriber`.

    Args:
        decoders: most processes at a time; None for the machine's processors less one, at least one.
        clock: for deadlines.
        flush_s: how long a flush waits for the last words, in seconds.
        make: makes a decoder, which the pool launches.

    Raises:
        TranscriberUnavailable: the `pocketsphinx` module isn't installed.
    """

    def __init__(
        self,
        *,
        decoders: int | None = None,
        clock: Clock | None = None,
        flush_s: float = FLUSH_S,
        make: Callable[[], Decoder] = DecoderProcess,
    ) -> None:
        if importlib.util.find_spec("pocketsphinx") is None:
            raise TranscriberUnavailable("the Python module pocketsphinx is missing (extra: embedded)")
        size = decoders if decoders is not None else max(1, (os.cpu_count() or 1) - 1)
        self._pool = Pool(make, size=size, clock=clock or SystemClock())
        self._flush_s = flush_s
        self._ticker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch deadlines; decoders are launched when the first session opens a stream."""
        if self._ticker is None:
            self._ticker = asyncio.create_task(self._tick(), name="transcriber")

    def open(self, *, emit: Emit, warn: Warn, language: str | None) -> TranscriptStream:
        """A stream; one in another language than English warns once and stays silent."""
        if not understands(language):
            return MuteStream(warn, str(language))
        self._pool.warm()
        return PooledStream(self._pool, emit=emit, warn=warn, language=LANGUAGE, flush_s=self._flush_s)

    async def aclose(self) -> None:
        """End the decoders; open utterances are abandoned."""
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
        await self._pool.aclose()

    def health(self) -> Health:
        """See `Pool.health`."""
        return self._pool.health()

    def decoders(self) -> Mapping[str, int]:
        """Decoder processes by state."""
        return self._pool.decoders()

    def utterances(self) -> Mapping[str, int]:
        """Utterances so far, by outcome."""
        return {str(outcome): count for outcome, count in self._pool.outcomes.items()}

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._pool.tick()
