"""Pings and pongs: section 5.5 (Autobahn's group 2)."""

import pytest

from tests.chaos.frames import Form, Op, binary, frame, ping, pong, text
from tests.conformance.deviations import check
from tests.conformance.served import Case, Delivery, Outcome, Served, asks, audio

_TEN = tuple(f"ping {n}".encode() for n in range(10))

CASES = (
    Case("a ping without payload", (ping(),), Outcome(pongs=(b"",))),
    Case("a ping with text", (ping(b"hello"),), Outcome(pongs=(b"hello",))),
    Case(
        "a ping with any bytes",
        (ping(b"\x00\xff\xfe\xfd\xfc\xfb"),),
        Outcome(pongs=(b"\x00\xff\xfe\xfd\xfc\xfb",)),
    ),
    Case("a ping of 125 bytes", (ping(audio(125)),), Outcome(pongs=(audio(125),))),
    Case("a ping of 126 bytes", (ping(audio(126)),), Outcome(1002)),
    Case("a ping of 65,536 bytes", (ping(bytes(65_536)),), Outcome(1002)),
    Case("a ping's length in two bytes", (frame(Op.PING, b"a", form=Form.SIXTEEN_BITS),), Outcome(1002)),
    Case("a pong of 126 bytes", (pong(bytes(126)),), Outcome(1002)),
    Case(
        "a ping in two fragments",
        (frame(Op.PING, b"a", fin=False), frame(Op.CONTINUATION, b"b")),
        Outcome(1002),
    ),
    Case(
        "a pong in two fragments",
        (frame(Op.PONG, b"a", fin=False), frame(Op.CONTINUATION, b"b")),
        Outcome(1002),
    ),
    Case("a pong nobody asked for", (pong(),), Outcome()),
    Case("a pong with payload nobody asked for", (pong(b"unsolicited"),), Outcome()),
    Case("a pong nobody asked for, then a ping", (pong(b"no"), ping(b"yes")), Outcome(pongs=(b"yes",))),
    Case("ten pings", tuple(map(ping, _TEN)), Outcome(pongs=_TEN)),
    Case("ten pings of 125 bytes", (ping(audio(125)),) * 10, Outcome(pongs=(audio(125),) * 10)),
    Case(
        "pings between messages",
        (text(asks("a")), ping(b"1"), binary(audio(321)), ping(b"2"), text(asks("b"))),
        Outcome(pongs=(b"1", b"2"), said=("a", "b"), heard=321),
    ),
)


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_pings(served: Served, case: Case, delivery: Delivery) -> None:
    """Each ping has its pong, in order and with its payload; none may be long or in pieces."""
    check(served, case, delivery)
