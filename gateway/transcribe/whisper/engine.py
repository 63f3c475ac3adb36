"""Whisper as a decoder process runs it: faster-whisper over CTranslate2, an utterance at a time.

An utterance is decoded as a whole, and for a draft as far as it goes: Whisper doesn't hear sound as it comes.
Where the text fails by Whisper's own measures, faster-whisper tries again at higher temperatures; what still
repeats itself then is dropped, and so is what it takes for no speech: a model that was trained on subtitles
writes some for silence, too. Earlier utterances are no prompt: they would hand such loops on.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from threading import RLock
from typing import Any, Final

import numpy as np

from gateway.transcribe.whisper.hints import Hints
from gateway.transcribe.whisper.languages import bcp47
from gateway.transcribe.worker import Result, Word

SAMPLE_RATE: Final = 16_000
SHORTEST: Final = SAMPLE_RATE // 10
"""Samples; less is no word."""
MAX_COMPRESSION: Final = 2.4
"""Bytes of the text over bytes when compressed: above, it repeats itself."""
MIN_LOG_PROBABILITY: Final = -1.0
"""Mean over the tokens: below, another temperature is tried."""
MAX_NO_SPEECH: Final = 0.6
"""Probability of `<|nospeech|>` above which an improbable text is none."""
LANGUAGE_FROM: Final = 0.5
"""A language that was detected with less probability isn't told."""

_BEAM: Final = 5
_TEMPERATURES: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_SEED: Final = 1
_MOST_TOKENS: Final = 224
"""Half of Whisper's context: scripts that it spells byte by byte take several tokens for a letter."""
_MOST_BESIDE_PROMPT: Final = 160
"""The same where a prompt takes its part of it."""


@dataclass(frozen=True, slots=True)
class Load:
    """How the model is loaded."""

    path: str
    device: str = "auto"
    compute_type: str = "auto"
    threads: int = 1


class Whisper:
    """An `Engine` of a decoder process."""

    def __init__(self, load: Load) -> None:
        from ctranslate2 import set_random_seed
        from faster_whisper import WhisperModel
        from tqdm import tqdm

        tqdm.set_lock(RLock())  # its own one is a file in /dev/shm, for a progress bar that nobody sees
        self._seed = set_random_seed
        self._model: Any = WhisperModel(
            load.path,
            device=load.device,
            compute_type=load.compute_type,
            cpu_threads=load.threads,
            local_files_only=True,
        )
        self._hints = Hints()
        self._heard = bytearray()
        self._decode(np.zeros(SAMPLE_RATE, np.float32), Hints())  # what is made on first use is made now

    def begin(self, profile: str | None) -> None:
        """An utterance, decoded by the hints that `profile` packs; raises ValueError where it packs none."""
        self._hints = Hints.unpack(profile)
        self._heard.clear()

    def process(self, pcm: bytes) -> None:
        self._heard += pcm

    def text(self) -> str:
        """Nothing: what is understood so far is asked for as a draft."""
        return ""

    def finish(self) -> Result:
        hints, samples = self._hints, np.frombuffer(bytes(self._heard), "<i2")
        self._heard.clear()
        if len(samples) < SHORTEST:
            return Result([])
        segments, info = self._decode(samples.astype(np.float32) / 32_768, hints)
        kept = [one for one in segments if _credible(one, hints)]
        if not kept:
            return Result([])
        sure = hints.language is not None or info.language_probability >= LANGUAGE_FROM
        return Result(
            words=_words(kept, len(samples)),
            text="".join(one.text for one in kept).strip(),
            language=bcp47(info.language) if sure else None,
            confidence=_confidence(kept),
        )

    def drop(self) -> None:
        self._heard.clear()

    def _decode(self, samples: Any, hints: Hints) -> tuple[list[Any], Any]:
        self._seed(_SEED)  # nobody's words depend on who was heard before
        segments, info = self._model.transcribe(
            samples,
            language=hints.language,
            beam_size=1 if hints.draft else _BEAM,
            temperature=0.0 if hints.draft else _TEMPERATURES,
            compression_ratio_threshold=MAX_COMPRESSION,
            log_prob_threshold=MIN_LOG_PROBABILITY,
            no_speech_threshold=MAX_NO_SPEECH,
            condition_on_previous_text=False,
            initial_prompt=hints.prompt or None,
            word_timestamps=not hints.draft,
            without_timestamps=hints.draft,
            max_new_tokens=_MOST_BESIDE_PROMPT if hints.prompt else _MOST_TOKENS,
        )
        return list(segments), info


def _credible(segment: Any, hints: Hints) -> bool:
    """Whether it has words, and they aren't made up; of a draft nothing doubtful is told.

    What faster-whisper is sure to be no speech isn't among the segments any more.
    """
    scores = (segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio)
    if not all(map(math.isfinite, scores)):
        return False  # sums of 16-bit floats that overflowed
    if not segment.text.strip() or segment.compression_ratio > MAX_COMPRESSION:
        return False
    return not hints.draft or bool(segment.no_speech_prob <= MAX_NO_SPEECH)


def _words(segments: Iterable[Any], samples: int) -> list[Word]:
    """Each within the utterance, and none before the one it follows."""
    words: list[Word] = []
    at = 0
    for word in (word for segment in segments for word in segment.words or ()):
        text = word.word.strip()
        start = min(max(at, round(word.start * SAMPLE_RATE)), samples)
        at = min(max(start, round(word.end * SAMPLE_RATE)), samples)
        if text:
            words.append((text, start, at, round(min(1.0, max(0.0, float(word.probability))), 3)))
    return words


def _confidence(segments: list[Any]) -> float:
    """The geometric mean of the tokens' probabilities."""
    counts = [max(1, len(one.tokens)) for one in segments]
    total = sum(one.avg_logprob * count for one, count in zip(segments, counts, strict=True))
    return round(min(1.0, math.exp(total / sum(counts))), 3)
