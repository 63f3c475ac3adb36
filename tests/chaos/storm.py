"""What befalls connections that nobody watches over: a fault for each, drawn by seed and number.

The draw depends on nothing else, so the tenth connection of a storm meets the same fate in each run, however
the tasks of the run are woven.
"""

import asyncio
import random
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.proxy import Link


class Fault(StrEnum):
    """What can happen to a link."""

    CUT = "cut"
    """Reset on both sides."""
    CLOSE = "close"
    """Closed on both sides, without a WebSocket close."""
    STALL = "stall"
    """Held up in both directions, for ever as far as its peers can tell."""
    FORGET = "forget"
    """Half-open: either peer is gone for the other, and doesn't know."""
    DEAF = "deaf"
    """Nothing more is read from the gateway: its window closes."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One link's fate."""

    after_s: float
    """Seconds after it was opened."""
    fault: Fault

    def hit(self, link: Link) -> None:
        """Let it happen now."""
        match self.fault:
            case Fault.CUT:
                link.cut()
            case Fault.CLOSE:
                link.close()
            case Fault.STALL:
                link.stall()
            case Fault.FORGET:
                link.forget()
            case Fault.DEAF:
                link.down.shut_window()


@dataclass(frozen=True, slots=True)
class Storm:
    """A `Script` for a proxy: each link is hit once, some seconds after it was opened."""

    seed: int
    every_s: tuple[float, float] = (2.0, 5.0)
    """Seconds, the least and the most."""
    faults: tuple[Fault, ...] = (Fault.CUT, Fault.CLOSE)
    """Those that may come; one named twice is twice as likely."""

    def strike(self, number: int) -> Strike:
        """What is in store for link `number`."""
        rng = random.Random(f"{self.seed}/{number}")
        return Strike(rng.uniform(*self.every_s), rng.choice(self.faults))

    async def __call__(self, link: Link) -> None:
        """Wait for it, and let it happen."""
        strike = self.strike(link.number)
        await asyncio.sleep(strike.after_s)
        strike.hit(link)
