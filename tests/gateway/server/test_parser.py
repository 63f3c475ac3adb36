"""The parser finds what was sent, however the bytes are cut, and tells nobody but its caller."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picows import WSListener

from gateway.server.parser import PIECE_BYTES, Frame, FrameParser, Violation
from tests.gateway.server.hand import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

Found = tuple[int, bool, int, bytes]


class Keeper(WSListener):
    """Keeps every frame."""

    def __init__(self) -> None:
        self.frames: list[Found] = []

    def on_ws_frame(self, _: Any, frame: Frame) -> None:  # type: ignore[override]
        rsv = frame.rsv1 << 2 | frame.rsv2 << 1 | frame.rsv3
        self.frames.append((int(frame.msg_type), bool(frame.fin), rsv, frame.get_payload_as_bytes()))


def parse(*pieces: bytes, max_frame_bytes: int = 1 << 20) -> tuple[list[Found], Violation | None]:
    """What `pieces`, one after the other, come to."""

    async def main() -> tuple[list[Found], Violation | None]:
        keeper = Keeper()
        parser = FrameParser(keeper, max_frame_bytes)
        try:
            for piece in pieces:
                feed(parser, piece)
        except Violation as violation:
            return keeper.frames, violation
        return keeper.frames, None

    return asyncio.run(main())


def feed(parser: FrameParser, data: bytes) -> None:
    """Put `data` in, in as many turns as the parser wants."""
    while data:
        room = parser.buffer()
        assert 0 < len(room) <= PIECE_BYTES
        fits = min(len(room), len(data))
        room[:fits] = data[:fits]
        parser.feed(fits)
        data = data[fits:]


data_frames = st.tuples(
    st.sampled_from([TEXT, BINARY, CONTINUATION]),
    st.booleans(),
    st.integers(0, 7),
    st.binary(max_size=300) | st.integers(0, 70_000).map(bytes),
)
control_frames = st.tuples(
    st.sampled_from([PING, PONG]), st.just(True), st.integers(0, 7), st.binary(max_size=125)
)


@settings(max_examples=60)
@given(
    st.lists(data_frames | control_frames, max_size=6),
    st.lists(st.integers(1, 9_000), max_size=30),
    st.binary(min_size=4, max_size=4),
)
def test_what_was_sent_is_found(sent: list[Found], cuts: list[int], mask: bytes) -> None:
    """Any frames under any mask, cut anywhere."""
    data = b"".join(frame(opcode, payload, fin=fin, rsv=rsv, mask=mask) for opcode, fin, rsv, payload in sent)
    pieces = []
    for cut in cuts:
        pieces.append(data[:cut])
        data = data[cut:]
    found, violation = parse(*pieces, data)
    assert violation is None
    assert found == sent


def test_octet_by_octet() -> None:
    """Heads and payloads that come one byte at a time."""
    data = frame(TEXT, b"a" * 130) + frame(BINARY, bytes(66_000)) + frame(PING, b"p")
    found, violation = parse(*(data[n : n + 1] for n in range(len(data))))
    assert violation is None
    assert [len(payload) for *_, payload in found] == [130, 66_000, 1]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        *((frame(opcode, b"x"), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        (frame(TEXT, b"x", mask=None), 1002),
        (frame(PING, b"x", fin=False), 1002),
        (frame(CLOSE, b"", fin=False), 1002),
        (frame(PING, bytes(126)), 1002),
        (frame(CLOSE, b"\x03\xe8" + bytes(124)), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, (1000).to_bytes(2) + b"\xff"), 1007),
        (bytes((0x82, 0xFE, 0, 125)), 1002),
        (bytes((0x82, 0xFF)) + (65_535).to_bytes(8), 1002),
        (bytes((0x82, 0xFF)) + (1 << 63).to_bytes(8), 1002),
        (bytes((0x82, 0xFF)) + (1 << 62).to_bytes(8), 1009),
        (bytes((0x82, 0xFF)) + (1_000_001).to_bytes(8), 1009),
    ],
)
def test_a_violation_is_told_after_what_came_before(bad: bytes, code: int) -> None:
    """Also where both came at once; a header is enough to be told."""
    good = frame(BINARY, b"good")
    for pieces in ((good, bad), (good + bad,), (good, *(bad[n : n + 1] for n in range(len(bad))))):
        found, violation = parse(*pieces, max_frame_bytes=1_000_000)
        assert [payload for *_, payload in found][:1] == [b"good"]
        assert violation is not None
        assert violation.code == code
        assert violation.reason


def test_hostile_peers_don_t_write_our_log(caplog: pytest.LogCaptureFixture) -> None:
    """Nor do others: picows has something to say of every connection."""
    with caplog.at_level(logging.DEBUG):
        parse(frame(BINARY, b"x"), frame(5, b"x"))
    assert [record for record in caplog.records if record.name != "asyncio"] == []


@pytest.mark.parametrize("make", [lambda: frame(BINARY, bytes(3_200)), lambda: frame(CONTINUATION, b"")])
def test_the_buffer_follows_the_frames_and_not_the_stream(make: Callable[[], bytes]) -> None:
    """A megabyte sent as fast as it can be leaves a buffer of some frames, or of one piece."""

    async def main() -> None:
        parser = FrameParser(Keeper(), 1 << 18)
        one = make()
        feed(parser, one * ((1 << 20) // len(one)))
        room: memoryview = parser._picows.get_buffer(-1)
        assert len(room) <= 4 * PIECE_BYTES

    asyncio.run(main())
