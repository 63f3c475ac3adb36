"""The Whisper transcriber: one model, a bounded pool of processes that have it loaded.

Its confidence is the geometric mean of the tokens' probabilities, exp(avg_logprob): a score that orders
utterances, and no calibrated probability of being right. A word's is the mean of its tokens' probabilities.
"""

import importlib.util
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock, SystemClock
from gateway.transcribe.decoder import Decoder
from gateway.transcribe.pool import Bounds, Pool
from gateway.transcribe.pooled import PooledTranscriber
from gateway.transcribe.port import Emit, TranscriberUnavailable, TranscriptStream, Warn
from gateway.transcribe.process import DecoderProcess
from gateway.transcribe.segmenter import Detector, PowerDetector
from gateway.transcribe.stream import FLUSH_S, MuteStream
from gateway.transcribe.whisper.cutting import Cutter
from gateway.transcribe.whisper.hints import MAX_PROMPT
from gateway.transcribe.whisper.languages import whisper_code
from gateway.transcribe.whisper.model import WhisperModelFiles, find
from gateway.transcribe.whisper.silero import SileroDetector, SileroMissing, network
from gateway.transcribe.whisper.stream import Ask, WhisperStream

log = logging.getLogger(__name__)

BOUNDS: Final = Bounds(
    decode_s=30.0,
    load_s=300.0,
    held_bytes=128 << 20,  # 800 utterances of five seconds
    back_off_s=0.5,
    kept=1,
)

_INHERITS: Final = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES")
_WORKER: Final = (sys.executable, "-P", "-m", "gateway.transcribe.whisper.worker")


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """What to load, and how."""

    model: str
    """A directory in CTranslate2's format, or a name of the Hugging Face hub."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: cuda where there is such a device."""
    compute_type: str = "auto"
    """As CTranslate2 names them; `auto` is the fastest that the device knows."""
    threads: int | None = None
    """Per process; None for its share of the processors."""
    decoders: int | None = None
    """Most processes at a time; None for one."""
    prompt: str = ""
    """Names and terms that may be spoken; `MAX_PROMPT` characters at most."""
    download: bool = False
    """Whether the model may be fetched from the hub."""


class WhisperTranscriber(PooledTranscriber):
    """A `Transcriber`. The constructor finds the model, and may take long where it is to be downloaded.

    Args:
        model: the model that `options` name, where it was found before.
        clock: for deadlines.
        flush_s: how long a flush waits for the last words, in seconds.
        make: makes a decoder by its command, which the pool launches.
        detector: makes a stream's voice detector; None for Silero's, or the level where that is missing.

    Raises:
        TranscriberUnavailable: faster-whisper isn't installed.
        ModelUnusable: the model isn't there, or is no good.
    """

    def __init__(
        self,
        options: WhisperOptions,
        *,
        model: WhisperModelFiles | None = None,
        clock: Clock | None = None,
        flush_s: float = FLUSH_S,
        make: Callable[[tuple[str, ...]], Decoder] = lambda command: DecoderProcess(command, _INHERITS),
        detector: Callable[[], Detector] | None = None,
    ) -> None:
        if importlib.util.find_spec("faster_whisper") is None:
            raise TranscriberUnavailable("the Python module faster_whisper is missing (extra: whisper)")
        if len(options.prompt) > MAX_PROMPT:
            raise ValueError(f"a prompt has at most {MAX_PROMPT} characters")
        self._options = options
        self._model = model or find(options.model, download=options.download)
        command = _command(self._model, options)
        size = options.decoders or 1
        super().__init__(Pool(lambda: make(command), size=size, clock=clock or SystemClock(), bounds=BOUNDS))
        self._flush_s = flush_s
        self._cutter = Cutter(detector or _detector())

    async def start(self) -> None:
        """Load the first decoder, and begin to watch deadlines."""
        if self._ticker is None:
            self._cutter.start()
            self._pool.warm()
        await super().start()

    def open(self, *, emit: Emit, warn: Warn, language: str | None) -> TranscriptStream:
        """A stream.

        One in a language that the model doesn't know has it detected, and says so. An English-only model
        would write English whatever is spoken: its stream in another language warns once and stays silent.
        """
        code = whisper_code(language, self._model.languages) if language is not None else None
        if not self._model.multilingual:
            if language is not None and code is None:
                return MuteStream(warn, language)
            code = "en"
        elif language is not None and code is None:
            warn(f"the transcriber doesn't know the language {language}; it listens which one is spoken")
        ask = Ask(code, self._options.prompt)
        return WhisperStream(self._pool, self._cutter, ask, emit=emit, warn=warn, flush_s=self._flush_s)

    async def aclose(self) -> None:
        """End the decoders and the thread; open utterances are abandoned. May be called twice."""
        await self._look_no_more()
        await self._cutter.aclose()
        await super().aclose()


def _command(model: WhisperModelFiles, options: WhisperOptions) -> tuple[str, ...]:
    cores, decoders = len(os.sched_getaffinity(0)), options.decoders or 1
    threads = options.threads or max(1, cores // decoders)
    given = {
        "--model": str(model.path),
        "--device": options.device,
        "--compute-type": options.compute_type,
        "--threads": str(threads),
    }
    return (*_WORKER, *(f"{name}={value}" for name, value in given.items()))


def ready_to_cut() -> None:
    """Load what makes voice detectors, which takes a while the first time."""
    _detector()


def _detector() -> Callable[[], Detector]:
    try:
        network()
    except SileroMissing as error:
        log.warning("utterances are cut by their level alone: %s", error)
        return PowerDetector
    return SileroDetector
