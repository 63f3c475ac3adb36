"""Where the listening socket comes from: the process before this one, systemd, or the settings."""

import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

from gateway.server.listening import CannotListen, activated, is_public, listen, serves
from gateway.server.takeover import Place, take_place
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Entrance:
    """What a server listens on."""

    listener: socket.socket
    place: Place | None = None
    """Its part in a handover, where the settings want one."""
    own: socket.socket | None = None
    """Where this one of several processes is reached, and no other."""

    @property
    def listeners(self) -> list[socket.socket]:
        """All of them."""
        return [self.listener] if self.own is None else [self.listener, self.own]


def open_entrance(settings: Settings, environ: MutableMapping[str, str]) -> Entrance:
    """The listening socket, before anything starts.

    Args:
        environ: the process's environment; systemd's variables are taken out.

    Raises:
        CannotListen: there is none, or not the one that the settings want.
    """
    inherited = activated(environ, os.getpid())
    place = take_place(settings.handover) if settings.handover is not None else None
    try:
        if place is not None and place.listener is not None:
            if inherited is not None:
                inherited.close()
            return Entrance(_as_wanted(place.listener, settings), place)
        if inherited is not None:
            return Entrance(allowed(inherited, settings), place)
        return Entrance(listen(settings.host, settings.port), place)
    except CannotListen:
        if place is not None:
            place.give_up()
        raise


def address(sock: socket.socket) -> str:
    """Where `sock` listens, for people."""
    host, port = sock.getsockname()[:2]
    return f"{host} port {port}"


def _as_wanted(lent: socket.socket, settings: Settings) -> socket.socket:
    """A restart may change every setting but this one: the address that is lent is the one there is."""
    if serves(lent, settings.host, settings.port):
        return lent
    raise CannotListen(
        f"the process that runs listens on {address(lent)}, and the settings want {settings.host} "
        f"port {settings.port}",
        "Stop it first, or leave the address as it is.",
    )


def allowed(passed: socket.socket, settings: Settings) -> socket.socket:
    """systemd chose the address; who may reach it is ours to ask, as of any other."""
    if settings.allow_public_bind or not is_public(passed):
        return passed
    raise CannotListen(
        f"the socket that systemd passed on listens on {address(passed)}, which other machines can reach",
        "Where something keeps strangers out, set UNDERTONE_ALLOW_PUBLIC_BIND=true.",
    )
