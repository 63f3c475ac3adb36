"""The parser finds what was sent, however the bytes are cut, and tells nobody but its caller."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.server.parser import PIECE_BYTES, RECEIVED, FrameParser, Violation
from tests.gateway.server.hand import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

Found = tuple[int, bool, int, bytes]


class Keeper:
    """Keeps every frame, and wants `most`."""

    def __init__(self, most: int | None = None) -> None:
        self.frames: list[Found] = []
        self.most = most

    def take_frame(self, head: int, payload: bytes) -> bool:
        self.frames.append((head & 0x0F, bool(head & 0x80), head >> 4 & 7, payload))
        return len(self.frames) != self.most


def parse(
    *pieces: bytes, max_frame_bytes: int = 1 << 20, most: int | None = None
) -> tuple[list[Found], Violation | None]:
    """What `pieces`, one after the other, come to."""
    keeper = Keeper(most)
    parser = FrameParser(keeper, max_frame_bytes)
    try:
        for piece in pieces:
            feed(parser, piece)
    except Violation as violation:
        return keeper.frames, violation
    return keeper.frames, None


def feed(parser: FrameParser, data: bytes) -> None:
    """Put `data` in, in as many turns as it takes."""
    while data:
        fits = min(PIECE_BYTES, len(data))
        RECEIVED[:fits] = data[:fits]
        parser.feed(fits)
        RECEIVED[:fits] = b"?" * fits  # as another connection would
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


def test_nothing_is_looked_at_that_nobody_wants() -> None:
    """Not even where it is a violation."""
    found, violation = parse(frame(BINARY, b"a") + frame(CLOSE, b"") + frame(5, b"x"), most=2)
    assert violation is None
    assert [opcode for opcode, *_ in found] == [BINARY, CLOSE]


def test_a_connection_keeps_only_what_is_left_of_a_frame() -> None:
    """However much was sent, and however it was cut; nothing between frames."""
    parser = FrameParser(Keeper(), 1 << 18)
    stream = frame(BINARY, bytes(3_200)) * 300
    for at in range(0, len(stream), 1_448):
        feed(parser, stream[at : at + 1_448])
        assert parser.kept < 3_200 + 8
    assert parser.kept == 0


def test_frames_of_connections_that_are_read_in_turns_stay_apart() -> None:
    """They share the buffer that they are read into."""
    keepers = [Keeper() for _ in range(3)]
    parsers = [FrameParser(keeper, 1 << 18) for keeper in keepers]
    streams = [frame(BINARY, bytes([n]) * 3_000) * 3 for n in range(3)]
    for at in range(0, len(streams[0]), 700):
        for parser, stream in zip(parsers, streams, strict=True):
            feed(parser, stream[at : at + 700])
    for n, keeper in enumerate(keepers):
        assert [payload for *_, payload in keeper.frames] == [bytes([n]) * 3_000] * 3
