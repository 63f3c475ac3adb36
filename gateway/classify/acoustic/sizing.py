"""How many workers, of what kind, and how many windows in a batch: decided from what was measured.

Pure: what was measured is handed in. What an operator asked for always wins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SIZES: Final = (1, 4, 8, 16, 32)
"""Batch sizes that are tried, in windows."""
NEAR: Final = 0.05
"""A batch is good enough whose windows cost so much more than the cheapest: less than what one measurement
differs from the next."""
WORTH: Final = 1.1
"""A second worker is kept where two do so many times the work of one. Less is what two threads of one core
come to where memory is all that they wait for, and the event loop has more use for that core."""
FEED: Final = 4_000
"""Windows a second, twice what one event loop was seen to carry: workers for more would sleep."""


class Where(StrEnum):
    """Where a batch is classified."""

    PROCESS = "process"
    THREAD = "thread"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the settings ask for; None is left to the measurement."""

    where: Where | None = None
    workers: int | None = None
    batch: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found at the start."""

    cores: int
    """CPU cores that this process may use."""
    costs: Mapping[int, float]
    """Seconds of CPU a window, by batch size; empty where nothing was measured."""
    together: float | None = None
    """The same at the chosen size while two workers were at it; None where that was not measured."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was chosen."""

    where: Where
    workers: int
    batch: int
    """Most windows in a batch."""
    why: str
    """For people: what it was chosen by."""


def where(wish: Wish, cores: int) -> Where:
    """Processes leave the event loop the interpreter; on one core they take turns with it all the same, and
    only cost memory."""
    return wish.where or (Where.PROCESS if cores > 1 else Where.THREAD)


def batch(wish: Wish, costs: Mapping[int, float]) -> int:
    """The largest batch that costs about as little as any, or was tried where none was measured.

    It is a bound, met only where windows wait; then what counts is how many get done.
    """
    if wish.batch is not None:
        return wish.batch
    if not costs:
        return SIZES[-1]
    enough = min(costs.values()) * (1 + NEAR)
    return max(size for size, cost in costs.items() if cost <= enough)


def workers(wish: Wish, measured: Measured) -> int:
    """One for each core, as far as a second one is of use and one event loop can feed them."""
    if wish.workers is not None:
        return wish.workers
    gain = gained(wish, measured)
    if measured.cores == 1 or (gain is not None and gain < WORTH):
        return 1
    cost = _cost(wish, measured)
    fed = measured.cores if cost is None else int(FEED * cost) + 1
    return max(1, min(measured.cores, fed))


def gained(wish: Wish, measured: Measured) -> float | None:
    """How many times the work of one worker two of them do; None where that was not measured."""
    alone = _cost(wish, measured)
    if alone is None or not measured.together:
        return None
    return 2 * alone / measured.together


def decide(wish: Wish, measured: Measured) -> Plan:
    """What to do."""
    return Plan(
        where(wish, measured.cores),
        workers(wish, measured),
        batch(wish, measured.costs),
        _why(wish, measured),
    )


def _cost(wish: Wish, measured: Measured) -> float | None:
    """Seconds a window, at the size that was chosen."""
    return measured.costs.get(batch(wish, measured.costs))


def _why(wish: Wish, measured: Measured) -> str:
    asked = [name for name in ("where", "workers", "batch") if getattr(wish, name) is not None]
    said = [f"{measured.cores} usable {'core' if measured.cores == 1 else 'cores'}"]
    if measured.costs:
        each = ", ".join(f"{1e3 * cost:.2f} at {size}" for size, cost in sorted(measured.costs.items()))
        said.append(f"ms a window by batch: {each}")
    gain = gained(wish, measured)
    if gain is not None:
        said.append(f"two workers do {gain:.2f} times the work of one")
    if asked:
        said.append(f"asked for: {', '.join(asked)}")
    return "; ".join(said)
