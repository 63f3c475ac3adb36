"""The store's address: what is understood, what is refused, and that no secret gets out."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stores.valkey.url import Kind, Target, parse


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("valkey://localhost", Target(Kind.SINGLE, (("localhost", 6379),))),
        ("redis://10.0.0.1:7000/3", Target(Kind.SINGLE, (("10.0.0.1", 7000),), db=3)),
        ("valkey://[::1]:7000/", Target(Kind.SINGLE, (("::1", 7000),))),
        (
            "valkeys://:p%40ss@db.example",
            Target(Kind.SINGLE, (("db.example", 6379),), tls=True, password="p@ss"),
        ),
        (
            "rediss://app:s%3Aecret@db:1?ca_file=/ca.pem&timeout_s=0.5&connections=4&prefix=mine",
            Target(
                Kind.SINGLE,
                (("db", 1),),
                tls=True,
                user="app",
                password="s:ecret",
                ca_file="/ca.pem",
                timeout_s=0.5,
                connections=4,
                prefix="mine",
            ),
        ),
        (
            "valkey+sentinel://u:p@a,b:1/main/2?sentinel_password=q",
            Target(
                Kind.SENTINEL,
                (("a", 26379), ("b", 1)),
                service="main",
                db=2,
                user="u",
                password="p",
                sentinel_password="q",
            ),
        ),
        ("valkeys+cluster://a:1,b/0", Target(Kind.CLUSTER, (("a", 1), ("b", 6379)), tls=True)),
    ],
)
def test_what_is_understood(url: str, expected: Target) -> None:
    """Servers, sentinels and clusters, with and without TLS; user and password may be percent-encoded."""
    assert parse(url) == expected


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://localhost", "must begin with"),
        ("valkey+magic://localhost", "must begin with"),
        ("localhost:6379", "must begin with"),
        ("valkey://", "no host"),
        ("valkey://a b", "no host"),
        ("valkey://[::1", "can't be read"),
        ("valkey://a:0", "port"),
        ("valkey://a:70000", "port"),
        ("valkey://a:b", "no host"),
        ("valkey://a,b", "several hosts"),
        ("valkey://a/b", "number of a database"),
        ("valkey://a/1/2", "number of a database"),
        ("valkey+sentinel://a", "service"),
        ("valkey+sentinel://a/main/x", "number of a database"),
        ("valkey+cluster://a/1", "no databases"),
        ("valkey://user@a", "no password"),
        ("valkey://:secret#word@a", "%23"),
        ("valkey://:secret/wo@rd@a", "%2F"),
        ("valkey://u:1/rd@a", "%2F"),
        ("valkey://:secret?wo@rd@a", "%3F"),
        ("valkey://a?prefix={x}", "prefix"),
        ("valkey://a?prefix=", "prefix"),
        ("valkey://a?timeout_s=0", "timeout_s"),
        ("valkey://a?timeout_s=nan", "timeout_s"),
        ("valkey://a?connections=0", "connections"),
        ("valkey://a?colour=red", "unknown"),
        ("valkey://a?prefix=a&prefix=b", "twice"),
        ("valkey://a?ca_file=/ca.pem", "no TLS"),
        ("valkeys://a?cert_file=/c.pem", "both"),
        ("valkeys://a?ca_file=", "without a value"),
    ],
)
def test_what_is_refused(url: str, why: str) -> None:
    """The message says what is wrong."""
    with pytest.raises(ValueError, match=why):
        parse(url)


@given(st.text(), st.sampled_from(["valkey://", "valkey+sentinel://", "valkeys+cluster://", ""]))
def test_any_text_is_understood_or_refused(text: str, beginning: str) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(ValueError):
        assert parse(beginning + text).addresses


def test_no_secret_is_shown() -> None:
    """Neither where a target is printed, nor where its URL is refused."""
    target = parse("valkey+sentinel://app:geheim@a/main?sentinel_password=geheim")
    assert "geheim" not in f"{target} {target!r}"
    for url in (
        "valkey://app:geheim@a:x",
        "valkey://:geheim@",
        "valkey://:geheim#@a",
        "valkey://a?pass=geheim",
    ):
        with pytest.raises(ValueError, match="URL") as refused:
            parse(url)
        assert "geheim" not in str(refused.value)
