"""Which of several replicas is asked: the power of two choices.

Two are drawn at random, and the one with fewer calls in flight is taken: nearly as even as looking at all of
them, and gateways that don't know of each other never run to the same one together (Mitzenmacher 2001, IEEE
TPDS 12(10), 10.1109/71.963420).
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

Draw: TypeAlias = Callable[[int], int]
"""A whole number from 0 up to, and without, the one given."""


def choose(loads: Sequence[int], draw: Draw) -> int:
    """The index of the one to take; `loads` are calls in flight, at least one number."""
    if len(loads) == 1:
        return 0
    first = draw(len(loads))
    second = draw(len(loads) - 1)
    if second >= first:
        second += 1
    return second if loads[second] < loads[first] else first
