"""Whom the gateway believes, and which pages may come in."""

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.origin import OriginPolicy

PROXY = "10.0.0.7"


def scope(
    headers: dict[str, str] | None = None,
    client: tuple[str, int] | None = ("127.0.0.1", 50_000),
    server: tuple[str, int | None] | None = ("127.0.0.1", 8522),
    scheme: str = "http",
) -> dict[str, Any]:
    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return {"type": "http", "scheme": scheme, "client": client, "server": server, "headers": raw}


def policy(*allowed: str) -> OriginPolicy:
    return OriginPolicy(allowed, [ip_network("10.0.0.0/24")])


def test_a_strangers_headers_change_nothing() -> None:
    """Neither Host nor forwarding headers move the address."""
    said = {"host": "evil.example", "x-forwarded-proto": "https", "forwarded": "proto=https;host=evil"}
    address = policy().address(scope(said))
    assert (address.http("/x"), address.websocket("/y")) == (
        "http://127.0.0.1:8522/x",
        "ws://127.0.0.1:8522/y",
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": "voice.example"}, "http://voice.example/"),
        ({"host": "voice.example", "x-forwarded-proto": "https"}, "https://voice.example/"),
        ({"host": "inner", "x-forwarded-host": "voice.example"}, "http://voice.example/"),
        ({"host": "a", "x-forwarded-proto": "http, https"}, "https://a/"),
        ({"host": "a", "x-forwarded-proto": "https, http"}, "http://a/"),
        (
            {"host": "a", "x-forwarded-proto": "https, http", "x-forwarded-for": "1.2.3.4, 10.0.0.7"},
            "https://a/",
        ),
        ({"host": "a", "x-forwarded-proto": "https", "x-forwarded-for": "10.0.0.7, 10.0.0.8"}, "https://a/"),
        (
            {"host": "a", "forwarded": 'for=1.2.3.4;proto=https;host="v.example:444"'},
            "https://v.example:444/",
        ),
        ({"host": "a", "forwarded": "host=evil, for=1.2.3.4;host=v.example"}, "http://v.example/"),
        ({"host": "a", "forwarded": "host=v.example, for=10.0.0.7:81;host=inner"}, "http://v.example/"),
        ({"host": "a", "forwarded": 'host="b,c";for="[::ffff:10.0.0.7]:1"'}, "http://10.0.0.1:8522/"),
        ({"host": "a", "forwarded": 'host="b'}, "http://a/"),
        ({"host": "bad host/<script>"}, "http://10.0.0.1:8522/"),
        ({}, "http://10.0.0.1:8522/"),
    ],
)
def test_a_trusted_proxy_is_believed(headers: dict[str, str], expected: str) -> None:
    """What it says of scheme and host counts, as far as it is a host at all."""
    asked = scope(headers, client=(PROXY, 1), server=("10.0.0.1", 8522))
    assert policy().address(asked).http("/") == expected


def test_of_two_headers_the_proxys_own_counts() -> None:
    """One that its client sent stands before it."""
    asked = scope({"host": "a"}, client=(PROXY, 1), server=("10.0.0.1", 8522))
    asked["headers"] += [(b"x-forwarded-host", b"evil"), (b"x-forwarded-host", b"v.example")]
    assert policy().address(asked).http("/") == "http://v.example/"


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=60))
def test_no_header_breaks_anything(value: str) -> None:
    """Whatever a proxy passes on, there is an address."""
    names = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")
    asked = scope(dict.fromkeys(names, value), client=(PROXY, 1), server=("10.0.0.1", 8522))
    assert policy().address(asked).scheme in ("http", "https")


def test_an_address_without_its_schemes_own_port_is_short() -> None:
    """As people and browsers write it, IPv6 in brackets."""
    assert policy().address(scope(server=("::1", 80))).http("/") == "http://[::1]/"
    assert policy().address(scope(server=("h", 443), scheme="wss")).websocket("/") == "wss://h/"
    assert policy().address(scope(server=None)).http("/") == "http://127.0.0.1/"


@pytest.mark.parametrize(
    ("origin", "admitted"),
    [
        (None, True),
        ("http://127.0.0.1:8522", True),
        ("http://localhost:8522", True),
        ("https://app.example", True),
        ("https://127.0.0.1:8522", False),
        ("http://127.0.0.1", False),
        ("http://127.0.0.1:8523", False),
        ("http://rebound.example:8522", False),
        ("https://app.example.evil", False),
        ("https://app.example:444", False),
        ("http://app.example", False),
        ("HTTPS://APP.EXAMPLE", False),
        ("null", False),
        ("", False),
    ],
)
def test_pages_are_admitted_by_exact_origin(origin: str | None, admitted: bool) -> None:
    """The gateway's own, localhost on loopback, the list; no suffix, no other port or scheme, no null."""
    headers = {"host": "rebound.example:8522"} | ({"origin": origin} if origin is not None else {})
    assert policy("https://app.example").admits(scope(headers)) is admitted


def test_behind_a_proxy_the_own_origin_is_the_outer_one() -> None:
    """The page was served from the proxy's name, and from there it may connect."""
    headers = {"host": "voice.example", "x-forwarded-proto": "https", "origin": "https://voice.example"}
    assert policy().admits(scope(headers, client=(PROXY, 1), scheme="ws"))
    assert not policy().admits(scope(headers, scheme="ws"))


@pytest.mark.parametrize(
    ("peer", "expected"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("192.168.1.4", False), ("x", False)],
)
def test_who_is_on_this_machine(peer: str, expected: bool) -> None:
    """Loopback peers, unless a trusted proxy speaks for others from there."""
    assert policy().from_this_machine(scope(client=(peer, 1))) is expected
    trusting = OriginPolicy((), [ip_network("127.0.0.0/8"), ip_network("::1/128")])
    assert not trusting.from_this_machine(scope(client=(peer, 1)))


def test_a_peer_without_an_address_is_nobody() -> None:
    """A Unix socket's peer is neither this machine nor a proxy."""
    assert not policy().from_this_machine(scope(client=None))
    assert not policy().from_trusted_proxy(scope(client=None))


@pytest.mark.parametrize(
    ("host", "believed"),
    [
        ("127.0.0.1:8522", True),
        ("localhost:8522", True),
        ("LOCALHOST", True),
        ("[::1]:8522", True),
        ("app.example", True),
        (None, True),
        ("rebound.example:8522", False),
        ("127.0.0.1.rebound.example", False),
        ("localhost.rebound.example:8522", False),
        ("app.example:81", False),
        ("", False),
    ],
)
def test_on_loopback_the_host_must_be_ours(host: str | None, believed: bool) -> None:
    """A name made to point here makes a foreign page same-origin: no Origin comes, but the Host."""
    headers = {} if host is None else {"host": host}
    assert policy("https://app.example").believes_host(scope(headers)) is believed


def test_elsewhere_and_behind_a_proxy_any_host_is_believed() -> None:
    """Other addresses have names we can't know, and a trusted proxy has chosen its own."""
    headers = {"host": "voice.example"}
    assert policy().believes_host(scope(headers, server=("192.168.1.4", 8522)))
    assert policy().believes_host(scope(headers, client=(PROXY, 1)))
