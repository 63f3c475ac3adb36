"""Sockets are bound before anything starts, and what can't be bound is said in one line."""

import contextlib

import pytest

from gateway.server.run import CannotListen, listen


def test_a_taken_port_is_said() -> None:
    """The second gateway on one port learns why it can't start."""
    with contextlib.closing(listen("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"can't listen on 127\.0\.0\.1 port {port}: Address already"):
            listen("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_said() -> None:
    """TEST-NET-1 (RFC 5737) is nobody's."""
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0)


def test_ipv6_works() -> None:
    """The loopback address of the other family."""
    try:
        sock = listen("::1", 0)
    except CannotListen as error:
        if "Cannot assign" in str(error) or "not supported" in str(error):
            pytest.skip("this machine has no IPv6 loopback")
        raise
    with contextlib.closing(sock):
        assert sock.getsockname()[0] == "::1"
