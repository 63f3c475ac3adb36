"""The listening socket: bound before anything starts, or handed to us; accepted ones inherit its options."""

import contextlib
import ipaddress
import os
import socket
from collections.abc import MutableMapping

BACKLOG = 2048
"""Connections that may wait to be accepted."""
UNREAD_MS = 15_000
"""Milliseconds that sent bytes may go unacknowledged, or a peer's receive window may stay shut (RFC 5482).

Without it the kernel keeps a peer that never reads for many minutes, and with it the descriptor.
"""
_FIRST_FD = 3
"""The first descriptor that systemd passes on: sd_listen_fds(3)."""


class CannotListen(Exception):
    """There is no socket to listen on. Says why, and, where there is something to be done, what."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def listen(host: str, port: int) -> socket.socket:
    """A bound, listening socket; port 0 takes any free one.

    Raises:
        CannotListen: the address is taken, not ours, or not allowed.
    """
    try:
        return prepared(socket.create_server((host, port), family=_family(host), backlog=BACKLOG))
    except (OSError, OverflowError) as error:
        raise _refused(host, port, error) from error


def share(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen, and keeps the address for others of this user (SO_REUSEPORT).

    Port 0 takes any free one. Who listens there already is no such other.

    Raises:
        CannotListen: as `listen`.
    """
    listen(host, port).close()  # with SO_REUSEPORT a second gateway would get half of the connections
    return bound(host, port)


def bound(host: str, port: int) -> socket.socket:
    """One more socket on an address that is kept by `share`. It gets connections from when it listens on, and
    about as many as each other one that does: the kernel chooses by a hash of both addresses.

    Raises:
        CannotListen: as `listen`.
    """
    sock = socket.socket(_family(host), socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if sock.family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as create_server() has it
        sock.bind((host, port))
        return prepared(sock)
    except (OSError, OverflowError) as error:
        sock.close()
        raise _refused(host, port, error) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _refused(host: str, port: int, error: Exception) -> CannotListen:
    # The error's own text names the address once more; a failed look-up has only its own text.
    number = getattr(error, "errno", None) or 0
    reason = os.strerror(number) if number > 0 else str(error)
    return CannotListen(f"can't listen on {host} port {port}: {reason}")


def activated(environ: MutableMapping[str, str], pid: int) -> socket.socket | None:
    """The listening socket that systemd made for this process (sd_listen_fds(3)), if it did.

    Takes what tells of it out of `environ`, so that no child believes that it is meant.

    Raises:
        CannotListen: it is none to listen on.
    """
    count, whom = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if whom != str(pid) or not count.isdecimal() or int(count) < 1:
        return None
    try:
        return adopted(socket.socket(fileno=_FIRST_FD))
    except OSError as error:
        why = f"the socket that systemd passed on can't be used: {error}"
        raise CannotListen(why, "Its unit is to listen on one TCP address, with Accept=no.") from error


def adopted(sock: socket.socket) -> socket.socket:
    """A socket that another process made, as if it were ours.

    Raises:
        OSError: it is no listening TCP socket; it is closed then.
    """
    try:
        tcp = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type is socket.SOCK_STREAM
        if not tcp or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError("it is not a listening TCP socket")
        sock.set_inheritable(False)
        return prepared(sock)
    except OSError:
        sock.close()
        raise


def prepared(sock: socket.socket) -> socket.socket:
    """`sock` with the options of ours, which Linux lets each connection that it accepts inherit."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
    return sock


def serves(sock: socket.socket, host: str, port: int) -> bool:
    """Whether `sock` listens where the settings want it."""
    bound_host, bound_port = sock.getsockname()[:2]
    if port not in (0, bound_port):
        return False
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(host, port, sock.family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return any(address[4][0] == bound_host for address in found)
    return False


def is_public(sock: socket.socket) -> bool:
    """Whether other machines may reach `sock`."""
    return not ipaddress.ip_address(sock.getsockname()[0]).is_loopback
