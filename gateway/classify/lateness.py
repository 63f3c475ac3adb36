"""For how long the dispatch queue has been late: what admission decides on.

One late window says little. Lateness is counted from its first sign to its last, as long as there is no
stretch of calm in between, so that a node at its limit neither refuses at the first hiccup nor flutters.
"""

from dataclasses import dataclass, field

RECOVERY_S = 1.0
"""Seconds in which nobody waits too long, until the queue counts as in time again."""


@dataclass(slots=True)
class Lateness:
    """Judges the session that has waited longest. Pure arithmetic, with time handed in.

    A session that begins to wait right after the last sign of lateness needs `patience_s` to become the next
    sign. Only after that can a second of calm mean anything.
    """

    patience_s: float
    """A session that waits longer for a dispatch is a sign of lateness."""
    _since: float | None = field(default=None, init=False)
    _last: float = field(default=float("-inf"), init=False)
    """The latest sign."""

    def note(self, waits_since: float | None, now: float) -> None:
        """Look at the session that has waited longest; to be called before it is served.

        Args:
            waits_since: monotonic seconds; None where nobody waits.
        """
        if waits_since is None or now - waits_since <= self.patience_s:
            return
        began = waits_since + self.patience_s
        if self._since is None or began - self._last >= self._calm_s:
            self._since = began
        self._last = now

    def seconds(self, now: float) -> float:
        """From the first sign of lateness to the last, or 0 where all is calm."""
        if self._since is None or now - self._last >= self._calm_s:
            self._since = None
            return 0.0
        return self._last - self._since

    @property
    def _calm_s(self) -> float:
        return self.patience_s + RECOVERY_S
