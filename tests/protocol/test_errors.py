"""Every error answers whose fault it is and what to do; every close says whether to come back."""

import pytest

from protocol.close import CloseCode, Reconnect, reconnect
from protocol.errors import ErrorCode, Fault, ProtocolError, invalid_field
from protocol.events import Error


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_is_complete(code: ErrorCode) -> None:
    """Fault, advice and close code exist for each."""
    assert code.fault in Fault
    assert code.advice.endswith(".")
    assert code.close_code in CloseCode


@pytest.mark.parametrize("code", list(ErrorCode))
def test_servers_faults_invite_back_and_clients_do_not(code: ErrorCode) -> None:
    """After the server's fault a client comes back; after its own it doesn't, but for reading too slowly."""
    comes_back = reconnect(code.close_code) is Reconnect.RESUME
    assert comes_back is (code.fault is Fault.SERVER or code is ErrorCode.READER_TOO_SLOW)


@pytest.mark.parametrize("code", list(CloseCode))
def test_every_close_code_has_a_meaning(code: CloseCode) -> None:
    """The reference has a sentence for each."""
    assert code.meaning.endswith(".")


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (1000, Reconnect.NEVER),
        (1001, Reconnect.RESUME),
        (1006, Reconnect.RESUME),
        (1009, Reconnect.NEVER),
        (1011, Reconnect.RESUME),
        (1012, Reconnect.AFTER_DRAIN),
        (4005, Reconnect.NEVER),
        (4099, Reconnect.NEVER),
        (4100, Reconnect.RESUME),
        (4199, Reconnect.RESUME),
        (4200, Reconnect.NEVER),
        (3000, Reconnect.NEVER),
    ],
)
def test_reconnect_goes_by_range(code: int, advice: Reconnect) -> None:
    """A code of a later version is understood by its range."""
    assert reconnect(code) is advice


def test_an_error_becomes_an_event() -> None:
    """What was raised is what the peer is told."""
    raised = ProtocolError(ErrorCode.FLOOD, "far too fast", fatal=True)
    assert raised.to_event() == Error(code="flood", message="far too fast", param=None, fatal=True)
    assert raised.close_code is CloseCode.FLOOD
    assert str(invalid_field("hop_ms", "must be less")) == "invalid_field (hop_ms): must be less"
