"""What a model hears: the last seconds of a session, put together from its windows to the sample.

An emotion model wants three or four seconds at once, a session's window has one. Where the context is kept
is the file's `keep`:

* `process` (the default): here, by the session's name, until it is forgotten or has been idle. Four seconds
  are 128 KB a session. In the session's state they would be written to the store at each checkpoint and
  travel with each window to a sidecar, four times the window itself. A session that moves to another process
  begins with what its next window holds, and is told of with less confidence for three seconds.
* `session`: in the state, for where the windows of a session are answered by different processes.

A context never spans a hole: what was not heard (a gap, a window that failed and that the next one doesn't
cover) begins it anew. Two stretches joined would sound like something that nobody said.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gateway.classify.onnx.spec import Keep
from gateway.classify.port import SAMPLE_RATE, AnalysisState, Window
from gateway.clock import Clock

Samples = npt.NDArray[np.int16]

KEY = "onnx"
"""Of the classifier's part of a session's state."""
_HEARD = "heard"
ROUNDING = 2
"""Samples by which a window's end, told in seconds, may be off."""
IDLE_S = 60.0
"""Seconds after which a session's context is let go: nobody says of every session that it is over."""
MOST_SESSIONS = 20_000
"""Contexts kept in a process; beyond them the one that was used longest ago goes."""
MOST_BYTES = 2 * 1024**3
"""Likewise, of their samples: 16,000 contexts of four seconds, 6,700 of ten."""


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """The last seconds of a session."""

    end: int
    """16 kHz index one past the last sample."""
    samples: Samples
    """Shape (n,), read only."""


def extended(before: Context | None, window: Window, most: int) -> Context:
    """The context after `window`: its last `most` samples, as far back as nothing is missing."""
    end = round(window.end_s * SAMPLE_RATE)
    samples = window.samples
    if before is not None and len(samples) < most:
        missing = end - window.owned - before.end
        new = window.owned + (0 if abs(missing) <= ROUNDING else missing)
        if 0 < new <= len(samples) and missing >= -ROUNDING:
            kept = before.samples[max(0, len(before.samples) + new - most) :]
            # A window's older part may reach further back than what is kept of a session that moved.
            if len(kept) + new > len(samples):
                return Context(end, np.concatenate((kept, samples[-new:])))
    return Context(end, samples[-most:].copy())


class Contexts(Protocol):
    """Where contexts are kept."""

    def get(self, window: Window) -> Context | None:
        """What was kept of the window's session."""
        ...

    def put(self, window: Window, context: Context) -> None:
        """Keep it for the next window."""
        ...

    def forget(self, session: str) -> None:
        """The session is over."""
        ...


class InProcess:
    """By the session's name, and no longer than it is needed. Windows without a name stand alone."""

    def __init__(
        self,
        clock: Clock,
        *,
        most: int = MOST_SESSIONS,
        most_bytes: int = MOST_BYTES,
        idle_s: float = IDLE_S,
    ) -> None:
        self._clock = clock
        self._most = most
        self._most_bytes = most_bytes
        self._idle_s = idle_s
        self._kept: OrderedDict[str, tuple[float, Context]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, window: Window) -> Context | None:
        found = self._kept.get(window.session)
        return None if found is None else found[1]

    def put(self, window: Window, context: Context) -> None:
        if not window.session:
            return
        now = self._clock.monotonic()
        self.forget(window.session)
        self._kept[window.session] = (now, context)
        self._bytes += context.samples.nbytes
        while self._kept and self._is_over(now):
            self.forget(next(iter(self._kept)))

    def forget(self, session: str) -> None:
        found = self._kept.pop(session, None)
        if found is not None:
            self._bytes -= found[1].samples.nbytes

    def _is_over(self, now: float) -> bool:
        """Whether there are too many, or too many bytes of them, or the first was used too long ago."""
        used, _ = next(iter(self._kept.values()))
        return len(self._kept) > self._most or self._bytes > self._most_bytes or used < now - self._idle_s


class InState:
    """In the session's own state, as `[end, bytes]`."""

    def get(self, window: Window) -> Context | None:
        found = own(window.state).get(_HEARD)
        match found:
            case [int(end), bytes(raw)] if len(raw) % 2 == 0:
                return Context(end, np.frombuffer(raw, "<i2"))
        return None

    def put(self, window: Window, context: Context) -> None:
        kept = [context.end, context.samples.astype("<i2", copy=False).tobytes()]
        window.state[KEY] = {**own(window.state), _HEARD: kept}

    def forget(self, session: str) -> None:
        """Nothing to do: it went with the session."""


def own(state: AnalysisState) -> AnalysisState:
    """The classifier's part of a session's state; empty where it is new there."""
    found = state.get(KEY)
    return found if isinstance(found, dict) else {}


def place(keep: Keep, clock: Clock) -> Contexts:
    """Where `keep` says."""
    return InState() if keep is Keep.SESSION else InProcess(clock)


def by_length(contexts: Sequence[Samples], most: int) -> list[list[int]]:
    """Indices of contexts of equal length, at most `most` each: rows of one call need no mask."""
    groups: dict[int, list[int]] = {}
    for i, samples in enumerate(contexts):
        groups.setdefault(len(samples), []).append(i)
    return [same[at : at + most] for same in groups.values() for at in range(0, len(same), most)]
