"""The embedded classifier: signal processing alone, no model file, no download, no GPU.

One pass of features serves everything: speaker turns, tone and the state of the call. Here it runs in
threads, and in processes in `embedded`: about half of it is Python, which holds the interpreter's lock
against the event loop. Matrix products must stay single-threaded (`OPENBLAS_NUM_THREADS=1`, set before numpy
is imported): a pool of theirs under each of these threads would make them fight for the cores.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import msgpack  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from gateway.classify.acoustic import prosody, queue, speaker, tone, tones
from gateway.classify.acoustic.features import FRAME, HOP, Features, extract
from gateway.classify.acoustic.prosody import Prosody
from gateway.classify.acoustic.state import Memory
from gateway.classify.acoustic.tones import ToneBlocks
from gateway.classify.notices import Notices
from gateway.classify.port import (
    AnalysisState,
    Answer,
    ClassifierError,
    Health,
    HealthStatus,
    Observation,
    Window,
)

log = logging.getLogger(__name__)

MODEL = "acoustic-1"
"""Signs every tone; changes when the same audio would be told differently."""
BATCH = 32
"""Windows in one pass; more would fall out of the cache."""
PADDING = 1600
"""Samples: windows are grouped by length rounded up to 100 ms, so that few are padded far."""
YIELD_EVERY = 8
"""Windows (2 to 3 ms of mostly Python) after which the event loop is let have the interpreter."""
NOT_TALKING = ("hold_music", "ringback", "busy")
"""Call states in which nobody's tone is told."""

STATE = "acoustic"
"""Where in a window's state all that is remembered lies: a plain value, or the same packed by msgpack."""

Analysed: TypeAlias = tuple[list[Observation], AnalysisState]
"""What is told of a window, and what is to be remembered."""


class AcousticClassifier:
    """Tone, speaker and call state by signal processing. Implements `gateway.classify.port.Classifier`.

    Keeps nothing per session: all that is remembered lies in the window's `state[STATE]`, which is
    replaced when the window was classified and is left alone otherwise.
    """

    name = "acoustic"

    def __init__(self, *, workers: int = 1) -> None:
        """Start with `workers` threads; each classifies one batch at a time."""
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="acoustic")
        self._closed = False
        self._notices = Notices()

    async def classify(self, batch: Sequence[Window]) -> list[Answer]:
        """Classify windows of different sessions; speaker, then tone, then call state in each answer.

        Raises:
            ClassifierError: the classifier is closed; no state has changed.
        """
        if self._closed:
            raise ClassifierError("the acoustic classifier is closed")
        found = await asyncio.get_running_loop().run_in_executor(self._pool, each, list(batch))
        answers: list[Answer] = []
        for window, one in zip(batch, found, strict=True):
            if isinstance(one, ClassifierError):
                answers.append(one)
            else:
                observations, window.state[STATE] = one
                answers.append(observations)
        return answers

    @property
    def notices(self) -> Notices:
        """None: there is nothing that could come or go."""
        return self._notices

    async def start(self) -> None:
        """Nothing to do: it is ready from the start."""

    def forget(self, session: str) -> None:
        """Nothing to do: it keeps nothing by name."""

    def health(self) -> Health:
        """Ready from the start: there is nothing to load."""
        if self._closed:
            return Health(HealthStatus.ERROR, "closed")
        return Health(HealthStatus.READY)

    async def aclose(self) -> None:
        """Take no more batches; the threads end with those under way. Safe to call again."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)


def each(windows: Sequence[Window]) -> list[Analysed | ClassifierError]:
    """The answers, and an error for each window that fails; those beside it are classified without it."""
    try:
        return list(analyse(windows))
    except Exception as error:
        if len(windows) != 1:
            return [answer for window in windows for answer in each([window])]
        log.exception("a window failed")
        failure = ClassifierError(f"acoustic analysis failed: {type(error).__name__}")
        failure.__cause__ = error
        return [failure]


def analyse(windows: Sequence[Window]) -> list[Analysed]:
    """The observations for each window, and the state it leaves; the windows' own state isn't touched."""
    answers: dict[int, Analysed] = {}
    for group in grouped(windows):
        rows = [windows[i] for i in group]
        batch, lengths = loaded(rows)
        features = extract(batch, lengths)
        blocks = tones.detect(batch, lengths)
        silence_tones(features, blocks)
        heard = prosody.measure(features)
        for row, i in enumerate(group):
            answers[i] = _observe(features, row, blocks[row], heard[row], windows[i])
            if row % YIELD_EVERY == YIELD_EVERY - 1:
                time.sleep(0)
    return [answers[i] for i in range(len(windows))]


def grouped(windows: Sequence[Window]) -> list[list[int]]:
    """Indices of windows of about one length, at most BATCH each."""
    by_length: dict[int, list[int]] = {}
    for i, window in enumerate(windows):
        by_length.setdefault(-(-len(window.samples) // PADDING), []).append(i)
    return [same[at : at + BATCH] for same in by_length.values() for at in range(0, len(same), BATCH)]


def loaded(windows: Sequence[Window]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """The windows' samples with full scale 1, padded with silence behind, and how long each is."""
    lengths = np.array([len(window.samples) for window in windows], dtype=np.intp)
    batch = np.zeros((len(windows), int(lengths.max())), dtype=np.float32)
    for row, window in zip(batch, windows, strict=True):
        np.multiply(window.samples, np.float32(1.0 / 32768.0), out=row[: len(window.samples)])
    return batch, lengths


def silence_tones(features: Features, blocks: Sequence[ToneBlocks]) -> None:
    """Signalling tones are nobody's speech."""
    centres = np.arange(features.speech.shape[1]) * HOP + FRAME // 2
    for row, found in enumerate(blocks):
        if found.mask.any():
            features.speech[row] &= ~found.tone_at(centres)


def _observe(features: Features, row: int, blocks: ToneBlocks, heard: Prosody, window: Window) -> Analysed:
    state: AnalysisState = _restored(window.state.get(STATE, {}))
    call = queue.observe(features, row, blocks, state, window)
    turns = speaker.observe(features, row, state, window)
    memory = Memory.restore(state.get("tone", {}))
    talking = state["queue"].get("label") not in NOT_TALKING
    spoken = tone.observe(heard, memory, window, state["speaker"]["current"], MODEL) if talking else None
    memory.save(state.setdefault("tone", {}))
    told = [] if spoken is None else [spoken]
    return [*turns, *told, *call], state


def _restored(value: Any) -> Any:
    """What was remembered, to be changed at will; workers leave it packed."""
    return msgpack.unpackb(value) if isinstance(value, bytes) else _copied(value)


def _copied(value: Any) -> Any:
    """A copy of a plain value, several times as fast as `copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value
