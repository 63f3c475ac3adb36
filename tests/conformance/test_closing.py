"""The closing handshake: sections 5.5.1 and 7 (Autobahn's group 7)."""

import pytest

from tests.chaos.frames import NO_STATUS, Frame, Op, binary, close, frame, more, ping, text
from tests.conformance.deviations import check, violation
from tests.conformance.served import Case, Delivery, Lane, Outcome, Served, asks, audio

VIOLATION = Outcome(1002)
GOOD_CODES = (1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999)
"""Section 7.4 and IANA's registry, which has added 1012 to 1014."""
BAD_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)

_CODES = (
    *(Case(f"code {code}", (close(code),), Outcome(code)) for code in GOOD_CODES),
    *(Case(f"bad code {code}", (close(code),), VIOLATION) for code in BAD_CODES),
)
_PAYLOADS = (
    Case("no code", (close(None),), Outcome(NO_STATUS)),
    Case("half a code", (frame(Op.CLOSE, b"\x03"),), VIOLATION),
    Case("a reason", (close(1000, b"goodbye"),), Outcome(1000)),
    Case("a reason of 123 bytes", (close(1000, b"x" * 123),), Outcome(1000)),
    Case("a reason of 123 bytes in UTF-8", (close(1000, "é€".encode() * 24 + b"abc"),), Outcome(1000)),
    Case("a reason of 124 bytes", (close(1000, b"x" * 124),), VIOLATION),
    Case("a close in two fragments", (frame(Op.CLOSE, b"\x03\xe8", fin=False), more(fin=True)), VIOLATION),
)
_AFTERWARDS = (
    Case("a ping after the close", (close(1000), ping(b"late")), Outcome(1000)),
    Case("a text after the close", (close(1000), text(asks("late"))), Outcome(1000)),
    Case(
        "audio after the close",
        (binary(audio(100)), close(1000), binary(audio(100))),
        Outcome(1000, heard=100),
    ),
    Case("a second close", (close(1000), close(1001)), Outcome(1000)),
    Case("a violation after the close", (close(1000), frame(0x3)), Outcome(1000)),
    Case("garbage after the close", (close(1000), bytes(range(256))), Outcome(1000)),
    Case("a close after a violation", (frame(0x3), close(1000)), VIOLATION),
    Case(
        "messages before the close",
        (binary(audio(9)), ping(b"p"), close(4000)),
        Outcome(4000, (b"p",), heard=9),
    ),
)
CASES = (*_CODES, *_PAYLOADS, *_AFTERWARDS)


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_client_closes(served: Served, case: Case, delivery: Delivery) -> None:
    """A good close is answered with its code, a bad one with 1002; either way the server ends the connection,
    and hears nothing that comes after."""
    check(served, case, delivery)


def test_the_server_closes(served: Served) -> None:
    """After `end`: `summary`, then 1000; the connection ends with the client's answer, and not before."""
    peer, _ = served.dial()
    with peer:
        peer.send(binary(audio(480)))
        peer.control(type="end")
        assert peer.until("summary")["received_samples"] == 480
        last = peer.frame()
        assert last is not None
        assert (last.op, last.code) == (Op.CLOSE, 1000)
        peer.send(close(1000))
        assert peer.frame() is None


def test_what_crosses_the_servers_close_is_not_heard(served: Served) -> None:
    """A client that has not read the close yet may still talk (section 7.1.3). Only its pings are answered,
    which section 5.5.2 asks for until its own close has come; Hypercorn has left by then."""
    peer, session = served.dial()
    with peer:
        peer.control(type="end")
        while (one := peer.frame()) is not None and one.op is not Op.CLOSE:
            pass
        peer.send(text(asks("late")), ping(b"late"), binary(audio(100)), close(1000))
        if served.lane is not Lane.HYPERCORN:
            assert peer.frame() == Frame(Op.PONG, b"late")
        assert peer.frame() is None
    assert served.stats(session)["received_samples"] == 0


def test_a_server_that_fails_a_connection_answers_nothing_more(served: Served) -> None:
    """Section 7.1.7: what comes after the violation is not even looked at."""
    peer, _ = served.dial()
    with peer:
        peer.send(frame(0x3), ping(b"late"), text(asks("late")))
        assert peer.ending() == ([], violation(served.lane))


TORN = {
    "nothing": b"",
    "a frame's first byte": binary(audio(300))[:1],
    "a frame's length": binary(audio(300))[:3],
    "a frame": binary(audio(300))[:100],
    "a message": binary(audio(300), fin=False),
}


@pytest.mark.parametrize("torn", TORN.values(), ids=TORN)
def test_a_connection_that_just_ends_is_no_harm(served: Served, torn: bytes) -> None:
    """No close frame, in the middle of whatever it is. What was whole is heard, and the session can go on."""
    peer, session = served.dial()
    with peer:
        peer.send(binary(audio(200)), torn)
    for _ in range(500):
        stats = served.stats(session)
        if stats["status"] == "detached":
            break
    assert (stats["status"], stats["received_samples"]) == ("detached", 200)
