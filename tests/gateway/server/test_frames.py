"""What the server sends is what an independent implementation would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from gateway.server import frames


@pytest.mark.parametrize(
    ("opcode", "size"),
    [
        *((frames.TEXT, size) for size in (0, 1, 125, 126, 127, 65_535, 65_536)),
        *((frames.BINARY, size) for size in (0, 1, 125, 126, 127, 65_535, 65_536)),
        *((control, size) for control in (frames.PING, frames.PONG) for size in (0, 1, 125)),
    ],
)
def test_frames_are_those_of_websockets(opcode: int, size: int) -> None:
    """Every form of the length."""
    payload = bytes(size)
    assert frames.encode(opcode, payload) == Frame(Opcode(opcode), payload).serialize(mask=False)


@given(st.integers(1000, 1003) | st.integers(3000, 4999), st.text(max_size=200))
def test_a_close_frame_can_be_read(code: int, reason: str) -> None:
    """A reason too long loses its end, never half a character, and the frame stays a control frame."""
    encoded = frames.encode_close(code, reason)
    assert len(encoded) - 2 == encoded[1] <= 125
    close = Close.parse(encoded[2:])
    assert close.code == code
    assert reason.startswith(close.reason)
    assert close.reason == reason or len(close.reason.encode()) > frames.MAX_REASON_BYTES - 4


def test_no_code_is_an_empty_frame() -> None:
    """RFC 6455 section 5.5.1: 1005 is never sent."""
    assert frames.encode_close(None) == b"\x88\x00"
