"""Where windows begin and end: whole client samples only, so nothing drifts and frames may split anywhere.

The window being filled is [start, end) and owns [owned, end). When it is complete, `owned` becomes its end:

    first window (of a session, after a skip, after a flush)   start = owned,          end = owned + window
    any later one                                              start = end - window,   end = owned + hop

`start` never lies before `floor`, the oldest sample that is still the same audio and still held.
"""

from gateway.audio.resample import RATE_OUT, position


class Grid:
    """The window being filled, in client samples and at 16 kHz."""

    __slots__ = (
        "_first",
        "_rate",
        "end",
        "floor",
        "hop",
        "owned",
        "start",
        "start16k",
        "window",
        "window16k",
    )

    floor: int
    """Client sample; older ones are lost to windows."""
    owned: int
    """Client sample: the end of the window before."""
    start: int
    """Client sample."""
    end: int
    """Client sample."""
    start16k: int
    """16 kHz index: `window16k` before the end's, so up to two before `start`'s where both round apart."""
    window: int
    """Client samples."""
    window16k: int
    """16 kHz samples, the same for every full window."""
    hop: int
    """Client samples."""

    def __init__(self, rate: int, window_ms: int, hop_ms: int) -> None:
        """A first window at client sample 0; raises ValueError unless 0 < `hop_ms` <= `window_ms`."""
        self._rate = rate
        self._set_lengths(window_ms, hop_ms)
        self.begin(0, floor=0)

    @property
    def floor16k(self) -> int:
        """16 kHz index of `floor`."""
        return position(self.floor, self._rate)

    def begin(self, at: int, *, floor: int) -> None:
        """A first window begins at client sample `at`."""
        self.floor = floor
        self.owned = at
        self._first = True
        self._plan(at + self.window)

    def advance(self) -> None:
        """The window being filled is complete; go on with the next."""
        self.owned = self.end
        self._first = False
        self._plan(self.end + self.hop)

    def configure(self, window_ms: int, hop_ms: int, *, started: bool) -> None:
        """Change the lengths from the next window on; a window already `started` keeps its end.

        Windows that would need audio older than the start of the one being filled begin there, and are short.
        """
        self._set_lengths(window_ms, hop_ms)
        self.floor = max(self.floor, self.start)
        if not started:
            self._plan(self.owned + (self.window if self._first else self.hop))

    def _set_lengths(self, window_ms: int, hop_ms: int) -> None:
        window, hop = window_ms * self._rate // 1000, hop_ms * self._rate // 1000
        if not 0 < hop <= window:
            raise ValueError(f"a hop of {hop_ms} ms does not fit a window of {window_ms} ms")
        self.window, self.hop = window, hop
        self.window16k = window_ms * RATE_OUT // 1000

    def _plan(self, end: int) -> None:
        self.end = end
        self.start = max(end - self.window, self.floor)
        clipped = end - self.window < self.floor
        self.start16k = self.floor16k if clipped else position(end, self._rate) - self.window16k
