"""Where in the audio the line itself was heard: music, tones and signals that are nobody's words."""

from collections.abc import Iterable, Mapping
from typing import Any

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

    def save(self) -> dict[str, Any]:
        """What it knows, as plain values."""
        return {"stretches": self._stretches, "from": self._speechless_from, "on": self._on_line}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Know that; nothing where nothing was saved."""
        self._stretches = [list(one) for one in saved.get("stretches", ())]
        self._speechless_from = saved.get("from")
        self._on_line = saved.get("on", False)

    def mostly(self, start: int, end: int) -> bool:
        """Whether more than half of samples [start, end) was the line."""
        covered = sum(max(0, min(end, stop) - max(start, begin)) for begin, stop in self._stretches)
        return covered * 2 > end - start
