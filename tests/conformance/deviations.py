"""Where stock uvicorn, with `websockets-sansio`, does otherwise than the RFC or our own lane.

The suite holds it to this table, so that an entry that no longer holds is seen. None of it lets a peer do
harm: what stock uvicorn lacks are budgets and deadlines.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.chaos.frames import more
from tests.conformance.served import Case, Delivery, Lane, Outcome, Served


@dataclass(frozen=True, slots=True)
class Deviation:
    """What happens instead."""

    why: str
    outcome: Outcome
    adds: tuple[bytes, ...] = ()
    """What must be sent, too, before it shows."""


_LENGTHS = "A length that is written longer than need be is taken; section 5.2 says that it must not be sent."
_TOP_BIT = "A length with its most significant bit set is too large (1009), not wrong (1002)."
_CLOSE_AMID = "A close between fragments is refused; sections 5.4 and 5.5.1 allow it."
_LATE = "Text is looked at when its message is whole; section 8.1 doesn't say when, only that."

DEVIATIONS: Mapping[str, Deviation] = {
    **{
        f"a length of {size} in {form}": Deviation(_LENGTHS, Outcome(heard=size))
        for form, sizes in {"sixteen_bits": (0, 125), "sixty_four_bits": (0, 125, 126, 65_535)}.items()
        for size in sizes
    },
    "a ping's length in two bytes": Deviation(_LENGTHS, Outcome(pongs=(b"a",))),
    **{f"{size} bytes announced": Deviation(_TOP_BIT, Outcome(1009)) for size in (2**63, 2**64 - 1)},
    "a close between": Deviation(_CLOSE_AMID, Outcome(1002)),
}
"""By the case's name; of the portable lane only."""


UNHEARD = "Messages that come in one segment with a violation go with it."
"""The one deviation that is a matter of luck; it is allowed for in each case that ends the connection."""


def check(served: Served, case: Case, delivery: Delivery) -> None:
    """Send it and compare what happens with what should."""
    expected, sends = case.expects, case.sends
    portable = served.lane is Lane.PORTABLE
    deviation = _deviation(case) if portable else None
    if deviation is not None:
        expected, sends = deviation.outcome, (*sends, *deviation.adds)
    found = served.outcome(delivery.cut(sends), lives=expected.code is None)
    if portable and expected.code is not None:
        expected = replace(expected, heard=min(found.heard, expected.heard))  # see UNHEARD
    assert found == expected, f"{found} instead of {expected}"


def _deviation(case: Case) -> Deviation | None:
    if case.name.startswith("at once: "):
        return Deviation(_LATE, case.expects, adds=(more(fin=True),))
    return DEVIATIONS.get(case.name)
