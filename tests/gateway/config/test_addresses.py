"""Addresses in settings: exact, or refused with what to write instead."""

import pytest

from gateway.config.addresses import host, is_loopback, network, origin, sidecar, websocket
from gateway.config.problems import Refused


@pytest.mark.parametrize(
    "text",
    [
        "https://app.example.org",
        "http://localhost:3000",
        "https://app.example.org:8443",
        "http://[::1]:8080",
        "capacitor://localhost",
    ],
)
def test_an_exact_origin_is_taken_as_it_is(text: str) -> None:
    """What browsers send as Origin is what may be listed."""
    assert origin(text) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("https://app.example.org/", "write https://app.example.org"),
        ("https://app.example.org/path?x=1", "write https://app.example.org"),
        ("https://App.Example.org", "write https://app.example.org"),
        ("https://app.example.org:443", "write https://app.example.org"),
        ("https://user:secret@app.example.org", "write https://app.example.org"),
    ],
)
def test_an_origin_no_browser_would_send_is_corrected(text: str, hint: str) -> None:
    """An entry that would never match is refused, and the right one is offered."""
    with pytest.raises(Refused) as refused:
        origin(text)
    assert refused.value.hint == hint


@pytest.mark.parametrize(
    "text",
    ["*", "null", "app.example.org", "https://*.example.org", "https://", "https://ä.org", "http://a:99999"],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    """Wildcards, `null`, bare names and impossible ports never get in."""
    with pytest.raises(Refused):
        origin(text)


def test_networks_are_addresses_or_cidr() -> None:
    """One address is a network of one."""
    assert str(network("10.0.0.0/8")) == "10.0.0.0/8"
    assert str(network("192.0.2.7")) == "192.0.2.7/32"
    assert str(network("2001:db8::/32")) == "2001:db8::/32"


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "*", "proxy.local", "10.0.0.1/8", ""])
def test_networks_of_everybody_or_of_nobody_are_refused(text: str) -> None:
    """Trusting everybody, names, and an address with a prefix that swallows it are mistakes."""
    with pytest.raises(Refused):
        network(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("LocalHost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.4", False),
        ("localhost.example.org", False),
        ("myhost", False),
    ],
)
def test_loopback(text: str, expected: bool) -> None:
    """Only what nobody outside can reach counts as loopback."""
    assert is_loopback(text) is expected


@pytest.mark.parametrize("text", ["", "127.0.0.1:80", "http://x", "a b", "[::1]"])
def test_a_host_is_only_a_host(text: str) -> None:
    """Ports, schemes and brackets don't belong to a host."""
    with pytest.raises(Refused):
        host(text)


@pytest.mark.parametrize(
    "text",
    [
        "wss://voice.example.org/ws/voice",
        "ws://10.0.0.7:8522/ws/voice",
        "wss://[::1]:8443",
        "wss://a.example",
    ],
)
def test_the_address_of_a_websocket_is_taken_as_it_is(text: str) -> None:
    """Clients are told it letter by letter."""
    assert websocket(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "https://voice.example.org/ws/voice",
        "voice.example.org",
        "wss://",
        "wss://a:99999/",
        "wss://a.example/ws?session_id=1",
        "wss://a.example/#x",
        "wss://user:secret@a.example/",
        "wss://ä.example/",
        "wss://a.example/a b",
    ],
)
def test_what_clients_could_not_connect_to_is_refused(text: str) -> None:
    """Another scheme, no host, or what belongs to a client's own query."""
    with pytest.raises(Refused):
        websocket(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://127.0.0.1:8523", "http://127.0.0.1:8523"),
        ("https://voice.example.org/", "https://voice.example.org"),
        ("http://[::1]:8523/tone/", "http://[::1]:8523/tone"),
        ("unix:///run/undertone/sidecar.sock", "unix:///run/undertone/sidecar.sock"),
    ],
)
def test_the_address_of_a_sidecar(text: str, address: str) -> None:
    """Without a slash at its end; what comes out is taken again as it is."""
    assert sidecar(text) == address
    assert sidecar(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:8523",
        "ws://127.0.0.1:8523",
        "http://",
        "http://a:99999",
        "http://user:secret@a",
        "http://token@a",
        "http://a?x=1",
        "http://a?",
        "http://a#b",
        "http://ä.example",
        "http://a b",
        "http://a\\b",
        "unix://run/sidecar.sock",
        "unix:run/sidecar.sock",
        "unix:///",
        "unix:///" + "x" * 200,
    ],
)
def test_what_is_no_sidecar_is_refused(text: str) -> None:
    """Another scheme, no host, and above all credentials, which would end in logs."""
    with pytest.raises(Refused) as refused:
        sidecar(text)
    assert "secret" not in str(refused.value)
