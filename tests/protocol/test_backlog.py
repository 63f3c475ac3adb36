"""What is said again after a socket was lost: every sample once, or declared, wherever it was cut."""

import pytest

from protocol.audio import AudioEncoding, AudioFormat
from protocol.backlog import BACKLOG_S, Backlog
from protocol.control import (
    Ack,
    Configure,
    ControlMessage,
    Delivery,
    End,
    Flush,
    Ping,
    Position,
    SessionConfig,
)
from protocol.errors import ErrorCode
from protocol.events import Configured, Drain, Error, Flow, FlowState, Flushed, Pong

AUDIO = AudioFormat(AudioEncoding.MULAW, 8_000)
"""One byte a sample: what is sent can be read off."""
CAPACITY = 40_000


def backlog(*, lossless: bool = False, at: int = 0, audio: AudioFormat = AUDIO) -> Backlog:
    made = Backlog(audio, at)
    made.delivery = Delivery.LOSSLESS if lossless else Delivery.REALTIME
    return made


def drained(made: Backlog, limit: int | None = None) -> list[bytes | ControlMessage]:
    """Everything that goes onto the wire now."""
    taken: list[bytes | ControlMessage] = []
    while (item := made.take(limit)) is not None:
        taken.append(item)
    return taken


def flow(received: int) -> Flow:
    return Flow(received=received, classified=0, limit=None, lag_ms=0, dropped_ms=0, state=FlowState.OK)


def test_what_the_server_has_not_got_is_sent_again() -> None:
    """From the server's sample on, to the byte, and nothing before it."""
    made = backlog(at=100)
    made.append(b"abcd")
    made.append(b"efgh")
    assert drained(made) == [b"abcd", b"efgh"]
    made.append(b"ijkl")
    assert made.rewind(106) == 0
    assert drained(made) == [b"gh", b"ijkl"]
    assert (made.wire, made.next_sample) == (112, 112)


def test_bytes_of_an_unfinished_sample_wait_for_the_rest() -> None:
    """Only whole samples go out, so no socket is lost in the middle of one."""
    made = backlog(audio=AudioFormat(channels=2))
    made.append(b"abcdef")
    assert drained(made) == [b"abcd"]
    made.append(b"ghi")
    assert drained(made) == [b"efgh"]
    made.jump(10)
    made.append(b"jklm")
    assert drained(made) == [Position(10), b"jklm"]
    made.append(b"n")
    made.say(End())
    assert drained(made) == [End()]


def test_realtime_keeps_the_newest_and_declares_the_rest() -> None:
    """Five seconds stay; where the server lacks more, the hole is a `position`, and its length is known."""
    made = backlog()
    for _ in range(6):
        made.append(bytes(8_000))
    assert made.room is None
    assert made.rewind(3_000) == 5_000
    assert drained(made) == [Position(8_000), *[bytes(8_000)] * 5]


def test_lossless_waits_for_room_and_asks_for_it() -> None:
    """A full backlog takes no more; a ping that it puts in itself brings the confirmation."""
    made = backlog(lossless=True)
    made.append(bytes(CAPACITY))
    assert made.room == 0
    sent, probe = drained(made)
    assert sent == bytes(CAPACITY)
    assert isinstance(probe, Ping)
    assert made.heard(Pong(t="the user's own"))
    assert not made.heard(Pong(t=probe.t))
    assert made.room == CAPACITY
    made.append(bytes(8_000))
    assert made.rewind(0) == 8_000, "what is confirmed makes room, and only then goes"


def test_a_flow_report_makes_room() -> None:
    """What was received needs no place, in part of a message too."""
    made = backlog(lossless=True)
    made.append(bytes(8_000))
    drained(made)
    made.heard(flow(5_000))
    assert made.room == CAPACITY - 3_000
    assert made.rewind(4_000) == 0
    assert drained(made) == [bytes(1_000), bytes(3_000)]


def test_what_is_confirmed_stays_as_long_as_there_is_room() -> None:
    """Another node may have to go on from an earlier sample; what that one has is all that counts then."""
    made = backlog(lossless=True)
    for second in range(1, 21):
        made.append(bytes([second]) * 8_000)
        drained(made)
        assert made.room == CAPACITY - 8_000
        made.heard(flow(second * 8_000))
        assert made.room == CAPACITY
    assert made.rewind(15 * 8_000) == 0
    assert made.room == 0
    sent = [one for one in drained(made) if isinstance(one, bytes)]
    assert sent == [bytes([second]) * 8_000 for second in range(16, 21)]
    made.heard(flow(15 * 8_000 + 500))
    assert made.room == 500


def test_a_node_that_drains_confirms_nothing_by_a_pong() -> None:
    """It still answers, but takes no audio in."""
    made = backlog(lossless=True)
    made.append(bytes(CAPACITY))
    *_, probe = drained(made)
    assert isinstance(probe, Ping)
    made.heard(Drain(retry_after_ms=0))
    assert not made.heard(Pong(t=probe.t))
    assert made.room == 0


def test_credit_is_kept_to_the_sample() -> None:
    """Not a sample past the limit; the rest of a message follows when it is raised."""
    made = backlog(lossless=True)
    made.append(b"abcdef")
    assert drained(made, 4) == [b"abcd"]
    assert drained(made, 4) == []
    assert drained(made, 5) == [b"e"]
    assert made.rewind(2) == 0
    assert drained(made, 99) == [b"cd", b"e", b"f"]


def test_controls_are_said_again_in_their_place() -> None:
    """Between the same samples as before; those with an answer aren't."""
    made = backlog()
    made.append(b"ab")
    made.say(Configure(hop_ms=500))
    made.append(b"cd")
    made.say(Flush("x"))
    made.say(Flush("y"))
    made.append(b"ef")
    made.say(End())
    said = [b"ab", Configure(hop_ms=500), b"cd", Flush("x"), Flush("y"), b"ef", End()]
    assert drained(made) == said
    assert made.unanswered == 3
    assert made.heard(Flushed(id="x"))
    made.rewind(1)
    assert drained(made) == [b"b", Configure(hop_ms=500), b"cd", Flush("y"), b"ef", End()]
    assert made.heard(Configured.of(SessionConfig(hop_ms=500)))
    made.rewind(6)
    assert drained(made) == [Flush("y"), End()]


@pytest.mark.parametrize(("param", "left"), [("hop_ms", 0), ("sample", 1)])
def test_a_refused_configure_is_answered(param: str, left: int) -> None:
    """An error that names a setting answers it; one about something else doesn't."""
    made = backlog()
    made.say(Configure(hop_ms=500))
    drained(made)
    made.heard(Error(code=ErrorCode.INVALID_FIELD, message="no", param=param))
    assert made.unanswered == left


def test_signs_of_life_are_of_the_moment() -> None:
    """They wait for no credit and aren't repeated; of acknowledgements only the newest is said."""
    made = backlog(lossless=True)
    made.append(b"ab")
    made.say(Ping(1))
    made.say(Ack(3))
    made.say(Ack(5))
    assert drained(made, 0) == [Ping(1), Ack(5)]
    made.say(Ping(2))
    made.say(Ack(7))
    made.rewind(0)
    assert drained(made, 0) == [Ack(7)]
    made.say(Ack(8))
    made.rewind(0, renumbered=True)
    assert drained(made, 0) == [], "the numbers of another epoch mean nothing"


def test_a_jump_that_was_lost_is_said_again() -> None:
    """Also where no audio follows it."""
    made = backlog()
    made.append(b"ab")
    made.jump(10)
    assert drained(made) == [b"ab", Position(10)]
    assert made.rewind(1) == 0, "what the user left out is no loss of ours"
    assert drained(made) == [b"b", Position(10)]
    made.rewind(10)
    assert drained(made) == []


def test_a_jump_back_passes_over_what_was_said() -> None:
    """The overlap is not sent: the server would only trim it."""
    made = backlog()
    made.append(b"abcd")
    made.jump(2)
    made.append(b"c")
    made.append(b"def")
    assert drained(made) == [b"abcd", b"ef"]


def test_a_server_that_is_ahead_is_followed() -> None:
    """Another owner has sent on meanwhile: the audio goes on from there, and nothing is sent over it."""
    made = backlog()
    made.append(b"abcd")
    made.rewind(10)
    made.append(b"ef")
    assert drained(made) == [b"ef"]
    assert made.next_sample == 12


def stalled(ahead: int = 18_000) -> Backlog:
    """One whose network takes what may be under way, and delivers none."""
    made = backlog()
    made.ahead = ahead
    return made


def sent(taken: list[bytes | ControlMessage]) -> bytes:
    return b"".join(one for one in taken if isinstance(one, bytes))


def test_what_a_stalled_network_holds_is_bounded() -> None:
    """Realtime: nothing beyond the bound is written until the server answers the ping that asked."""
    made = stalled()
    made.append(bytes(30_000))
    taken = drained(made)
    assert len(sent(taken)) == 18_000
    (probe,) = [one for one in taken if isinstance(one, Ping)]
    waits = [made.all_sent]
    made.say(Ping("user's"))
    assert drained(made) == [Ping("user's")], "signs of life wait for nothing"
    made.heard(Pong(t=probe.t))
    assert [*waits, made.all_sent] == [True, False]
    assert len(sent(drained(made))) == 12_000


def test_the_ping_asks_at_half_of_the_bound() -> None:
    """So that the answer is there before the audio has to wait; one at a time."""
    made = stalled(ahead=100)
    asked = []
    for _ in range(10):
        made.append(bytes(10))
        asked.append(sum(isinstance(one, Ping) for one in drained(made)))
    assert asked == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    made.heard(flow(100))
    assert drained(made) == []
    made.append(bytes(10))
    assert drained(made) == [bytes(10)], "a flow report confirms as well"


def test_lossless_is_bounded_by_its_limit_alone() -> None:
    """The server asks for no pace there."""
    made = stalled(ahead=100)
    made.delivery = Delivery.LOSSLESS
    made.append(bytes(1_000))
    assert drained(made, 500) == [bytes(500)]


@pytest.mark.parametrize("seconds", [BACKLOG_S, 0])
def test_the_bound_holds_without_resuming_too(seconds: float) -> None:
    """A client that keeps nothing asks for confirmation all the same."""
    made = Backlog(AUDIO, 0, seconds=seconds)
    made.ahead = 100
    made.append(bytes(150))
    taken = drained(made)
    assert len(sent(taken)) == 100
    made.heard(flow(100))
    assert len(sent(drained(made))) == 50


def test_audio_comes_in_pieces_where_asked() -> None:
    """At most so many samples a message, and none at all while the pace allows none; controls go on."""
    made = backlog()
    made.append(b"abcde")
    made.say(Flush("x"))
    assert made.take(most=0) is None
    assert [made.take(most=2) for _ in range(3)] == [b"ab", b"cd", b"e"]
    made.append(b"fg")
    assert made.take(most=0) == Flush("x")
    assert made.take(most=0) is None


def test_what_falls_out_in_a_stall_is_one_gap() -> None:
    """Declared once, where audio may follow, however many frames it was; and counted."""
    made = stalled()
    taken = []
    for _ in range(100):
        made.append(bytes(800))
        taken += drained(made)
    assert len(sent(taken)) == 18_000
    assert not [one for one in taken if isinstance(one, Position)]
    assert made.lost_samples == 0
    assert made.take(most=0) is None, "nor while the pace allows no audio"
    made.heard(flow(18_000))
    assert made.take() == Position(40_000)
    assert made.lost_samples == 22_000
    assert len(sent(drained(made))) == 18_000, "what is skipped is not under way"
    made.heard(flow(58_000))
    assert len(sent(drained(made))) == 18_000
    assert made.lost_samples == 22_000


@pytest.mark.parametrize(("next_sample", "lost"), [(45_000, 22_000), (18_000, 22_000), (10_000, 30_000)])
def test_a_gap_counts_once_though_its_socket_was_lost(next_sample: int, lost: int) -> None:
    """Whether the server has heard of it, of all that was before it, or of less than that."""
    made = stalled()
    for _ in range(100):
        made.append(bytes(800))
        drained(made)
    made.heard(Pong(t="undertone.backlog:9600"))
    assert made.take() == Position(40_000)
    drained(made)
    made.rewind(next_sample)
    assert made.lost_samples == lost
    made.rewind(next_sample)
    assert made.lost_samples == lost
    drained(made)
    assert made.lost_samples == lost


def test_what_the_user_left_out_is_no_loss() -> None:
    """Nor is it under way; with what fell out before it, it is one gap."""
    made = stalled()
    made.append(bytes(18_000))
    drained(made)
    for _ in range(3):
        made.append(bytes(20_000))
        made.jump(made.next_sample + 1_000)
    assert drained(made) == []
    made.heard(flow(18_000))
    assert made.take() == Position(39_000)
    assert made.lost_samples == 20_000
    assert drained(made)[:1] == [bytes(18_000)]


def test_without_a_backlog_nothing_is_kept() -> None:
    """A client that doesn't resume keeps what isn't sent yet, and only that."""
    made = Backlog(AUDIO, 0, seconds=0)
    made.delivery = Delivery.LOSSLESS
    made.append(bytes(100_000))
    made.say(Flush())
    assert made.room is None
    assert drained(made) == [bytes(100_000), Flush()]
    made.rewind(0)
    assert drained(made) == []


def refused(param: str = "delivery") -> Error:
    return Error(code=ErrorCode.INVALID_FIELD, message="no", param=param)


def configured(delivery: Delivery) -> Configured:
    return Configured.of(SessionConfig(delivery=delivery))


@pytest.mark.parametrize("moment", ["unsent", "unanswered", "lost"])
def test_lossless_holds_from_the_moment_it_is_asked_for(moment: str) -> None:
    """Nothing said after it falls out, whether the server knows of it or not, and pings ask for room."""
    made = backlog()
    made.say(Configure(delivery=Delivery.LOSSLESS))
    if moment != "unsent":
        assert drained(made) == [Configure(delivery=Delivery.LOSSLESS)]
    if moment == "lost":
        made.rewind(0)
    assert made.room == CAPACITY
    for second in range(6):
        made.append(bytes([second]) * 8_000)
    assert made.room == -8_000
    assert made.rewind(0) == 0
    sent = drained(made)
    assert [one for one in sent if isinstance(one, bytes)] == [bytes([n]) * 8_000 for n in range(6)]
    assert any(isinstance(one, Ping) for one in sent)


@pytest.mark.parametrize(
    ("answer", "room"),
    [(configured(Delivery.LOSSLESS), 0), (configured(Delivery.REALTIME), None), (refused(), None)],
)
def test_the_answer_to_a_change_of_delivery_decides(answer: Configured | Error, room: int | None) -> None:
    """Until it comes, nothing is let go; then what the server says is in force."""
    made = backlog()
    made.say(Configure(delivery=Delivery.LOSSLESS))
    made.append(bytes(CAPACITY))
    drained(made)
    assert made.room == 0
    made.heard(answer)
    assert made.room == room


def test_of_several_changes_of_delivery_any_lossless_one_counts() -> None:
    """Each is answered in its turn, and another setting changes nothing."""
    made = backlog()
    made.say(Configure(hop_ms=500))
    assert made.room is None
    made.say(Configure(delivery=Delivery.LOSSLESS))
    made.say(Configure(delivery=Delivery.REALTIME))
    drained(made)
    rooms: list[int | None] = []
    for answer in (refused("hop_ms"), configured(Delivery.LOSSLESS), configured(Delivery.REALTIME)):
        rooms.append(made.room)
        made.heard(answer)
    assert [*rooms, made.room] == [CAPACITY, CAPACITY, CAPACITY, None]


def test_lossless_is_left_only_when_the_server_says_so() -> None:
    """A change to realtime that is not answered yet lets nothing go."""
    made = backlog(lossless=True)
    made.say(Configure(delivery=Delivery.REALTIME))
    drained(made)
    assert made.room == CAPACITY
    made.heard(configured(Delivery.REALTIME))
    assert made.room is None
