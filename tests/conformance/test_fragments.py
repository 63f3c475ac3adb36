"""Messages in fragments: section 5.4 (Autobahn's groups 5 and 10)."""

import pytest

from tests.chaos.frames import Op, binary, close, frame, more, ping, pong, split, text
from tests.conformance.deviations import check
from tests.conformance.served import Case, Delivery, Outcome, Served, asks, asks_in, audio

VIOLATION = Outcome(1002)
_ASKS = asks("fragments").encode()
_SAID = Outcome(said=("fragments",))
_ALL = audio(65_536)

_WHOLE = (
    Case("a text in two", split(Op.TEXT, _ASKS, 20), _SAID),
    Case("a text in single bytes", split(Op.TEXT, _ASKS, 1), _SAID),
    Case("an empty fragment first", (text("", fin=False), more(_ASKS, fin=True)), _SAID),
    Case("an empty fragment last", (text(_ASKS, fin=False), more(fin=True)), _SAID),
    Case(
        "empty fragments between",
        (text(_ASKS[:9], fin=False), more(), more(), more(_ASKS[9:], fin=True)),
        _SAID,
    ),
    Case(
        "a text of three empty fragments",
        (text("", fin=False), more(), more(fin=True)),
        Outcome(said=("malformed_message",)),
    ),
    Case("audio of three empty fragments", (binary(b"", fin=False), more(), more(fin=True)), Outcome()),
    Case(
        "audio in a fragment amid empty ones",
        (binary(b"", fin=False), more(audio(9)), more(fin=True)),
        Outcome(heard=9),
    ),
    Case("audio in single bytes", split(Op.BINARY, audio(500), 1), Outcome(heard=500)),
    *(
        Case(f"64 KiB in fragments of {size} bytes", split(Op.BINARY, _ALL, size), Outcome(heard=len(_ALL)))
        for size in (64, 159, 160, 256, 1_300, 4_096, 16_384, 65_535)
    ),
    Case(
        "a text of 16 KiB in fragments",
        split(Op.TEXT, asks_in(16_384).encode(), 1_000),
        Outcome(said=("16384",)),
    ),
)
_LIMITS = (
    Case(
        "fragments too large together",
        split(Op.BINARY, bytes(65_537), 16_384),
        Outcome(1009, said=("message_too_large",)),
    ),
    Case("fragments far too large together", split(Op.BINARY, bytes(4 * 65_536 + 1), 65_536), Outcome(1009)),
    Case(
        "fragments that never end",
        (binary(bytes(65_536), fin=False), *(more(bytes(65_536)) for _ in range(4))),
        Outcome(1009),
    ),
)
_CONTROL_BETWEEN = (
    Case(
        "a ping between",
        (text(_ASKS[:9], fin=False), ping(b"p"), more(_ASKS[9:], fin=True)),
        Outcome(pongs=(b"p",), said=("fragments",)),
    ),
    Case(
        "pings and pongs between all",
        (
            text(_ASKS[:9], fin=False),
            ping(b"1"),
            pong(),
            more(_ASKS[9:12]),
            ping(b"2"),
            pong(b"x"),
            more(_ASKS[12:], fin=True),
        ),
        Outcome(pongs=(b"1", b"2"), said=("fragments",)),
    ),
    Case(
        "a ping amid audio",
        (binary(audio(7), fin=False), ping(b"p"), more(audio(6), fin=True)),
        Outcome(pongs=(b"p",), heard=13),
    ),
    Case(
        "a close between", (binary(audio(7), fin=False), close(1000), more(audio(6), fin=True)), Outcome(1000)
    ),
)
_OUT_OF_ORDER = (
    Case("a continuation of nothing", (more("a"),), VIOLATION),
    Case("a last continuation of nothing", (more("a", fin=True),), VIOLATION),
    Case("an empty continuation of nothing", (more(fin=True),), VIOLATION),
    Case(
        "a continuation after a whole message",
        (binary(audio(9)), more("a", fin=True)),
        Outcome(1002, heard=9),
    ),
    Case(
        "a continuation after the last fragment",
        (*split(Op.BINARY, audio(500), 200), more(audio(9), fin=True)),
        Outcome(1002, heard=500),
    ),
    Case("a text inside a text", (text(_ASKS[:9], fin=False), text(_ASKS)), VIOLATION),
    Case("the first fragment twice", (text(_ASKS[:9], fin=False), text(_ASKS[9:], fin=False)), VIOLATION),
    Case("audio inside a text", (text(_ASKS[:9], fin=False), binary(audio(320))), VIOLATION),
    Case("audio inside audio", (binary(audio(320), fin=False), binary(audio(320))), VIOLATION),
    Case("a text inside audio", (binary(audio(320), fin=False), text(_ASKS)), VIOLATION),
    Case(
        "a text inside a text, after a ping",
        (text(_ASKS[:9], fin=False), ping(b"p"), text(_ASKS)),
        Outcome(1002, pongs=(b"p",)),
    ),
    Case(
        "a reserved opcode inside a text", (text(_ASKS[:9], fin=False), frame(0x3), more(fin=True)), VIOLATION
    ),
)
CASES = (*_WHOLE, *_LIMITS, *_CONTROL_BETWEEN, *_OUT_OF_ORDER)


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fragments(served: Served, case: Case, delivery: Delivery) -> None:
    """They are put together, control frames between them or not; what is out of order ends the connection."""
    check(served, case, delivery)
