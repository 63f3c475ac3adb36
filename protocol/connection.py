"""Both ends of a connection without sockets, clocks or tasks: bytes in → messages out, intent in → bytes out.

After websockets' `protocol.py` and h11. One object per socket; a resumed session gets a new one.
"""

from dataclasses import dataclass
from typing import Any

from protocol import codec, states
from protocol.close import CloseCode
from protocol.control import Ack, ControlMessage, Ping
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import DurableEvent, Event, Summary, UnknownEvent, Welcome
from protocol.states import ConnectionInput, ConnectionState, StateError
from protocol.version import PROTOCOL, Encoding


@dataclass(frozen=True, slots=True)
class Audio:
    """One binary message: PCM in the session's format, cut anywhere."""

    data: bytes
    """Bytes as received."""


class ServerConnection:
    """The server's end.

    Args:
        encoding: how events are written.
        read_only: an observer's connection; it may only `ping` and `ack`.
    """

    __slots__ = ("_read_only", "close_code", "encoding", "state")

    def __init__(self, encoding: Encoding, *, read_only: bool = False) -> None:
        self.encoding = encoding
        self.state = ConnectionState.OPENING
        self.close_code: int | None = None
        self._read_only = read_only

    def takes_audio(self, nbytes: int) -> bool:
        """Whether a binary message of that size is legal now, and changes nothing here: it may then go past
        `receive`."""
        return (
            self.state is ConnectionState.OPEN and not self._read_only and nbytes <= codec.MAX_MESSAGE_BYTES
        )

    def receive(self, data: bytes | str) -> Audio | ControlMessage:
        """What one WebSocket message says: binary is audio, text is control.

        Raises:
            ProtocolError: the message is refused; fatal only where it is larger than MAX_MESSAGE_BYTES.
            StateError: `welcome` was not sent before, or the connection is closed.
        """
        if len(data) > codec.MAX_MESSAGE_BYTES:
            limit = f"at most {codec.MAX_MESSAGE_BYTES} bytes"
            raise ProtocolError(ErrorCode.MESSAGE_TOO_LARGE, limit, fatal=True)
        if isinstance(data, str):
            message = codec.decode_control(data)
            self._take(states.input_of_control(message), writes=not isinstance(message, Ack | Ping))
            return message
        self._take(ConnectionInput.AUDIO, writes=True)
        return Audio(data)

    def send(self, event: Event) -> bytes | str:
        """The WebSocket message for `event`: text for JSON, binary for msgpack.

        Raises:
            StateError: the first event must be `welcome` or a fatal `error`, and none follows a last word.
        """
        return self._said(event.type, states.input_of_event(event), codec.encode_event(event, self.encoding))

    def forward(self, kind: str, encoded: bytes) -> bytes | str:
        """That for a durable event of type `kind`, as an event log keeps it in this connection's encoding.

        Raises:
            StateError: as `send`.
        """
        last = kind == Summary.type
        return self._said(kind, ConnectionInput.SUMMARY if last else ConnectionInput.EVENT, encoded)

    def close(self, code: CloseCode | int = CloseCode.NORMAL) -> None:
        """The socket is closed, by whichever side; the first code stays."""
        if self.close_code is None:
            self.close_code = code
        self.state = ConnectionState.CLOSED

    def _said(self, kind: str, given: ConnectionInput, data: bytes) -> bytes | str:
        following = states.step(self.state, given)
        if following is None:
            raise StateError(f"{kind} can't be sent while {self.state}")
        self.state = following
        return data.decode() if self.encoding is Encoding.JSON else data

    def _take(self, given: ConnectionInput, *, writes: bool) -> None:
        if self.state in (ConnectionState.OPENING, ConnectionState.CLOSED):
            raise StateError(f"nothing can be received while {self.state}")
        if writes and self._read_only:
            raise ProtocolError(ErrorCode.READ_ONLY, "an observer only reads")
        following = states.step(self.state, given)
        if following is None:
            raise _refusal(self.state, given)
        self.state = following


class ClientConnection:
    """The client's end; knows what a resume needs.

    Args:
        encoding: how events are written.
        epoch: of the session's earlier connection, where this one resumes it.
        last_seq: the last durable event already seen; repeated ones are dropped.
        resumes: the welcome of the session's earlier connection, where there was one here.
    """

    __slots__ = (
        "_resumes",
        "close_code",
        "close_reason",
        "encoding",
        "epoch",
        "last_seq",
        "missed",
        "state",
        "welcome",
    )

    def __init__(
        self,
        encoding: Encoding,
        *,
        epoch: str | None = None,
        last_seq: int = 0,
        resumes: Welcome | None = None,
    ) -> None:
        self.encoding = encoding
        self.state = ConnectionState.OPENING
        self.epoch = epoch
        self.last_seq = last_seq
        self.missed = 0
        """Durable events that the server could no longer replay."""
        self.welcome: Welcome | None = None
        self.close_code: int | None = None
        self.close_reason = ""
        self._resumes = resumes

    @property
    def session_id(self) -> str | None:
        """Known once `welcome` came."""
        return None if self.welcome is None else self.welcome.session_id

    def audio(self, pcm: bytes) -> bytes:
        """The WebSocket message for a piece of PCM: itself.

        Raises:
            StateError: before `welcome`, or after `end` or the server's last word.
            ValueError: more than MAX_MESSAGE_BYTES.
        """
        if len(pcm) > codec.MAX_MESSAGE_BYTES:
            raise ValueError(f"at most {codec.MAX_MESSAGE_BYTES} bytes a message")
        self._move(ConnectionInput.AUDIO)
        return pcm

    def send(self, message: ControlMessage) -> str:
        """The WebSocket text message for `message`.

        Raises:
            StateError: before `welcome`, or after `end` or the server's last word.
        """
        self._move(states.input_of_control(message))
        return codec.encode_control(message)

    def receive(self, data: bytes | str) -> Event | UnknownEvent | None:
        """The event in one WebSocket message; None for a durable event seen before.

        Raises:
            ProtocolError: the server broke the protocol.
            StateError: the connection is closed.
        """
        if self.state is ConnectionState.CLOSED:
            raise StateError("nothing can be received while closed")
        event = codec.decode_event(data, self.encoding)
        following = states.step(self.state, states.input_of_event(event))
        if following is None:
            raise _violation(f"the server may not say this while {self.state}")
        if isinstance(event, Welcome):
            _check_welcome(event, self._resumes)
            self._begin(event)
        elif self.welcome is not None and _session_of(event) not in (None, self.welcome.session_id):
            raise _violation("an event of another session")
        self.state = following
        return event if self._is_new(event) else None

    def closed(self, code: int, reason: str = "") -> None:
        """The socket is closed or lost (1006); the first code stays."""
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
        self.state = ConnectionState.CLOSED

    def _begin(self, welcome: Welcome) -> None:
        if self.epoch is not None and self.epoch != welcome.epoch:
            self.last_seq = 0
        elif not welcome.recovered and self.last_seq >= welcome.next_seq:
            # The server has forgotten events that we have seen; what gets their numbers now is new to us.
            self.last_seq = (welcome.replay_from or welcome.next_seq) - 1
        self.epoch = welcome.epoch
        self.welcome = welcome

    def _is_new(self, event: Event | UnknownEvent) -> bool:
        seq = event.seq if isinstance(event, DurableEvent | UnknownEvent) else None
        if seq is None:
            return True
        if seq <= self.last_seq:
            return False
        self.missed += seq - self.last_seq - 1
        self.last_seq = seq
        return True

    def _move(self, given: ConnectionInput) -> None:
        following = states.step(self.state, given)
        if following is None:
            raise StateError(f"{given} can't be sent while {self.state}")
        self.state = following


def _check_welcome(welcome: Welcome, before: Welcome | None) -> None:
    """Refuse one that is not to what this side speaks of."""
    if welcome.protocol != PROTOCOL:
        raise _violation("a welcome to another protocol")
    if welcome.next_sample < 0 or welcome.next_seq < 0:
        raise _violation("a welcome with negative numbers")
    if before is not None and (welcome.session_id, welcome.audio) != (before.session_id, before.audio):
        raise _violation("a welcome to another session, or to other audio")


def _session_of(event: Event | UnknownEvent) -> Any:
    """The session that a durable event speaks of, as far as it says."""
    if isinstance(event, UnknownEvent):
        return event.fields.get("session_id") if event.seq is not None else None
    return event.session_id if isinstance(event, DurableEvent) else None


def _violation(message: str) -> ProtocolError:
    return ProtocolError(ErrorCode.MALFORMED_MESSAGE, message, fatal=True)


def _refusal(state: ConnectionState, given: ConnectionInput) -> ProtocolError:
    if state is ConnectionState.ENDING and given is ConnectionInput.AUDIO:
        return ProtocolError(ErrorCode.AUDIO_AFTER_END, "audio after `end` is not heard")
    return ProtocolError(ErrorCode.SESSION_CLOSED, f"{given} is not possible any more")
