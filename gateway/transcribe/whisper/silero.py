"""Silero's voice detector, whose ONNX file ships in faster-whisper's wheel, as the segmenter's detector.

It tells speech from hold music and noise, which a level can't. A frame is 512 samples with 64 before it, and
a recurrent state goes from frame to frame; so the frames of one stream are one sequence, and those of several
can't be one batch. It isn't cheap (about 0.1 ms a frame, 3 ms a second of sound): it runs in a thread, and is
not shown frames that nobody could hear.
"""

import importlib.util
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.transcribe.segmenter import Measure, Samples

FRAME: Final = 512
"""Samples: 32 ms."""
CONTEXT: Final = 64
"""Samples before a frame."""
SILENCE: Final = float(2**30) * 10**-6.6
"""Power in squared int16 steps, -66 dBFS: whoever is as quiet isn't speaking."""

_FILE: Final = Path("assets", "silero_vad_v6.onnx")
_STATE: Final = (1, 1, 128)
_NAMES: Final = {"input", "h", "c"}


class SileroMissing(Exception):
    """There is no such detector on this machine."""


@cache
def network() -> Any:
    """The loaded network, shared by all streams.

    Raises:
        SileroMissing: onnxruntime or the file isn't there, or the file is another one.
    """
    found = importlib.util.find_spec("faster_whisper")
    if found is None or found.origin is None:
        raise SileroMissing("faster-whisper isn't installed")
    path = Path(found.origin).parent / _FILE
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        loaded = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except ImportError:
        raise SileroMissing("onnxruntime isn't installed") from None
    except Exception as error:  # onnxruntime's own share no base
        raise SileroMissing(f"{path.name} can't be loaded ({type(error).__name__})") from None
    if {one.name for one in loaded.get_inputs()} != _NAMES:
        raise SileroMissing(f"{path.name} isn't the network it was")
    return loaded


class SileroDetector:
    """A `Detector` of one stream; a score is the probability of speech. Not for two threads at a time."""

    __slots__ = ("_c", "_context", "_h", "_network")

    measure: Final = Measure(
        frame=FRAME,
        pre_roll=9,
        onset_frames=3,
        onset_span=4,
        hangover=19,
        hold=125,
        longest=156,
        pause=4,
        dip=3,
    )
    """The same durations as of the 20 ms frames, but for the onset, where one frame tells more."""
    onset: Final = 0.5
    stay: Final = 0.35

    def __init__(self, loaded: Any = None) -> None:
        self._network = loaded if loaded is not None else network()
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self._context: npt.NDArray[np.float32] = np.zeros(CONTEXT, np.float32)
        self._h = self._c = np.zeros(_STATE, np.float32)

    def scores(self, frames: Samples) -> list[float]:
        """The probabilities; a silent frame has none, and what follows one is heard afresh."""
        values = frames.astype(np.float32)
        loud = np.einsum("ij,ij->i", values, values) > SILENCE * FRAME
        values /= 32_768
        scores: list[float] = []
        for start, stop in _runs(loud):
            scores += self._run(values[start:stop]) if loud[start] else self._skip(stop - start)
        return scores

    def _skip(self, count: int) -> list[float]:
        self.reset()
        return [0.0] * count

    def _run(self, frames: npt.NDArray[np.float32]) -> list[float]:
        shown = np.empty((len(frames), CONTEXT + FRAME), np.float32)
        shown[:, CONTEXT:] = frames
        shown[0, :CONTEXT] = self._context
        shown[1:, :CONTEXT] = frames[:-1, -CONTEXT:]
        given = {"input": shown, "h": self._h, "c": self._c}
        found, self._h, self._c = self._network.run(None, given)
        self._context = frames[-1, -CONTEXT:].copy()
        probabilities: list[float] = found.tolist()
        return probabilities


def _runs(loud: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches of equal values as [start, stop)."""
    edges = [0, *(np.flatnonzero(loud[1:] != loud[:-1]) + 1).tolist(), len(loud)]
    return list(pairwise(edges))
