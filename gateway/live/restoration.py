"""The first stretch of a session that came from another node.

Audio comes again from a little before what is settled: the next window may overlap it, and words that were
being said are not told yet. There it is heard, but nothing is classified, counted or said a second time. Past
it there may be gaps that were said before anything between was settled: they are passed over in silence.
"""

from gateway.audio.window import Cut
from gateway.live.snapshot import Span


class Restoration:
    """What is settled already of the audio that comes."""

    __slots__ = ("_coming", "_passed", "settled_to")

    def __init__(self) -> None:
        self.settled_to = 0
        """Sample before which everything is settled."""
        self._passed: list[Span] = []
        self._coming: list[Span] = []

    @property
    def passed(self) -> tuple[Span, ...]:
        """Gaps that were said, and accounted for, beyond the first sample that isn't settled; in order."""
        return tuple(self._passed)

    @property
    def coming(self) -> tuple[Span, ...]:
        """Gaps that were said on another node and have not been reached yet, in order."""
        return tuple(self._coming)

    def note(self, span: Span, settled: int) -> None:
        """A gap was said, or passed over, while everything before `settled` is settled."""
        self.prune(settled)
        if span[0] > settled:
            self._passed.append(span)
            self._passed.sort()

    def prune(self, settled: int) -> None:
        """Forget passed gaps that are no longer beyond anything."""
        while self._passed and self._passed[0][1] <= settled:
            del self._passed[0]

    def restore(self, settled_to: int, coming: tuple[Span, ...]) -> None:
        """Everything before `settled_to` is settled, and so are the spans `coming`."""
        self.settled_to = settled_to
        self._coming = list(coming)

    def reached(self, at: int) -> Span | None:
        """The coming gap that begins at sample `at`; it comes no more."""
        if self._coming and self._coming[0][0] == at:
            return self._coming.pop(0)
        return None

    def boundary(self, at: int, to: int) -> int:
        """How far towards `to` the audio from `at` on is of one kind."""
        if at < self.settled_to:
            return min(to, self.settled_to)
        return min(to, self._coming[0][0]) if self._coming else to

    def over(self, at: int) -> bool:
        """Whether nothing that follows `at` is settled."""
        return at >= self.settled_to and not self._coming

    def unsettled(self, cut: Cut) -> Cut | None:
        """`cut`, owning only what is not settled; None where it owns nothing then."""
        return None if cut.end_sample <= self.settled_to else cut.owning_from(self.settled_to)
