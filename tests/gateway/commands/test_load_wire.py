"""The cheap WebSocket of the load tool: whole messages out of any cut of the bytes, and nothing but them."""

import asyncio
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.commands.load_session import SUBPROTOCOL, Load, LoadSession
from gateway.commands.load_stats import Tally
from gateway.commands.load_wire import FrameError, FrameReader, ready_made, text_message

_FRAMES = st.lists(
    st.one_of(
        st.tuples(st.just(Opcode.BINARY), st.binary(max_size=300)),
        st.tuples(
            st.just(Opcode.BINARY), st.sampled_from([bytes(size) for size in (125, 126, 65_535, 65_536)])
        ),
        st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG, Opcode.CLOSE]), st.binary(max_size=125)),
    ),
    max_size=8,
)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """`data` in pieces."""
    places = [0, *sorted(one % (len(data) + 1) for one in at), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


@given(_FRAMES, st.lists(st.integers(0, 1 << 20), max_size=20))
def test_any_cut_gives_the_same_frames(frames: list[tuple[Opcode, bytes]], at: list[int]) -> None:
    """However reads fall, the frames are those that were sent."""
    data = b"".join(Frame(opcode, payload).serialize(mask=False) for opcode, payload in frames)
    reader = FrameReader()
    found = [one for piece in cut(data, at) for one in reader.feed(piece)]
    assert found == [(0x80 | opcode, payload) for opcode, payload in frames]


def test_byte_by_byte() -> None:
    """The smallest reads there are."""
    data = b"".join(Frame(Opcode.BINARY, bytes(size)).serialize(mask=False) for size in (0, 125, 126, 700))
    reader = FrameReader()
    found = [len(payload) for one in data for _, payload in reader.feed(bytes([one]))]
    assert found == [0, 125, 126, 700]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(ready_made(b"x"), "a masked frame came", id="masked"),
        (Frame(Opcode.BINARY, b"x", fin=False).serialize(mask=False), "begins with 0x02"),
        (Frame(Opcode.CONT, b"x").serialize(mask=False), "begins with 0x80"),
        (b"\xc2\x01x", "begins with 0xc2"),
        (b"\x82\x7f" + (1 << 40).to_bytes(8, "big"), "a frame of 1,099,511,627,776 bytes came"),
        (b"\x89\x7e\x00\x80", "a frame of 128 bytes came"),
    ],
)
def test_what_no_gateway_sends_is_refused(data: bytes, told: str) -> None:
    """Masked, fragmented, compressed and huge frames are a failure with a name."""
    with pytest.raises(FrameError, match=told):
        list(FrameReader().feed(data))


class Transport(asyncio.Transport):
    """What is written, and whether it was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.written += b"".join(list_of_data)

    def abort(self) -> None:
        self.aborted = True


class Opened:
    """A session and the server it talks to, without a socket."""

    def __init__(self, count: int = 1) -> None:
        self.tally, self.over = Tally(sessions=1), list[LoadSession]()
        load = Load(
            url="ws://h/ws/voice",
            frames=[ready_made(bytes(320))],
            frame_samples=160,
            sample_rate=1_600,
            tally=self.tally,
            now=lambda: 10.2,
            on_done=self.over.append,
        )
        self.session = LoadSession(load, first=0, count=count)
        self.transport: Any = Transport()
        self.server = ServerProtocol(subprotocols=[Subprotocol(SUBPROTOCOL)])
        self.session.connection_made(self.transport)

    def handshake(self) -> bytes:
        """The server's answer."""
        self.server.receive_data(bytes(self.transport.written))
        self.transport.written.clear()
        request = self.server.events_received()[0]
        assert isinstance(request, Request)
        self.server.send_response(self.server.accept(request))
        return b"".join(self.server.data_to_send())

    def sent(self) -> list[Any]:
        """What the session wrote since."""
        self.server.receive_data(bytes(self.transport.written))
        self.transport.written.clear()
        return self.server.events_received()


def event(kind: str, **fields: Any) -> bytes:
    """An event's frame."""
    return Frame(Opcode.BINARY, msgpack.packb({"type": kind, **fields})).serialize(mask=False)


@given(st.lists(st.integers(0, 1 << 16), max_size=12))
def test_any_cut_of_the_whole_stream_gives_the_same_events(at: list[int]) -> None:
    """The handshake's answer, events and the close frame may share reads or be split anywhere."""
    opened = Opened()
    data = opened.handshake() + event("welcome", session_id="s1")
    data += b"".join(event("tone", seq=seq, end_sample=160) for seq in range(1, 40))
    data += event("summary", seq=40, next_sample=0, classified_samples=0, gap_samples=0)
    for piece in cut(data + Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=False), at):
        opened.session.data_received(piece)
    opened.session.connection_lost(None)
    assert opened.tally.events == {"welcome": 1, "tone": 39, "summary": 1}
    assert opened.tally.closes == {1000: 1}


def test_latency_runs_from_the_moment_the_last_sample_was_due() -> None:
    """That the frame was due at 10.1 counts, not when it was sent."""
    opened = Opened()
    opened.session.data_received(opened.handshake() + event("welcome", session_id="s1"))
    assert opened.session.beat(10.1)
    opened.session.data_received(event("tone", seq=1, end_sample=160))
    latency = opened.tally.latency("tone")
    assert latency is not None
    assert latency.p50 == pytest.approx(100, rel=0.001)


def test_pings_and_closes_are_answered() -> None:
    """A ping gets a pong with its payload; a close is echoed with its code."""
    opened = Opened()
    opened.session.data_received(opened.handshake() + Frame(Opcode.PING, b"abc").serialize(mask=False))
    [pong] = opened.sent()
    assert (pong.opcode, pong.data) == (Opcode.PONG, b"abc")
    opened.session.data_received(Frame(Opcode.CLOSE, Close(4100, "later").serialize()).serialize(mask=False))
    [echo] = opened.sent()
    assert (echo.opcode, Close.parse(echo.data).code) == (Opcode.CLOSE, 4100)
    opened.session.connection_lost(None)
    assert opened.tally.failures == {"closed with 4100, no summary": 1}


def test_a_close_without_a_code_is_answered() -> None:
    """It counts as 1005."""
    opened = Opened()
    opened.session.data_received(opened.handshake() + Frame(Opcode.CLOSE, b"").serialize(mask=False))
    opened.session.connection_lost(None)
    assert opened.tally.closes == {1005: 1}


def test_a_text_message_is_a_failure() -> None:
    """Binary messages were agreed on."""
    opened = Opened()
    opened.session.data_received(opened.handshake() + Frame(Opcode.TEXT, b"{}").serialize(mask=False))
    assert opened.transport.aborted
    assert opened.tally.failures == {"a text message came, where binary ones were agreed on": 1}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno", "not opened: HTTP 503"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "not opened: HTTP 101"),
        (b"SSH-2.0-x\r\n\r\n", "not opened: no HTTP"),
    ],
)
def test_a_refused_handshake_says_how(answer: bytes, told: str) -> None:
    """The status is the reason, whatever follows it."""
    opened = Opened()
    opened.session.data_received(answer)
    assert opened.tally.failures == {told: 1}
    assert opened.over == [opened.session]


def test_the_end_is_a_text_message() -> None:
    """After the last frame the session says `end`, masked as a client must."""
    opened = Opened(count=2)
    opened.session.data_received(opened.handshake() + event("welcome", session_id="s1"))
    assert [opened.session.beat(at) for at in (10.1, 10.2, 10.3)] == [True, True, False]
    assert [one.opcode for one in opened.sent()] == [Opcode.BINARY, Opcode.BINARY, Opcode.TEXT]
    assert text_message("x")[1] & 0x80


def test_events_left_out_and_repeated_fail_the_session() -> None:
    """Durable events are numbered without a hole; what is missing or comes twice is counted."""
    opened = Opened(count=1)
    opened.session.data_received(opened.handshake() + event("welcome", session_id="s1"))
    for at in (10.1, 10.2):
        opened.session.beat(at)
    for seq in (1, 4, 4):
        opened.session.data_received(event("tone", seq=seq, end_sample=160))
    summary = event("summary", seq=5, next_sample=160, classified_samples=160, gap_samples=0)
    opened.session.data_received(summary)
    opened.session.connection_lost(None)
    assert (opened.tally.missed, opened.tally.repeated, opened.tally.events["tone"]) == (2, 1, 2)
    assert opened.tally.failures == {"events were missed, and nobody said so": 1}
