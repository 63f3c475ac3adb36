"""Where in the audio the line itself was heard: music, tones and signals that are nobody's words."""

from collections.abc import Iterable

from gateway.classify.port import Observation, QueueObservation, ToneObservation
from protocol.events import QueueLabel

_LINE = frozenset({QueueLabel.HOLD_MUSIC, QueueLabel.RINGBACK, QueueLabel.BUSY, QueueLabel.DTMF_TONE})
_KEPT = 16
"""Stretches remembered: far more than an utterance can span."""


class Line:
    """Follows the call's state from window to window.

    A state is known only after a while (hold music after three seconds), so a stretch begins where the
    speechless run began in which it was recognised.
    """

    def __init__(self) -> None:
        self._stretches: list[list[int]] = []
        self._speechless_from: int | None = None
        self._on_line = False

    def hear(self, observations: Iterable[Observation], start: int, end: int) -> None:
        """What was heard in samples [start, end)."""
        for observation in observations:
            if isinstance(observation, ToneObservation):
                self._on_line, self._speechless_from = False, None
                return
            if isinstance(observation, QueueObservation):
                self._on_line = observation.label in _LINE
                if not self._on_line:
                    self._speechless_from = None
        if self._speechless_from is None:
            self._speechless_from = start
        if not self._on_line:
            return
        if self._stretches and self._stretches[-1][1] >= self._speechless_from:
            self._stretches[-1][1] = end
        else:
            self._stretches.append([self._speechless_from, end])
            del self._stretches[:-_KEPT]

    def mostly(self, start: int, end: int) -> bool:
        """Whether more than half of samples [start, end) was the line."""
        covered = sum(max(0, min(end, stop) - max(start, begin)) for begin, stop in self._stretches)
        return covered * 2 > end - start
