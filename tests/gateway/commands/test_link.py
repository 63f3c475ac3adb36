"""Addresses as people type them, and failures as they should read."""

import pytest

from gateway.commands import link
from gateway.commands.exits import CommandError, ExitCode
from protocol import events as ev


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("ws://127.0.0.1:8522", "ws://127.0.0.1:8522/ws/voice"),
        ("http://127.0.0.1:8522/", "ws://127.0.0.1:8522/ws/voice"),
        ("https://voice.example.org", "wss://voice.example.org/ws/voice"),
        ("localhost:9000", "ws://localhost:9000/ws/voice"),
        ("[::1]:9000", "ws://[::1]:9000/ws/voice"),
        ("ws://host/behind/a/proxy?x=1#f", "ws://host/behind/a/proxy?x=1"),
    ],
)
def test_addresses_are_understood(given: str, meant: str) -> None:
    """Any usual way to name a gateway leads to its WebSocket."""
    assert link.voice_url(given) == meant


@pytest.mark.parametrize(
    "given", ["", "ftp://host", "ws://", "ws://host:port", "ws://host:70000", "ws://[::1"]
)
def test_no_addresses(given: str) -> None:
    """What is no address is a usage error that shows how one looks."""
    with pytest.raises(CommandError) as refused:
        link.voice_url(given)
    assert refused.value.code is ExitCode.USAGE
    assert link.DEFAULT_URL in str(refused.value.hint)


@pytest.mark.parametrize(
    "address", ["ws://host:1/ws/voice?ticket=secret", "ws://user:secret@host:1/ws/voice"]
)
def test_unreachable_hides_what_is_secret(address: str) -> None:
    """An address is shown without its query and its password."""
    error = link.unreachable(address, "connection refused")
    assert error.message == "no gateway answers at ws://host:1: connection refused"
    assert error.code is ExitCode.UNREACHABLE


def test_reason_is_the_operating_systems() -> None:
    """However deep it is wrapped, the operating system's reason is told in plain words."""
    wrapped = RuntimeError("wrapped")
    wrapped.__context__ = ConnectionRefusedError(111, "Connect call failed")
    assert link.reason_of(wrapped) == "connection refused"
    assert link.reason_of(ValueError("what it says")) == "what it says"


def error(code: str = "flood") -> ev.Error:
    return ev.Error(code=code, message="too fast", param=None, fatal=True)


@pytest.mark.parametrize(
    ("close", "event", "code", "told"),
    [
        (4009, error(), ExitCode.REFUSED, "the gateway refused: flood: too fast"),
        (4100, error("overloaded"), ExitCode.LOST, "the connection was lost: overloaded: too fast"),
        (1012, None, ExitCode.LOST, "the gateway was stopped"),
        (1001, None, ExitCode.LOST, "the gateway was stopped"),
        (1006, None, ExitCode.LOST, "still running"),
        (4005, None, ExitCode.REFUSED, "took over"),
        (4099, None, ExitCode.REFUSED, "4099"),
        (4009, error("of_tomorrow"), ExitCode.REFUSED, "of_tomorrow"),
    ],
)
def test_losses_are_told_apart(close: int, event: ev.Error | None, code: ExitCode, told: str) -> None:
    """A final verdict exits with 4, a lost connection with 5, each with its reason."""
    lost = link.lost(close, "", event)
    assert lost.code is code
    assert told in lost.message
    assert lost.message != "the gateway was stopped" or "serve" in str(lost.hint)


def test_what_is_gone_for_good_is_told_apart() -> None:
    """Tried in vain, forgotten by the gateway, or taken over: each has its own words."""
    tried = link.gone(1006, "no connection for 100 s", None)
    assert (tried.code, tried.message) == (ExitCode.LOST, "the connection was lost: no connection for 100 s")
    forgotten = link.gone(4004, "", error("session_not_found"))
    assert forgotten.code is ExitCode.LOST
    assert "no longer knows" in forgotten.message
    assert link.gone(4005, "", None).code is ExitCode.REFUSED


@pytest.mark.parametrize("status", [200, 404, 426, 501])
def test_other_servers_are_no_gateways(status: int) -> None:
    """An HTTP server that knows nothing of our WebSocket is not an absent gateway, nor one that refuses."""
    error = link.not_opened("ws://host:1/ws/voice", status)
    assert error.message == "something answers at ws://host:1, but it is not an Undertone gateway"
    assert error.code is ExitCode.UNREACHABLE
    assert "--url" in str(error.hint)


def test_refusals_say_what_to_do() -> None:
    """The advice belongs to the code, so it is always there for codes we know."""
    assert link.refused(error()).hint == "Send at real time, or use `delivery: lossless`."
    assert link.refused(error("of_tomorrow")).hint is None
    assert "HTTP 503" in link.not_opened("ws://h/ws/voice", 503).message
