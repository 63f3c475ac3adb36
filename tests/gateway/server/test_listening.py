"""Sockets are bound before anything starts, and what can't be bound is said in one line."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.server.listening import UNREAD_MS, CannotListen, activated, adopted, is_public, listen, serves


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket on a free port."""
    with contextlib.closing(listen("127.0.0.1", 0)) as sock:
        yield sock


def test_a_taken_port_is_said(listener: socket.socket) -> None:
    """The second gateway on one port learns why it can't start."""
    port = listener.getsockname()[1]
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


def test_what_is_accepted_inherits_the_options(listener: socket.socket) -> None:
    """The kernel gives up a peer that acknowledges nothing for so long, whatever the application does."""
    with socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNREAD_MS
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_only_a_listening_tcp_socket_is_adopted(listener: socket.socket) -> None:
    """Whatever else another process passes on is refused, and closed."""
    left, right = socket.socketpair()
    with right, contextlib.closing(socket.socket()) as deaf:
        for wrong in (left, deaf):
            with pytest.raises(OSError, match="not a listening TCP socket"):
                adopted(wrong)
            assert wrong.fileno() == -1
    with adopted(listener.dup()) as sock:
        assert not sock.get_inheritable()
        assert sock.getsockname() == listener.getsockname()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "0", "LISTEN_PID": "7"},
        {"LISTEN_FDS": "x", "LISTEN_PID": "7", "LISTEN_FDNAMES": "x"},
    ],
)
def test_sockets_that_are_not_meant_for_us_are_left_alone(environ: dict[str, str]) -> None:
    """They were passed to another process; what tells of them is not passed on."""
    assert activated(environ, 7) is None
    assert environ == {}


def test_systemds_socket_is_used(listener: socket.socket) -> None:
    """Descriptor 3 of a process of its own, as systemd passes it on."""
    code = (
        "import os; from gateway.server.listening import activated\n"
        "os.environ['LISTEN_PID'] = str(os.getpid()); sock = activated(os.environ, os.getpid())\n"
        "print(sock.getsockname()[1], 'LISTEN_FDS' in os.environ)"
    )
    found = in_a_process_of_its_own(code, listener.fileno())
    assert found.stdout == f"{listener.getsockname()[1]} False\n", found.stderr


def test_what_systemd_passed_must_be_of_use() -> None:
    """A file instead of a socket is said in one line."""
    code = (
        "import os; from gateway.server.listening import activated, CannotListen\n"
        "try: activated({'LISTEN_FDS': '1', 'LISTEN_PID': '7'}, 7)\n"
        "except CannotListen as error: print(error)"
    )
    with Path(os.devnull).open() as file:
        assert "systemd passed on" in in_a_process_of_its_own(code, file.fileno()).stdout


def in_a_process_of_its_own(code: str, third: int) -> "subprocess.CompletedProcess[str]":
    """Run `code` with descriptor 3 a copy of `third`."""
    return subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" 3<&0', sys.executable, code],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "LISTEN_FDS": "1"},
        stdin=third,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_is_known_where_a_socket_listens(listener: socket.socket) -> None:
    """By number or by name; another port or another address is another place."""
    port = listener.getsockname()[1]
    assert serves(listener, "127.0.0.1", port)
    assert serves(listener, "localhost", 0)
    assert not serves(listener, "127.0.0.1", port % 65_535 + 1)
    assert not serves(listener, "0.0.0.0", port)
    assert not serves(listener, "nobody.invalid", port)
    assert not is_public(listener)
    with contextlib.closing(listen("0.0.0.0", 0)) as public:
        assert is_public(public)
