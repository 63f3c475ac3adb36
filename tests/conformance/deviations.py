"""Where other servers than ours do otherwise than the RFC or our own lane: stock uvicorn, with
`websockets-sansio`, and Hypercorn, with wsproto.

The suite holds them to these tables, so that an entry that no longer holds is seen. What stock uvicorn lacks
are budgets and deadlines; Hypercorn moreover keeps what a peer sends behind a message that is too large.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.chaos.frames import NO_CLOSE_FRAME, more
from tests.conformance.served import Case, Delivery, Lane, Outcome, Served


@dataclass(frozen=True, slots=True)
class Deviation:
    """What happens instead."""

    why: str
    outcome: Outcome
    adds: tuple[bytes, ...] = ()
    """What must be sent, too, before it shows."""
    waits: bool = False
    """Whether nothing happens: the server waits for more."""


_LENGTHS = "A length that is written longer than need be is taken; section 5.2 says that it must not be sent."
_TOP_BIT = "A length with its most significant bit set is too large (1009), not wrong (1002)."
_CLOSE_AMID = "A close between fragments is refused; sections 5.4 and 5.5.1 allow it."
_LATE = "Text is looked at when its message is whole; section 8.1 doesn't say when, only that."
_SILENT = "What breaks the RFC ends the connection without a close frame; section 7.1.7 would have one."
_UNCOUNTED = "Bytes are counted as they come, not as they are announced."
_UNKNOWN = "1014, which IANA's registry has added, is a wrong code."

UVICORN: Mapping[str, Deviation] = {
    **{
        f"a length of {size} in {form}": Deviation(_LENGTHS, Outcome(heard=size))
        for form, sizes in {"sixteen_bits": (0, 125), "sixty_four_bits": (0, 125, 126, 65_535)}.items()
        for size in sizes
    },
    "a ping's length in two bytes": Deviation(_LENGTHS, Outcome(pongs=(b"a",))),
    **{f"{size} bytes announced": Deviation(_TOP_BIT, Outcome(1009)) for size in (2**63, 2**64 - 1)},
    "a close between": Deviation(_CLOSE_AMID, Outcome(1002)),
}
"""By the case's name."""
HYPERCORN: Mapping[str, Deviation] = {
    **{
        f"{size} bytes announced": Deviation(_UNCOUNTED, Outcome(), waits=True)
        for size in (4 * 65_536 + 1, 2**31, 2**32 + 10, 2**63 - 1)
    },
    "code 1014": Deviation(_UNKNOWN, Outcome(NO_CLOSE_FRAME)),
}
"""By the case's name."""

_VIOLATIONS = (1002, 1007)

UNHEARD = "Messages that come in one segment with a violation go with it."
"""A deviation that is a matter of luck; it is allowed for in each case that ends the connection."""
LINGERING = "What comes behind a message that is too large is refused again; the connection may stay open."
"""The other one; it is allowed for under Hypercorn."""


def check(served: Served, case: Case, delivery: Delivery) -> None:
    """Send it and compare what happens with what should."""
    expected, sends, lives = case.expects, case.sends, case.expects.code is None
    deviation = _deviation(served.lane, case)
    if deviation is not None:
        expected, sends = deviation.outcome, (*sends, *deviation.adds)
        lives = expected.code is None and not deviation.waits
    lingers = served.lane is Lane.HYPERCORN and expected.code == 1009  # see LINGERING
    found = served.outcome(delivery.cut(sends), lives=lives, lingers=lingers)
    if served.lane is not Lane.FAST and expected.code is not None:
        expected = replace(expected, heard=min(found.heard, expected.heard))  # see UNHEARD
    assert found == expected, f"{found} instead of {expected}"


def violation(lane: Lane) -> int:
    """How a connection ends that breaks the RFC."""
    return NO_CLOSE_FRAME if lane is Lane.HYPERCORN else 1002  # see _SILENT


def _deviation(lane: Lane, case: Case) -> Deviation | None:
    match lane:
        case Lane.FAST:
            return None
        case Lane.PORTABLE if case.name.startswith("at once: "):
            return Deviation(_LATE, case.expects, adds=(more(fin=True),))
        case Lane.PORTABLE:
            return UVICORN.get(case.name)
        case Lane.HYPERCORN if case.expects.code in _VIOLATIONS and not case.name.startswith("code "):
            return Deviation(_SILENT, replace(case.expects, code=NO_CLOSE_FRAME))
        case Lane.HYPERCORN:
            return HYPERCORN.get(case.name)
