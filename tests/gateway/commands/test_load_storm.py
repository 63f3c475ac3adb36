"""A session that is cut and comes back: at the sample and the event where it was, or with a word about it."""

from random import Random
from typing import Any

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.commands.load_session import SUBPROTOCOL, Load
from gateway.commands.load_stats import Tally
from gateway.commands.load_storm import StormSession
from gateway.commands.load_wire import ready_made
from protocol import events as ev
from protocol.audio import AudioFormat
from protocol.codec import encode_event
from protocol.control import Delivery
from protocol.failures import ConnectFailed
from protocol.resumption import Retry
from protocol.version import PROTOCOL, Encoding
from tests.gateway.commands.test_load_wire import Transport, event

SIZE = 800
"""Samples of a frame"""


class Stormy:
    """A storm session of 0.1 s frames, its server, and a clock; cut 0.5 s after each welcome, or `cut_s`."""

    def __init__(self, count: int = 20, cut_s: float = 0.5) -> None:
        self.tally, self.now = Tally(sessions=1), 100.0
        self.retries: list[Retry] = []
        load = Load(
            url="ws://h/ws/voice?sample_rate=8000",
            frames=[ready_made(bytes([one])) for one in range(50)],
            frame_samples=SIZE,
            sample_rate=8_000,
            tally=self.tally,
            now=lambda: self.now,
            on_done=lambda session: None,
            bearer="key",
        )
        self.session = StormSession(
            load,
            first=0,
            count=count,
            cut_every_s=(cut_s, cut_s),
            random=Random(1),
            come_back=lambda session, retry: self.retries.append(retry),
        )
        self.request: Request
        self.transport: Any = None

    def connect(self, **given: Any) -> None:
        """A new connection, with a `welcome` at its end."""
        self.transport = Transport()
        self.server = ServerProtocol(subprotocols=[Subprotocol(SUBPROTOCOL)])
        self.session.connection_made(self.transport)
        [request] = self.sent()
        assert isinstance(request, Request)
        self.request = request
        self.server.send_response(self.server.accept(request))
        self.hear(b"".join(self.server.data_to_send()), welcome(**given))

    def hear(self, *frames: bytes) -> None:
        self.session.data_received(b"".join(frames))

    def beats(self, count: int) -> None:
        for _ in range(count):
            self.now += 0.1
            self.session.beat(self.now)

    def lose(self) -> None:
        """The connection is gone, as was asked for or not."""
        self.session.connection_lost(None)

    def sent(self) -> list[Any]:
        self.server.receive_data(bytes(self.transport.written))
        self.transport.written.clear()
        return self.server.events_received()

    def audio(self) -> list[int]:
        """Frames sent since."""
        return [one.data[0] for one in self.sent() if one.opcode is Opcode.BINARY]


def welcome(
    next_sample: int = 0, *, recovered: bool = False, epoch: str = "e1", replay_from: int | None = None
) -> bytes:
    """Its frame."""
    made = ev.Welcome(
        protocol=PROTOCOL,
        session_id="s1",
        epoch=epoch,
        next_seq=1,
        next_sample=next_sample,
        recovered=recovered,
        replay_from=replay_from,
        replay_to=None,
        resume_token="token",
        audio=AudioFormat(sample_rate=8_000),
        window_ms=1_000,
        hop_ms=1_000,
        delivery=Delivery.REALTIME,
        limit=None,
        limits={},
        heartbeat_s=20.0,
    )
    return Frame(Opcode.BINARY, encode_event(made, Encoding.MSGPACK)).serialize(mask=False)


def test_it_cuts_and_comes_back_to_its_session() -> None:
    """The new connection names session, epoch and last event, and shows the token instead of the key."""
    stormy = Stormy()
    stormy.connect()
    assert stormy.request.headers["Authorization"] == "Bearer key"
    stormy.hear(event("tone", seq=1, end_sample=SIZE))
    stormy.beats(6)
    assert len(stormy.transport.written) == 5 * 7 + 3, "half of the sixth frame of 7 bytes"
    assert stormy.transport.aborted
    assert stormy.tally.cuts == 1
    stormy.lose()
    [retry] = stormy.retries
    assert 0 <= retry.after_s <= 0.25
    stormy.connect(next_sample=5 * SIZE, recovered=True)
    assert stormy.request.path == "/ws/voice?session_id=s1&epoch=e1&after=1"
    assert "undertone.ticket.token" in stormy.request.headers["Sec-WebSocket-Protocol"]
    assert "Authorization" not in stormy.request.headers
    assert (stormy.tally.resumes, stormy.tally.unrecovered, stormy.tally.welcomed) == (1, 0, 1)


def test_audio_goes_on_where_the_server_is() -> None:
    """Frames under way are sent again, and what fell due meanwhile follows, four at a time at most."""
    stormy = Stormy()
    stormy.connect()
    stormy.beats(5)
    assert stormy.audio() == [0, 1, 2, 3, 4]
    stormy.lose()
    stormy.beats(4)
    stormy.connect(next_sample=3 * SIZE, recovered=True)
    assert stormy.tally.resent_samples == 2 * SIZE
    stormy.beats(1)
    assert stormy.audio() == [3, 4, 5, 6]
    stormy.beats(1)
    assert stormy.audio() == [7, 8, 9, 10]
    stormy.beats(1)
    assert stormy.audio() == [11]


def test_a_frame_held_in_part_is_sent_whole() -> None:
    """`position` says where it begins; the server trims what it has."""
    stormy = Stormy()
    stormy.connect()
    stormy.beats(5)
    stormy.lose()
    stormy.connect(next_sample=3 * SIZE + 10, recovered=True)
    controls = [one.data for one in stormy.sent() if one.opcode is Opcode.TEXT]
    assert controls == [b'{"type":"position","sample":2400}']
    stormy.beats(1)
    assert stormy.audio() == [3, 4, 5]


def away_for(stormy: Stormy, beats: int) -> None:
    """The connection is lost once ten frames are sent, and comes back so many frames later."""
    stormy.connect()
    stormy.beats(10)
    stormy.sent()
    stormy.lose()
    stormy.beats(beats)


def positions(stormy: Stormy) -> tuple[list[bytes], list[int]]:
    """What was said, and the frames that were sent, since."""
    seen = stormy.sent()
    audio = [one.data[0] for one in seen if one.opcode is Opcode.BINARY]
    return [one.data for one in seen if one.opcode is Opcode.TEXT], audio


def test_a_client_keeps_five_seconds() -> None:
    """As long as it wasn't away for longer, everything is sent; 5 s are 50 frames."""
    stormy = Stormy(count=200, cut_s=1_000.0)
    away_for(stormy, 42)
    stormy.connect(next_sample=2 * SIZE, recovered=True)
    stormy.beats(1)
    assert positions(stormy) == ([], [2, 3, 4, 5])
    assert (stormy.tally.resent_samples, stormy.tally.declared_samples) == (8 * SIZE, 0)


def test_what_is_older_is_declared() -> None:
    """`position` says where the backlog begins; what lies before becomes a gap, and is not sent."""
    stormy = Stormy(count=200, cut_s=1_000.0)
    away_for(stormy, 50)
    stormy.connect(next_sample=2 * SIZE + 10, recovered=True)
    stormy.beats(1)
    assert positions(stormy) == ([b'{"type":"position","sample":8000}'], [10, 11, 12, 13])
    assert (stormy.tally.resent_samples, stormy.tally.declared_samples) == (0, 8 * SIZE - 10)


def test_audio_that_was_never_sent_is_declared_too() -> None:
    """It fell due while the connection was away; the account at the end holds it."""
    stormy = Stormy(count=80, cut_s=1_000.0)
    away_for(stormy, 100)
    stormy.connect(next_sample=10 * SIZE, recovered=True)
    stormy.beats(14)
    told, audio = positions(stormy)
    assert told == [b'{"type":"position","sample":24000}', b'{"type":"end"}']
    assert audio == [one % 50 for one in range(30, 80)]
    assert stormy.tally.declared_samples == 20 * SIZE
    account = {"next_sample": 80 * SIZE, "classified_samples": 60 * SIZE, "gap_samples": 20 * SIZE}
    stormy.hear(event("summary", seq=1, **account))
    stormy.lose()
    assert (stormy.tally.finished, stormy.tally.failures) == (1, {})


def test_stopped_it_sends_again_what_was_sent_and_ends() -> None:
    """Without another cut on the way."""
    stormy = Stormy(count=200)
    stormy.connect()
    stormy.beats(6)
    stormy.lose()
    stormy.session.stop()
    stormy.connect(next_sample=0, recovered=True)
    stormy.beats(20)
    told, audio = positions(stormy)
    assert (told, audio) == ([b'{"type":"end"}'], [0, 1, 2, 3, 4, 5])
    assert stormy.tally.cuts == 1


def test_a_server_that_is_ahead_of_the_audio_fails() -> None:
    """It can't have what was never sent."""
    stormy = Stormy()
    stormy.connect()
    stormy.beats(2)
    stormy.lose()
    stormy.connect(next_sample=3 * SIZE, recovered=True)
    assert stormy.tally.failures == {"the server counts audio that was never sent": 1}


@pytest.mark.parametrize(
    ("again", "unrecovered", "missed", "repeated", "failures"),
    [
        ({"recovered": True}, 0, 0, 0, {}),
        ({"recovered": True, "seqs": (2, 3, 4)}, 0, 0, 1, {"events came twice": 1}),
        ({"recovered": True, "seqs": (4,)}, 0, 1, 0, {"events were missed, and nobody said so": 1}),
        ({"recovered": False, "seqs": (4,)}, 1, 1, 0, {}),
        ({"recovered": False, "epoch": "e2", "seqs": (1, 2)}, 1, 0, 0, {}),
    ],
)
def test_events_are_counted_across_connections(
    again: dict[str, Any], unrecovered: int, missed: int, repeated: int, failures: dict[str, int]
) -> None:
    """None missed, none twice, or it is told: a loss that the server declared fails no session."""
    stormy = Stormy(count=2)
    stormy.connect()
    stormy.hear(event("tone", seq=1, end_sample=SIZE), event("tone", seq=2, end_sample=SIZE))
    stormy.beats(1)
    stormy.lose()
    seqs = again.pop("seqs", (3, 4))
    stormy.connect(next_sample=SIZE, **again)
    stormy.hear(*(event("tone", seq=seq, end_sample=SIZE) for seq in seqs))
    stormy.beats(2)
    account = {"next_sample": 2 * SIZE, "classified_samples": 2 * SIZE, "gap_samples": 0}
    stormy.hear(event("summary", seq=seqs[-1] + 1, **account))
    stormy.lose()
    tally = stormy.tally
    assert (tally.unrecovered, tally.missed, tally.repeated) == (unrecovered, missed, repeated)
    assert tally.failures == failures


def test_it_ends_again_where_the_end_was_lost() -> None:
    """`end` is said on each connection that comes after the last frame."""
    stormy = Stormy(count=1)
    stormy.connect()
    stormy.beats(3)
    assert [one.opcode for one in stormy.sent()] == [Opcode.BINARY, Opcode.TEXT]
    stormy.lose()
    stormy.connect(next_sample=SIZE, recovered=True)
    stormy.beats(1)
    assert [one.opcode for one in stormy.sent()] == [Opcode.TEXT]


def test_attempts_go_on_until_a_refusal_is_final() -> None:
    """No answer is tried again; 404 is not."""
    stormy = Stormy()
    stormy.connect()
    stormy.beats(1)
    stormy.lose()
    stormy.session.not_connected(ConnectFailed("connection refused"))
    assert len(stormy.retries) == 2
    stormy.session.connection_made(Transport())
    stormy.hear(b"HTTP/1.1 404 Not Found\r\n\r\n")
    stormy.lose()
    assert stormy.tally.failures == {"not resumed: not opened: HTTP 404": 1}
    assert stormy.session.done


def test_a_final_close_code_is_obeyed() -> None:
    """4005 says that somebody else has the session."""
    stormy = Stormy()
    stormy.connect()
    stormy.hear(Frame(Opcode.CLOSE, (4005).to_bytes(2, "big")).serialize(mask=False))
    stormy.lose()
    assert not stormy.retries
    assert stormy.tally.failures == {"not resumed: 4005": 1}


def test_a_first_connection_that_fails_is_not_tried_again() -> None:
    """There is no session to come back to."""
    stormy = Stormy()
    stormy.session.connection_made(Transport())
    stormy.hear(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    stormy.lose()
    assert stormy.tally.failures == {"not opened: HTTP 503": 1}
    assert not stormy.retries
