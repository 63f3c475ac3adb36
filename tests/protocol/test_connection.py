"""The two ends together, and what each refuses of the other."""

from dataclasses import replace
from typing import Any, cast

import pytest

from protocol.audio import AudioFormat
from protocol.close import CloseCode
from protocol.codec import MAX_MESSAGE_BYTES, encode_event
from protocol.connection import Audio, ClientConnection, ServerConnection
from protocol.control import Ack, Configure, ControlMessage, End, Ping
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Event, Tone, UnknownEvent, Welcome
from protocol.states import ConnectionState, StateError
from protocol.version import Encoding
from tests.vectors.messages import CONTROLS, EVENTS, SESSION

WELCOME = cast(Welcome, EVENTS["welcome"])
TONE = cast(Tone, EVENTS["tone"])
BOTH = pytest.mark.parametrize("encoding", list(Encoding))


def _pair(encoding: Encoding = Encoding.MSGPACK) -> tuple[ServerConnection, ClientConnection]:
    server, client = ServerConnection(encoding), ClientConnection(encoding)
    client.receive(server.send(EVENTS["welcome"]))
    return server, client


@BOTH
def test_a_whole_conversation(encoding: Encoding) -> None:
    """Each message arrives at the other end as it was sent, in the agreed form."""
    server, client = _pair(encoding)
    assert (client.session_id, client.epoch) == (SESSION, "e-5f3a")
    assert server.receive(client.audio(b"\x00\x01\x02")) == Audio(b"\x00\x01\x02")
    for message in CONTROLS.values():
        if not isinstance(message, End):
            assert server.receive(client.send(message)) == message
    for event in EVENTS.values():
        if event.type not in ("welcome", "summary") and event is not EVENTS["error, fatal"]:
            _delivered(server, client, event)
    assert server.receive(client.send(End())) == End()
    assert not server.takes_audio(1)
    _delivered(server, client, EVENTS["summary"])
    server.close(CloseCode.NORMAL)
    client.closed(1000, "bye")
    assert (server.close_code, client.close_code, client.close_reason) == (1000, 1000, "bye")


def _delivered(server: ServerConnection, client: ClientConnection, event: Event) -> None:
    data = server.send(event)
    assert isinstance(data, str if server.encoding is Encoding.JSON else bytes)
    assert client.receive(data) == event


@BOTH
def test_an_encoded_event_is_sent_as_it_is(encoding: Encoding) -> None:
    """What an event log encoded once is not encoded again, and the table still holds."""
    server, client = _pair(encoding)
    gap, summary = (encode_event(EVENTS[kind], encoding) for kind in ("gap", "summary"))
    assert client.receive(server.forward("gap", gap)) == EVENTS["gap"]
    assert client.receive(server.forward("summary", summary)) == EVENTS["summary"]
    with pytest.raises(StateError):
        server.forward("gap", gap)


def test_the_first_event_is_welcome_or_a_fatal_error() -> None:
    """A server that says anything else first has a bug of its own."""
    server = ServerConnection(Encoding.MSGPACK)
    with pytest.raises(StateError):
        server.send(EVENTS["tone"])
    server.send(EVENTS["error, fatal"])
    assert server.state is ConnectionState.CLOSING


def test_a_refused_message_moves_nothing() -> None:
    """After garbage the connection goes on as before."""
    server, client = _pair()
    for garbage in ("", "{}", '{"type":"dance"}', '{"type":"end","x":1}'):
        with pytest.raises(ProtocolError):
            server.receive(garbage)
    assert server.takes_audio(1)
    assert server.receive(client.send(Ping(1))) == Ping(1)


@pytest.mark.parametrize("data", [b"x" * (MAX_MESSAGE_BYTES + 1), "x" * (MAX_MESSAGE_BYTES + 1)])
def test_oversize_messages_are_fatal(data: bytes | str) -> None:
    """Past 64 KiB, audio or text, the connection ends with 1009."""
    server, _ = _pair()
    with pytest.raises(ProtocolError) as refused:
        server.receive(data)
    assert (refused.value.code, refused.value.fatal) == (ErrorCode.MESSAGE_TOO_LARGE, True)
    assert refused.value.close_code is CloseCode.MESSAGE_TOO_BIG
    assert server.receive(b"x" * MAX_MESSAGE_BYTES) == Audio(b"x" * MAX_MESSAGE_BYTES)
    assert server.takes_audio(MAX_MESSAGE_BYTES)
    assert not server.takes_audio(MAX_MESSAGE_BYTES + 1)


@pytest.mark.parametrize("message", [Configure(), End(), CONTROLS["position"], CONTROLS["flush"]])
def test_an_observer_only_reads(message: ControlMessage) -> None:
    """An observer may show life and acknowledge; audio and control are refused without harm."""
    server = ServerConnection(Encoding.JSON, read_only=True)
    server.send(EVENTS["welcome"])
    client = ClientConnection(Encoding.JSON)
    client.receive(ServerConnection(Encoding.JSON).send(EVENTS["welcome"]))
    assert not server.takes_audio(1)
    for data in (b"\x00\x00", client.send(message)):
        with pytest.raises(ProtocolError) as refused:
            server.receive(data)
        assert (refused.value.code, refused.value.fatal) == (ErrorCode.READ_ONLY, False)
    assert server.receive('{"type":"ping"}') == Ping()
    assert server.receive('{"type":"ack","seq":1}') == Ack(1)


def test_a_client_drops_what_it_saw_before() -> None:
    """After a resume, a replayed event up to `last_seq` is not shown twice."""
    client = ClientConnection(Encoding.JSON, epoch="e-5f3a", last_seq=4)
    server = ServerConnection(Encoding.JSON)
    client.receive(server.send(replace(WELCOME, recovered=True, next_seq=6)))
    assert client.receive(server.send(EVENTS["speaker"])) is None
    assert client.receive(server.send(EVENTS["transcript"])) == EVENTS["transcript"]
    assert (client.last_seq, client.missed) == (5, 0)


@pytest.mark.parametrize(("replay_from", "first"), [(3, 3), (None, 4)])
def test_a_history_that_was_lost_hides_no_new_event(replay_from: int | None, first: int) -> None:
    """The same epoch, but the server's numbers end before ours: what it says from now on is new."""
    client = ClientConnection(Encoding.JSON, epoch="e-5f3a", last_seq=40)
    server = ServerConnection(Encoding.JSON)
    client.receive(server.send(replace(WELCOME, next_seq=4, replay_from=replay_from)))
    event = replace(TONE, seq=first)
    assert client.receive(server.send(event)) == event
    assert (client.last_seq, client.missed) == (first, 0)


def test_a_new_epoch_forgets_the_old_numbers() -> None:
    """Where the server lost history its numbers begin anew, and nothing is taken for a repetition."""
    client = ClientConnection(Encoding.JSON, epoch="before", last_seq=40)
    server = ServerConnection(Encoding.JSON)
    client.receive(server.send(EVENTS["welcome"]))
    assert client.receive(server.send(EVENTS["tone"])) == EVENTS["tone"]
    assert client.last_seq == 1


def test_a_client_counts_what_it_missed() -> None:
    """A jump in the numbers shows as `missed`, also across an event of a later version."""
    _, client = _pair(Encoding.JSON)
    assert isinstance(client.receive('{"type":"mood","seq":3}'), UnknownEvent)
    server = ServerConnection(Encoding.JSON)
    server.send(EVENTS["welcome"])
    client.receive(server.send(EVENTS["queue"]))
    assert (client.last_seq, client.missed) == (6, 4)


def test_a_client_sends_no_oversize_audio() -> None:
    """A message the server would refuse is refused here."""
    _, client = _pair()
    with pytest.raises(ValueError, match="bytes a message"):
        client.audio(b"x" * (MAX_MESSAGE_BYTES + 1))


def test_the_first_close_code_stays() -> None:
    """What closed a connection is not covered by what came after."""
    server, client = _pair()
    server.close(CloseCode.FLOOD)
    server.close(CloseCode.NORMAL)
    client.closed(4009, "flood")
    client.closed(1006)
    assert (server.close_code, client.close_code, client.close_reason) == (4009, 4009, "flood")


@pytest.mark.parametrize(
    "changes",
    [
        {"session_id": "another"},
        {"audio": AudioFormat(channels=2)},
        {"protocol": "undertone.v2"},
        {"next_sample": -1},
        {"next_seq": -1},
    ],
)
def test_a_welcome_to_something_else_breaks_the_protocol(changes: dict[str, Any]) -> None:
    """It is refused as a whole: the connection stands where it stood, without a session."""
    client = ClientConnection(Encoding.JSON, resumes=WELCOME)
    data = ServerConnection(Encoding.JSON).send(replace(WELCOME, **changes))
    with pytest.raises(ProtocolError) as broken:
        client.receive(data)
    assert (broken.value.code, broken.value.fatal) == (ErrorCode.MALFORMED_MESSAGE, True)
    assert (client.state, client.welcome) == (ConnectionState.OPENING, None)


def test_a_first_welcome_may_be_to_any_session() -> None:
    """Only who comes back knows what to expect."""
    client = ClientConnection(Encoding.JSON)
    other = replace(WELCOME, session_id="another", audio=AudioFormat(channels=2))
    assert client.receive(ServerConnection(Encoding.JSON).send(other)) == other


@pytest.mark.parametrize(
    "data",
    [
        encode_event(replace(TONE, session_id="another"), Encoding.JSON),
        b'{"type":"mood","seq":1,"session_id":"another"}',
    ],
)
def test_an_event_of_another_session_breaks_the_protocol(data: bytes) -> None:
    """Also one of a later version; it counts as nothing seen."""
    _, client = _pair(Encoding.JSON)
    with pytest.raises(ProtocolError) as broken:
        client.receive(data)
    assert (broken.value.code, broken.value.fatal) == (ErrorCode.MALFORMED_MESSAGE, True)
    assert (client.last_seq, client.missed) == (0, 0)
