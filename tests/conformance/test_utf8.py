"""Text is UTF-8, to the last code point and as soon as it can be told: section 8.1 (Autobahn's group 6)."""

import pytest

from tests.chaos.frames import Op, close, frame, more, split, text
from tests.conformance.deviations import check
from tests.conformance.served import Case, Delivery, Outcome, Served, asks

INVALID = Outcome(1007)

_GOOD = {
    "Greek": "κόσμε",
    "two bytes, first": "\x80",
    "two bytes, last": "\u07ff",
    "three bytes, first": "\u0800",
    "three bytes, last": "\uffff",
    "four bytes, first": "\U00010000",
    "four bytes, last": "\U0010ffff",
    "before the surrogates": "\ud7ff",
    "after the surrogates": "\ue000",
    "replacement character": "\ufffd",
    "not a character": "\ufffe",
    "not a character of another plane": "\U0001fffe\U0001ffff",
    "byte order mark inside": "a\ufeffb",
    "emoji of many code points": "👩‍👩‍👧‍👦",
    "all lengths": "aé€😀",
}
"""Sections of Markus Kuhn's UTF-8 stress test that must pass."""
_BAD = {
    "a lone continuation byte": b"\x80",
    "the last continuation byte": b"\xbf",
    "six continuation bytes": b"\x80\xbf\x80\xbf\x80\xbf",
    "a start of two without its end": b"\xc3 ",
    "a start of three without its end": b"\xe2\x82 ",
    "a start of four without its end": b"\xf0\x9f\x98 ",
    "a start of five": b"\xf8\x88\x80\x80\x80",
    "a start of six": b"\xfc\x84\x80\x80\x80\x80",
    "FE": b"\xfe",
    "FF": b"\xff",
    "overlong slash in two": b"\xc0\xaf",
    "overlong slash in three": b"\xe0\x80\xaf",
    "overlong slash in four": b"\xf0\x80\x80\xaf",
    "overlong zero": b"\xc0\x80",
    "highest overlong of two": b"\xc1\xbf",
    "highest overlong of three": b"\xe0\x9f\xbf",
    "highest overlong of four": b"\xf0\x8f\xbf\xbf",
    "first surrogate": b"\xed\xa0\x80",
    "last surrogate": b"\xed\xbf\xbf",
    "a pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "beyond the last code point": b"\xf4\x90\x80\x80",
    "Latin-1": "é".encode("latin-1"),
    "UTF-16": "a".encode("utf-16"),
}
_CUT_OFF = (b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xce\xba\xe1\xbd\xb9\xcf")


def _around(wrong: bytes) -> bytes:
    """A control message with `wrong` in it, right but for that."""
    return b'{"type":"ping","t":"' + wrong + b'"}'


_WHOLE = tuple(
    Case(f"good: {name}", (text(asks(good)),), Outcome(said=(good,))) for name, good in _GOOD.items()
)
_SPLIT = tuple(
    Case(
        f"good, in fragments of {size}: {name}",
        split(Op.TEXT, asks(good).encode(), size),
        Outcome(said=(good,)),
    )
    for name, good in _GOOD.items()
    for size in (1, 3)
)
_WRONG = tuple(Case(f"bad: {name}", (text(_around(bad)),), INVALID) for name, bad in _BAD.items())
_WRONG_SPLIT = tuple(
    Case(f"bad, in fragments: {name}", split(Op.TEXT, _around(bad), 1), INVALID) for name, bad in _BAD.items()
)
_ENDS = tuple(Case(f"{end.hex()} at the end", (text(b"a" + end),), INVALID) for end in _CUT_OFF) + tuple(
    Case(f"{end.hex()} at the end, in fragments", (text(b"a" + end, fin=False), more(fin=True)), INVALID)
    for end in _CUT_OFF
)
_OTHERS = (
    Case(
        "bad text after good",
        (frame(Op.BINARY, b"heard"), text(b"\xff"), text(asks("b"))),
        Outcome(1007, heard=5),
    ),
    Case("bytes that are not UTF-8 as audio", (frame(Op.BINARY, b"\xff\xfe\xed\xa0\x80"),), Outcome(heard=5)),
    Case("a reason that is not UTF-8", (close(1000, b"\xff\xfe"),), INVALID),
    Case("a reason cut off", (close(1000, "é".encode()[:1]),), INVALID),
)
CASES = (*_WHOLE, *_SPLIT, *_WRONG, *_WRONG_SPLIT, *_ENDS, *_OTHERS)

FAIL_FAST = (
    *(
        Case(f"at once: {name}", (text(_around(bad)[:-2] + b" ", fin=False),), INVALID)
        for name, bad in _BAD.items()
    ),
    Case("at once: in a later fragment", (text("a", fin=False), more("b"), more(b"\xff")), INVALID),
    Case("at once: over two fragments", (text(b"\xe0", fin=False), more(b"\x9f")), INVALID),
    Case("at once: over three fragments", (text(b"\xed", fin=False), more(b"\xa0"), more(b"\x80")), INVALID),
    Case(
        "at once: beyond the last code point, over two fragments",
        (text(b"\xf4", fin=False), more(b"\x90")),
        INVALID,
    ),
)
"""The end of the message is never sent: section 8.1 asks for no more than failing, but a peer could hold back
the end for ever."""


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_text(served: Served, case: Case, delivery: Delivery) -> None:
    """Good text is understood, wherever it is cut; bad text ends the connection with 1007."""
    check(served, case, delivery)


@pytest.mark.parametrize("case", FAIL_FAST, ids=lambda case: case.name)
def test_bad_text_is_noticed_before_its_end(served: Served, case: Case) -> None:
    """The fragment that can't be part of UTF-8 any more is the last one heard."""
    check(served, case, Delivery.BY_FRAME)
