"""The sockets of several processes: the address that they share, and one for each alone."""

import contextlib
import os
import socket
from collections.abc import MutableMapping, Sequence

from gateway.server.entrance import allowed
from gateway.server.listening import CannotListen, activated, listen, share
from gateway.server.supervisor import Port
from gateway.settings import Settings


def open_ports(settings: Settings, environ: MutableMapping[str, str]) -> tuple[Port, Sequence[socket.socket]]:
    """The one that all share, and where `UNDERTONE_METRICS_PORT` wants them the others.

    Args:
        environ: the process's environment; systemd's variables are taken out.

    Raises:
        CannotListen: one of them can't be had.
    """
    with contextlib.ExitStack() as undo:
        inherited = activated(environ, os.getpid())
        if inherited is not None:
            port = Port(undo.enter_context(allowed(inherited, settings)), passed=True)
        else:
            port = Port(undo.enter_context(share(settings.host, settings.port)))
        first, host = settings.metrics_port, port.sock.getsockname()[0]
        numbers = range(first, first + settings.processes) if first is not None else ()
        own = [undo.enter_context(_own(host, number)) for number in numbers]
        undo.pop_all()
        return port, own


def _own(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except CannotListen as error:
        raise CannotListen(str(error), _PORTS) from error


_PORTS = "UNDERTONE_METRICS_PORT names the first of as many free ports as there are processes."
