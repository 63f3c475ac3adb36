"""Lengths, opcodes, reserved bits and masks of single frames: sections 5.2 and 5.3 (Autobahn 1, 3, 4)."""

import pytest

from tests.chaos.frames import Form, Op, binary, frame, ping, text
from tests.conformance.deviations import check
from tests.conformance.served import Case, Delivery, Outcome, Served, asks, asks_in, audio

VIOLATION = Outcome(1002)
LENGTHS = (0, 1, 125, 126, 127, 128, 65_535, 65_536)

_BINARIES = tuple(
    Case(f"a binary message of {size} bytes", (binary(audio(size)),), Outcome(heard=size)) for size in LENGTHS
)
_TEXTS = tuple(
    Case(f"a text of {size} bytes", (text(asks_in(size)),), Outcome(said=(str(size),)))
    for size in (125, 126, 127, 128, 16_384)
)
_LIMITS = (
    Case("an empty text", (text(""),), Outcome(said=("malformed_message",))),
    Case("a text over the control limit", (text(asks_in(16_385)),), Outcome(said=("message_too_large",))),
    Case(
        "a text of all that a message may have",
        (text(asks_in(65_536)),),
        Outcome(said=("message_too_large",)),
    ),
    Case("a text too large", (text(asks_in(65_537)),), Outcome(1009, said=("message_too_large",))),
    Case("a binary message too large", (binary(bytes(65_537)),), Outcome(1009, said=("message_too_large",))),
    Case("a binary message far too large", (binary(bytes(4 * 65_536 + 1)),), Outcome(1009)),
    Case(
        "audio before a message too large",
        (binary(audio(100)), binary(bytes(65_537))),
        Outcome(1009, said=("message_too_large",), heard=100),
    ),
)
_ANNOUNCED = tuple(
    Case(
        f"{size} bytes announced",
        (frame(Op.BINARY, audio(10), form=Form.SIXTY_FOUR_BITS, announces=size),),
        end,
    )
    for size, end in (
        (4 * 65_536 + 1, Outcome(1009)),
        (2**31, Outcome(1009)),
        (2**32 + 10, Outcome(1009)),
        (2**63 - 1, Outcome(1009)),
        (2**63, VIOLATION),  # "the most significant bit MUST be 0"
        (2**64 - 1, VIOLATION),
    )
)
_NOT_MINIMAL = tuple(
    Case(f"a length of {size} in {form.name.lower()}", (frame(Op.BINARY, audio(size), form=form),), VIOLATION)
    for size, form in (
        (0, Form.SIXTEEN_BITS),
        (125, Form.SIXTEEN_BITS),
        (0, Form.SIXTY_FOUR_BITS),
        (125, Form.SIXTY_FOUR_BITS),
        (126, Form.SIXTY_FOUR_BITS),
        (65_535, Form.SIXTY_FOUR_BITS),
    )
)
_RESERVED_BITS = tuple(
    Case(f"{op.name.lower()} with reserved bits {rsv:03b}", (frame(op, b"", rsv=rsv),), VIOLATION)
    for op in (Op.TEXT, Op.BINARY, Op.PING, Op.PONG, Op.CLOSE)
    for rsv in (0b100, 0b010, 0b001, 0b111)
)
_LATER_BITS = (
    Case(
        "reserved bits after good messages",
        (binary(audio(320)), binary(audio(320)), frame(Op.BINARY, audio(320), rsv=0b100)),
        Outcome(1002, heard=640),
    ),
    Case(
        "reserved bits in a continuation",
        (binary(audio(320), fin=False), frame(Op.CONTINUATION, audio(320), rsv=0b010)),
        VIOLATION,
    ),
)
_RESERVED_OPCODES = tuple(
    Case(f"opcode {op:X}, {what}", (binary(audio(9)), frame(op, payload), ping()), Outcome(1002, heard=9))
    for op in (*range(0x3, 0x8), *range(0xB, 0x10))
    for what, payload in (("empty", b""), ("with a payload", b"reserved"))
)
_MASKS = (
    Case("a mask of zeros", (frame(Op.TEXT, asks("a").encode(), mask=bytes(4)),), Outcome(said=("a",))),
    Case("a mask of ones", (frame(Op.TEXT, asks("a").encode(), mask=b"\xff" * 4),), Outcome(said=("a",))),
    Case(
        "another mask with each frame",
        tuple(frame(Op.TEXT, asks(str(n)).encode(), mask=bytes((n, 255 - n, 7, n))) for n in range(5)),
        Outcome(said=("0", "1", "2", "3", "4")),
    ),
    *(
        Case(f"{op.name.lower()} without a mask", (frame(op, payload, mask=None),), VIOLATION)
        for op, payload in (
            (Op.TEXT, asks("a").encode()),
            (Op.BINARY, audio(320)),
            (Op.PING, b""),
            (Op.PONG, b""),
            (Op.CLOSE, b"\x03\xe8"),
        )
    ),
)

CASES = (
    *_BINARIES,
    *_TEXTS,
    *_LIMITS,
    *_ANNOUNCED,
    *_NOT_MINIMAL,
    *_RESERVED_BITS,
    *_LATER_BITS,
    *_RESERVED_OPCODES,
    *_MASKS,
)


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_single_frames(served: Served, case: Case, delivery: Delivery) -> None:
    """Whole ones are heard, whatever their length; wrong ones end the connection with the RFC's code."""
    check(served, case, delivery)
