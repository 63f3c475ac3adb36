"""What is told once for each thing, not each time it is met."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_MOST: Final = 1_000


class Seldom:
    """Knows what was told already, of the latest `most` things.

    Args:
        every_s: seconds after which a thing is told again.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        every_s: float = math.inf,
        *,
        most: int = _MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._every_s = every_s
        self._most = most
        self._clock = clock
        self._told: OrderedDict[str, float] = OrderedDict()

    def due(self, about: str) -> bool:
        """Whether it is to be told now; then it counts as told."""
        now = self._clock()
        told = self._told.get(about)
        if told is not None and now - told < self._every_s:
            self._told.move_to_end(about)
            return False
        self._told[about] = now
        self._told.move_to_end(about)
        if len(self._told) > self._most:
            self._told.popitem(last=False)
        return True
