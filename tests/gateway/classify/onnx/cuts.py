"""Sessions cut into windows, for tests of what is made of them."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from gateway.classify.port import SAMPLE_RATE, AnalysisState, Window

Samples = npt.NDArray[np.int16]


def sound(samples: int, seed: int = 0, level: float = 3_000.0) -> Samples:
    """Noise, of which no two samples in a row are the same."""
    return np.random.default_rng(seed).normal(0.0, level, samples).clip(-32_768, 32_767).astype(np.int16)


def windows(
    samples: Samples,
    *,
    window: int = SAMPLE_RATE,
    hop: int | None = None,
    session: str = "one",
    state: AnalysisState | None = None,
) -> Iterator[Window]:
    """The windows of a session as it is cut: the first owns all of itself, later ones their hop."""
    state = {} if state is None else state
    hop = hop or window
    for end in range(window, len(samples) + 1, hop):
        yield Window(
            samples[end - window : end],
            window if end == window else hop,
            end / SAMPLE_RATE,
            state,
            session,
        )
