"""The sockets of several processes."""

import contextlib
import os
import socket

import pytest

from gateway.server.listening import CannotListen, listen
from gateway.server.ports import open_ports
from gateway.server.supervisor import Port
from gateway.settings import Settings

SEVERAL = {"UNDERTONE_STORE": "valkey://127.0.0.1:6379", "UNDERTONE_PROCESSES": "2", "UNDERTONE_PORT": "0"}


def two_free() -> int:
    """The first of two free ports in a row."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(CannotListen):
            first = stack.enter_context(listen("127.0.0.1", 0)).getsockname()[1]
            stack.enter_context(listen("127.0.0.1", first + 1))
            return int(first)


def opened(**more: str) -> tuple[Port, list[int]]:
    """What is shared, and the ports of each alone; all of it closed again."""
    settings = Settings.load(SEVERAL | {f"UNDERTONE_{name}": text for name, text in more.items()})
    port, own = open_ports(settings, {})
    with contextlib.ExitStack() as stack:
        for sock in (port.sock, *own):
            stack.enter_context(sock)
        return port, [sock.getsockname()[1] for sock in own]


def test_each_is_reached_alone_where_that_is_wanted() -> None:
    """One port each, in order."""
    assert opened()[1] == []
    first = two_free()
    assert opened(METRICS_PORT=f"{first}")[1] == [first, first + 1]


def test_a_port_that_is_taken_is_told_with_its_setting() -> None:
    """And nothing stays open."""
    first = two_free()
    with (
        contextlib.closing(listen("127.0.0.1", first + 1)),
        pytest.raises(CannotListen, match=f"port {first + 1}") as failed,
    ):
        opened(METRICS_PORT=f"{first}")
    assert "UNDERTONE_METRICS_PORT" in failed.value.hint
    listen("127.0.0.1", first).close()


def test_what_systemd_passes_on_is_shared_as_it_is() -> None:
    """Every process accepts from the one queue."""
    with contextlib.closing(listen("127.0.0.1", 0)) as sock:
        port = Port(sock, passed=True)
        with contextlib.closing(port.open()) as first, contextlib.closing(port.open()) as second:
            for one in (first, second):
                assert os.path.sameopenfile(one.fileno(), sock.fileno())
                assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
