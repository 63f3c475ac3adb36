"""From frames to messages, in order, whole and within budgets."""

import logging
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Close

from gateway.server.lane import HELD_BYTES, HELD_MESSAGES, Lane
from gateway.server.parser import RECEIVED, Violation
from tests.gateway.server.hand import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

MAX_BYTES = 4_096


class Probe:
    """A lane, and all that it told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.messages: list[bytes | str] = []
        self.facts: list[object] = []
        self.lane = Lane(self, MAX_BYTES, lambda: self.now)
        self.lane.start()

    def listen(self) -> "Probe":
        self.lane.listen(self.messages.append, lambda detail: self.facts.append(("told", detail)))
        return self

    def arrive(self, *frames: bytes) -> None:
        """Everything at once, in the lane's pieces."""
        data = b"".join(frames)
        while data and not self.lane.stopped:
            fits = min(len(RECEIVED), len(data))
            RECEIVED[:fits] = data[:fits]
            self.lane.feed(fits)
            data = data[fits:]

    def held(self) -> None:
        pass

    def pinged(self, payload: bytes) -> None:
        self.facts.append(("ping", payload))

    def ponged(self, payload: bytes) -> None:
        self.facts.append(("pong", payload))

    def closed(self, close: Close) -> None:
        self.facts.append(("close", close.code, close.reason))

    def violated(self, violation: Violation) -> None:
        self.facts.append(("violation", violation.code))

    def failed(self) -> None:
        self.facts.append("failed")

    def flooded(self, detail: str, *, tellable: bool) -> None:
        self.facts.append(("flood", tellable))

    def aborted(self) -> None:
        self.facts.append("aborted")

    clogged = False

    def said(self, messages: Sequence[bytes | str]) -> None:
        self.facts.append(("said", *messages))


def run(steps: Callable[[Probe], None]) -> Probe:
    """A lane after `steps`."""
    probe = Probe()
    steps(probe)
    return probe


def heard(*frames: bytes) -> Probe:
    """What a listener and the connection are told of `frames`."""
    return run(lambda probe: probe.listen().arrive(*frames))


messages = st.lists(st.text(max_size=60) | st.binary(max_size=400), max_size=8)


@settings(max_examples=60)
@given(messages, st.data())
def test_messages_arrive_whole_and_in_order(sent: list[bytes | str], data: st.DataObject) -> None:
    """Text and audio, fragmented anywhere (within a character, too), with pings in between."""
    wire = []
    for message in sent:
        raw = message.encode() if isinstance(message, str) else message
        cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=3)))
        parts = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
        for n, part in enumerate(parts):
            first = TEXT if isinstance(message, str) else BINARY
            wire.append(frame(CONTINUATION if n else first, part, fin=n == len(parts) - 1))
            wire.append(frame(PING, b"between"))
    probe = heard(*wire)
    assert probe.messages == sent
    assert set(probe.facts) <= {("ping", b"between")}


@pytest.mark.parametrize(
    "frames",
    [
        (frame(CONTINUATION, b"x"),),
        (frame(CONTINUATION, b"x", fin=False),),
        (frame(BINARY, b"x"), frame(CONTINUATION, b"x")),
        (frame(TEXT, b"x", fin=False), frame(TEXT, b"x")),
        (frame(BINARY, b"x", fin=False), frame(BINARY, bytes(200))),
        (frame(BINARY, bytes(200), rsv=4),),
        (frame(BINARY, bytes(200), rsv=2),),
        (frame(TEXT, b"x", rsv=1),),
        (frame(PING, b"x", rsv=4),),
        (frame(CLOSE, b"", rsv=1),),
    ],
)
def test_broken_sequences_and_reserved_bits(frames: tuple[bytes, ...]) -> None:
    """RFC 6455 sections 5.2 and 5.4: 1002, and nothing after it is looked at."""
    probe = heard(*frames, frame(BINARY, b"after"), frame(CLOSE, b""))
    assert probe.facts == [("violation", 1002)]
    assert b"after" not in probe.messages


@pytest.mark.parametrize(
    "parts",
    [
        (b"\xff",),
        (b"\xed\xa0\x80",),
        (b"\xf4\x90\x80\x80",),
        (b"\xc0\xaf",),
        (b"ok\xce",),
        (b"\xce", b""),
        (b"\xce", b"\xbaok", b"\x80"),
    ],
)
def test_text_that_is_not_utf8(parts: tuple[bytes, ...]) -> None:
    """1007: surrogates, beyond Unicode, overlong, cut short."""
    wire = [frame(CONTINUATION if n else TEXT, part, fin=n == len(parts) - 1) for n, part in enumerate(parts)]
    assert heard(*wire).facts == [("violation", 1007)]


def test_bad_text_is_refused_before_its_end() -> None:
    """A byte that can't be continued is as bad in the first fragment."""
    assert heard(frame(TEXT, b"\xce\xbaa\xff", fin=False)).facts == [("violation", 1007)]
    assert heard(frame(TEXT, b"a\xce", fin=False)).facts == []


@pytest.mark.parametrize("fragments", [(MAX_BYTES + 1,), (MAX_BYTES, 1), (3_000, 0, 1_097)])
def test_a_message_over_the_limit(fragments: tuple[int, ...]) -> None:
    """1009, whole or in fragments; a message of exactly the limit is heard."""
    last = len(fragments) - 1
    wire = [
        frame(CONTINUATION if n else BINARY, bytes(size), fin=n == last) for n, size in enumerate(fragments)
    ]
    assert heard(*wire).facts == [("violation", 1009)]
    assert heard(frame(BINARY, bytes(MAX_BYTES))).messages == [bytes(MAX_BYTES)]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
def test_close_codes_that_must_not_be_sent(code: int) -> None:
    """RFC 6455 section 7.4."""
    assert heard(frame(CLOSE, code.to_bytes(2))).facts == [("violation", 1002)]


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999])
def test_close_codes_that_may(code: int) -> None:
    """With a reason of the full length; what comes after a close frame is nothing."""
    reason = "é" * 61
    probe = heard(frame(CLOSE, code.to_bytes(2) + reason.encode()), frame(BINARY, b"x"), b"\xff\xff")
    assert probe.facts == [("close", code, reason)]
    assert probe.messages == []


def test_a_close_without_a_code() -> None:
    """1005 stands for it, also within a fragmented message."""
    assert heard(frame(BINARY, b"x", fin=False), frame(CLOSE)).facts == [("close", 1005, "")]


def test_what_came_before_the_listener_is_heard_first() -> None:
    """In order, and only once."""

    def steps(probe: Probe) -> None:
        probe.arrive(frame(TEXT, b"1"), frame(BINARY, b"2"))
        probe.listen()
        probe.arrive(frame(TEXT, b"3"))
        assert probe.lane.take() is None

    assert run(steps).messages == ["1", b"2", "3"]


@pytest.mark.parametrize(("count", "size"), [(HELD_MESSAGES, 1), (HELD_BYTES // 4_096, 4_096)])
def test_who_doesn_t_listen_is_not_talked_to_for_ever(count: int, size: int) -> None:
    """Up to either bound all is kept; beyond it is a flood."""

    def steps(probe: Probe) -> None:
        probe.arrive(*[frame(BINARY, bytes(size))] * count)
        assert probe.facts == []
        probe.arrive(frame(BINARY, b"x"))
        assert probe.facts == [("flood", True)]
        assert probe.lane.stopped
        probe.listen()
        assert len(probe.messages) == count
        assert [fact[0] for fact in probe.facts if isinstance(fact, tuple)] == ["flood", "told"]

    run(steps)


def test_an_application_that_reads_through_asgi_can_t_be_told_of_a_flood() -> None:
    """There is no such message."""

    def steps(probe: Probe) -> None:
        probe.lane.take()
        probe.arrive(frame(PING) * 101)
        assert probe.facts[-1] == ("flood", False)

    run(steps)


def test_a_reading_application_holds_the_peer_back_instead() -> None:
    """Once it takes messages, too many of them are no flood; the connection stops reading."""

    def steps(probe: Probe) -> None:
        assert probe.lane.take() is None
        probe.arrive(*[frame(BINARY, bytes([n])) for n in range(HELD_MESSAGES + 10)])
        assert probe.lane.is_full()
        assert [probe.lane.take() for _ in range(HELD_MESSAGES + 10)] == [
            bytes([n]) for n in range(HELD_MESSAGES + 10)
        ]
        assert not probe.lane.is_full()
        assert probe.facts == []

    run(steps)


@pytest.mark.parametrize(
    ("flood", "most"),
    [
        (frame(CONTINUATION, b"", fin=False), 2_000),
        (frame(BINARY, b"x"), 2_000),
        (frame(PING, b""), 100),
        (frame(PONG, b"x"), 100),
        (frame(TEXT, b"{}"), 1_000),
        (frame(TEXT, b"x" * 4_000), 65),
    ],
)
def test_floods_are_stopped_at_their_burst(flood: bytes, most: int) -> None:
    """What counts is the number of frames; told once, and nothing is heard after it."""

    def steps(probe: Probe) -> None:
        probe.listen()
        begin = frame(BINARY, b"", fin=False) if flood[0] & 0x0F == CONTINUATION else b""
        probe.arrive(begin, flood * 10_000)
        calls = [fact for fact in probe.facts if isinstance(fact, tuple) and fact[0] in ("ping", "pong")]
        assert len(probe.messages) + len(calls) <= most
        assert ("flood", True) in probe.facts
        assert isinstance(probe.facts[-1], tuple)
        assert probe.facts[-1][0] == "told"
        before = len(probe.facts)
        probe.arrive(flood)
        probe.lane.feed(10)
        assert len(probe.facts) == before

    run(steps)


def test_a_deaf_lane_hears_pings_and_the_close() -> None:
    """Messages are dropped, half ones too, and too many of them are a flood, whatever their size."""

    def steps(probe: Probe) -> None:
        probe.listen()
        probe.arrive(frame(BINARY, b"half", fin=False))
        probe.lane.deafen()
        probe.arrive(frame(CONTINUATION, b"x"), frame(BINARY, bytes(200)), frame(TEXT, b"x"))
        probe.arrive(frame(PING, b"p"), frame(PONG, b"q"), frame(CLOSE))
        assert probe.messages == []
        assert probe.facts == [("ping", b"p"), ("pong", b"q"), ("close", 1005, "")]

    run(steps)

    def flood(probe: Probe) -> None:
        probe.listen().lane.deafen()
        probe.arrive(frame(BINARY, bytes(200)) * 2_001)
        assert ("flood", True) in probe.facts

    run(flood)

    def stream(probe: Probe) -> None:
        probe.listen().lane.deafen()
        for n in range(1_100):
            probe.lane.deafen()
            probe.arrive(frame(BINARY, bytes(MAX_BYTES)))
            assert (("flood", True) in probe.facts) == (n >= 1_022)

    run(stream)


def test_a_listener_may_end_it_while_it_is_called() -> None:
    """What is held, or in the same bytes, behind the message that ended it is not heard."""

    def steps(probe: Probe) -> None:
        def sink(message: bytes | str) -> None:
            probe.messages.append(message)
            probe.lane.deafen()

        probe.arrive(frame(BINARY, b"1"), frame(BINARY, b"2"))
        probe.lane.listen(sink, lambda _: None)
        probe.arrive(frame(BINARY, bytes(200)))

    assert run(steps).messages == [b"1"]


@pytest.mark.parametrize("size", [1, 200])
def test_a_listener_that_fails_is_called_no_more(size: int, caplog: pytest.LogCaptureFixture) -> None:
    """Logged once, told once."""

    def steps(probe: Probe) -> None:
        def sink(message: bytes | str) -> None:
            probe.messages.append(message)
            raise ValueError("a defect")

        probe.arrive(frame(BINARY, bytes(size)))
        probe.lane.listen(sink, lambda _: None)
        probe.arrive(frame(BINARY, bytes(size)))

    with caplog.at_level(logging.ERROR):
        probe = run(steps)
    assert probe.facts == ["failed"]
    assert len(probe.messages) == 1
    assert len(caplog.records) == 1


def test_what_was_said_before_leaving_is_heard_after_it() -> None:
    """A peer may close before anybody listens; its messages were whole."""

    def steps(probe: Probe) -> None:
        probe.arrive(frame(BINARY, b"last"), frame(CLOSE))
        probe.listen()

    assert run(steps).messages == [b"last"]
