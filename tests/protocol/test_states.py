"""The connection table: every state × every input, at both ends."""

from itertools import product

import pytest

from protocol import states
from protocol.close import CloseCode
from protocol.connection import Audio, ClientConnection, ServerConnection
from protocol.control import ControlMessage
from protocol.errors import ErrorCode, ProtocolError
from protocol.events import Event
from protocol.states import TRANSITIONS, ConnectionInput, ConnectionState, StateError
from protocol.version import Encoding
from tests.vectors.messages import CONTROLS, EVENTS

S = ConnectionState
I = ConnectionInput  # noqa: E741 - as in the table

EVENT_OF: dict[ConnectionInput, Event] = {
    I.WELCOME: EVENTS["welcome"],
    I.EVENT: EVENTS["flow"],
    I.SUMMARY: EVENTS["summary"],
    I.ERROR: EVENTS["error"],
    I.FATAL_ERROR: EVENTS["error, fatal"],
}
CONTROL_OF: dict[ConnectionInput, ControlMessage] = {
    I.STEERING: CONTROLS["position"],
    I.LIFE: CONTROLS["ping"],
    I.END: CONTROLS["end"],
}
EVERY_PAIR = pytest.mark.parametrize(("state", "given"), list(product(S, I)))

LEGAL = {
    S.OPENING: {I.WELCOME, I.FATAL_ERROR, I.CLOSE},
    S.OPEN: set(I) - {I.WELCOME},
    S.ENDING: set(I) - {I.WELCOME, I.AUDIO, I.STEERING},
    S.CLOSING: {I.ERROR, I.FATAL_ERROR, I.CLOSE},
    S.CLOSED: {I.CLOSE},
}
"""What the protocol's prose says, written a second time by hand."""


def test_the_table_is_what_the_prose_says() -> None:
    """Exactly the documented inputs are legal in each state."""
    assert {state: {given for at, given in TRANSITIONS if at is state} for state in S} == LEGAL


def test_states_only_move_forward() -> None:
    """No input leads back to an earlier state, so every connection ends."""
    order = list(S)
    assert all(order.index(following) >= order.index(state) for (state, _), following in TRANSITIONS.items())
    assert all(TRANSITIONS[state, I.CLOSE] is S.CLOSED for state in S)


def _server(state: ConnectionState) -> ServerConnection:
    connection = ServerConnection(Encoding.JSON)
    connection.state = state
    return connection


def _client(state: ConnectionState) -> ClientConnection:
    connection = ClientConnection(Encoding.JSON)
    connection.state = state
    return connection


@EVERY_PAIR
def test_server_follows_the_table(state: ConnectionState, given: ConnectionInput) -> None:
    """Legal inputs move the server as the table says; an illegal one raises and moves nothing."""
    connection = _server(state)
    expected = states.step(state, given)
    if given is I.CLOSE:
        connection.close(CloseCode.NORMAL)
    elif given in EVENT_OF:
        if expected is None:
            with pytest.raises(StateError):
                connection.send(EVENT_OF[given])
        else:
            assert isinstance(connection.send(EVENT_OF[given]), str)
    else:
        _server_receives(connection, given, legal=expected is not None)
    assert connection.state is (state if expected is None else expected)


def _server_receives(connection: ServerConnection, given: ConnectionInput, *, legal: bool) -> None:
    data: bytes | str = b"\x01\x02" if given is I.AUDIO else states_text(CONTROL_OF[given])
    if legal:
        expected = Audio(b"\x01\x02") if given is I.AUDIO else CONTROL_OF[given]
        assert connection.receive(data) == expected
    elif connection.state in (S.OPENING, S.CLOSED):
        with pytest.raises(StateError):
            connection.receive(data)
    else:
        with pytest.raises(ProtocolError) as refused:
            connection.receive(data)
        after_end = given is I.AUDIO and connection.state is S.ENDING
        assert refused.value.code is (ErrorCode.AUDIO_AFTER_END if after_end else ErrorCode.SESSION_CLOSED)
        assert not refused.value.fatal


def states_text(message: ControlMessage) -> str:
    """The message as a client sends it."""
    return _client(S.OPEN).send(message)


@EVERY_PAIR
def test_client_follows_the_table(state: ConnectionState, given: ConnectionInput) -> None:
    """Legal inputs move the client as the table says; an illegal one raises and moves nothing."""
    connection = _client(state)
    expected = states.step(state, given)
    if given is I.CLOSE:
        connection.closed(1006)
    elif given in EVENT_OF:
        data = ServerConnection.send(_server(_speaking(given)), EVENT_OF[given])
        if expected is None:
            with pytest.raises(StateError if state is S.CLOSED else ProtocolError):
                connection.receive(data)
        else:
            assert connection.receive(data) == EVENT_OF[given]
    elif expected is None:
        with pytest.raises(StateError):
            _client_sends(connection, given)
    else:
        _client_sends(connection, given)
    assert connection.state is (state if expected is None else expected)


def _speaking(given: ConnectionInput) -> ConnectionState:
    return S.OPENING if given is I.WELCOME else S.OPEN


def _client_sends(connection: ClientConnection, given: ConnectionInput) -> None:
    if given is I.AUDIO:
        assert connection.audio(b"\x01\x02") == b"\x01\x02"
    else:
        connection.send(CONTROL_OF[given])


def test_every_message_has_an_input() -> None:
    """Each golden message means one input of the table."""
    assert {states.input_of_event(event) for event in EVENTS.values()} == set(EVENT_OF)
    assert {states.input_of_control(message) for message in CONTROLS.values()} == set(CONTROL_OF)


def test_the_diagram_shows_every_edge() -> None:
    """Each transition of the table stands on an arrow of the Mermaid diagram, and no other."""
    lines = states.diagram().splitlines()
    shown = set()
    for line in lines[2:-1]:
        edge, _, inputs = line.strip().partition(": ")
        start, _, stop = edge.partition(" --> ")
        shown |= {(start, stop, given) for given in I if given.value in _split(inputs)}
    assert lines[0] == "stateDiagram-v2"
    assert shown == {
        (state, following, given)
        for (state, given), following in TRANSITIONS.items()
        if state is not S.CLOSED
    }


def _split(inputs: str) -> set[str]:
    """Input names out of a label; some hold commas themselves."""
    found = set()
    for given in sorted(I, key=lambda one: -len(one.value)):
        if given.value in inputs:
            found.add(given.value)
            inputs = inputs.replace(given.value, "")
    return found
