"""The life of one connection as a table. Both peers keep it; each moves it by what it sends and receives.

Theory. A connection is told apart from its session: it opens, carries audio one way and events the other,
and closes, while the session may go on over the next one. The server speaks first (`welcome`), so until
then nothing else may be fed to it or sent by it, but a fatal `error`. `end` closes the client's direction
for audio and for steering (`configure`, `position`, `flush`) while the last events come; signs of life
(`ack`, `ping`) stay welcome. `summary` or a fatal `error` closes the server's direction; the close follows.
What a client sends meanwhile crosses that close on the way: it is refused, and an `error` may still say so.
A pair missing from the table is illegal in that state; nothing else decides.
"""

from enum import StrEnum

from protocol.control import Ack, ControlMessage, End, Ping
from protocol.events import Error, Event, Summary, UnknownEvent, Welcome


class ConnectionState(StrEnum):
    """Where a connection stands."""

    OPENING = "opening"
    """Accepted; `welcome` not yet sent."""
    OPEN = "open"
    """Audio and control one way, events the other."""
    ENDING = "ending"
    """The client said `end`; the last events are on their way."""
    CLOSING = "closing"
    """The server has said its last word; the close follows."""
    CLOSED = "closed"
    """Closed, or lost."""


class ConnectionInput(StrEnum):
    """What moves a connection, whichever peer does it."""

    WELCOME = "welcome"
    EVENT = "event"
    """Any event that isn't one of the others here."""
    SUMMARY = "summary"
    ERROR = "error"
    """Not fatal: one message was refused."""
    FATAL_ERROR = "fatal error"
    AUDIO = "audio"
    STEERING = "configure, position, flush"
    LIFE = "ack, ping"
    END = "end"
    CLOSE = "close"


_S = ConnectionState
_I = ConnectionInput

TRANSITIONS: dict[tuple[ConnectionState, ConnectionInput], ConnectionState] = {
    (_S.OPENING, _I.WELCOME): _S.OPEN,
    (_S.OPENING, _I.FATAL_ERROR): _S.CLOSING,
    (_S.OPENING, _I.CLOSE): _S.CLOSED,
    (_S.OPEN, _I.AUDIO): _S.OPEN,
    (_S.OPEN, _I.STEERING): _S.OPEN,
    (_S.OPEN, _I.LIFE): _S.OPEN,
    (_S.OPEN, _I.END): _S.ENDING,
    (_S.OPEN, _I.EVENT): _S.OPEN,
    (_S.OPEN, _I.ERROR): _S.OPEN,
    (_S.OPEN, _I.SUMMARY): _S.CLOSING,
    (_S.OPEN, _I.FATAL_ERROR): _S.CLOSING,
    (_S.OPEN, _I.CLOSE): _S.CLOSED,
    (_S.ENDING, _I.LIFE): _S.ENDING,
    (_S.ENDING, _I.END): _S.ENDING,
    (_S.ENDING, _I.EVENT): _S.ENDING,
    (_S.ENDING, _I.ERROR): _S.ENDING,
    (_S.ENDING, _I.SUMMARY): _S.CLOSING,
    (_S.ENDING, _I.FATAL_ERROR): _S.CLOSING,
    (_S.ENDING, _I.CLOSE): _S.CLOSED,
    (_S.CLOSING, _I.ERROR): _S.CLOSING,
    (_S.CLOSING, _I.FATAL_ERROR): _S.CLOSING,
    (_S.CLOSING, _I.CLOSE): _S.CLOSED,
    (_S.CLOSED, _I.CLOSE): _S.CLOSED,
}


class StateError(RuntimeError):
    """Our own side tried something that the state forbids: a bug here, never the peer's fault."""


def step(state: ConnectionState, given: ConnectionInput) -> ConnectionState | None:
    """The next state, or None where `given` is illegal in `state`."""
    return TRANSITIONS.get((state, given))


def input_of_event(event: Event | UnknownEvent) -> ConnectionInput:
    """What an event, sent or received, means to the table."""
    if isinstance(event, Welcome):
        return ConnectionInput.WELCOME
    if isinstance(event, Summary):
        return ConnectionInput.SUMMARY
    if isinstance(event, Error):
        return ConnectionInput.FATAL_ERROR if event.fatal else ConnectionInput.ERROR
    return ConnectionInput.EVENT


def input_of_control(message: ControlMessage) -> ConnectionInput:
    """What a control message, sent or received, means to the table."""
    if isinstance(message, End):
        return ConnectionInput.END
    if isinstance(message, Ack | Ping):
        return ConnectionInput.LIFE
    return ConnectionInput.STEERING


def diagram() -> str:
    """The table as a Mermaid state diagram; inputs that lead the same way share an arrow."""
    arrows: dict[tuple[ConnectionState, ConnectionState], list[str]] = {}
    for (state, given), following in TRANSITIONS.items():
        arrows.setdefault((state, following), []).append(given.value)
    lines = ["stateDiagram-v2", f"    [*] --> {ConnectionState.OPENING}"]
    for (state, following), inputs in arrows.items():
        if state is not ConnectionState.CLOSED:
            lines.append(f"    {state} --> {following}: {', '.join(inputs)}")
    lines.append(f"    {ConnectionState.CLOSED} --> [*]")
    return "\n".join(lines)
