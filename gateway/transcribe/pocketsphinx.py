"""The offline transcriber: PocketSphinx 5 and its US-English model, in a bounded pool of processes.

Modest, and good enough to follow along: about one word in four of a LibriVox reading is wrong, one in
twenty of a synthetic voice; on telephone audio it is useless. A decoder takes about 105 MiB and a tenth to
a quarter of a core while somebody speaks.
"""

import importlib.util
import os
from collections.abc import Callable
from typing import Final

from gateway.clock import Clock, SystemClock
from gateway.transcribe.decoder import Decoder
from gateway.transcribe.pool import Pool
from gateway.transcribe.pooled import PooledTranscriber
from gateway.transcribe.port import Emit, TranscriberUnavailable, TranscriptStream, Warn
from gateway.transcribe.process import DecoderProcess
from gateway.transcribe.stream import FLUSH_S, MuteStream, PooledStream

LANGUAGE: Final = "en"


def understands(language: str | None) -> bool:
    """Whether the model is for this BCP 47 tag; a session that doesn't say is taken to speak English."""
    return language is None or language.replace("_", "-").split("-")[0].lower() in {LANGUAGE, "eng"}


class PocketSphinxTranscriber(PooledTranscriber):
    """A `Transcriber`; decoders are launched when the first session opens a stream.

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
        super().__init__(Pool(make, size=size, clock=clock or SystemClock()))
        self._flush_s = flush_s

    def open(self, *, emit: Emit, warn: Warn, language: str | None) -> TranscriptStream:
        """A stream; one in another language than English warns once and stays silent."""
        if not understands(language):
            return MuteStream(warn, str(language))
        self._pool.warm()
        return PooledStream(self._pool, emit=emit, warn=warn, language=LANGUAGE, flush_s=self._flush_s)
