"""The sidecar's listening socket: TCP, or a Unix socket that only the same user may open."""

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path

from gateway.server.entrance import Entrance
from gateway.server.listening import BACKLOG, CannotListen, listen
from gateway.settings import Settings

OWNER_ONLY = 0o600


def open_entrance(settings: Settings) -> Entrance:
    """What the settings want, before anything starts.

    Raises:
        CannotListen: that can't be had.
    """
    if settings.sidecar_uds is not None:
        return Entrance(listen_unix(settings.sidecar_uds))
    return Entrance(listen(settings.sidecar_host, settings.sidecar_port))


def listen_unix(path: str) -> socket.socket:
    """A listening Unix socket at `path`. One that is there already makes room only if nobody listens on it.

    Raises:
        CannotListen: the path is taken, or can't be used.
    """
    _make_room(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mode must hold from the first moment on, and bind(2) makes it of the umask alone.
    before = os.umask(0o177)
    try:
        listener.bind(path)
    except OSError as error:
        listener.close()
        raise CannotListen(f"can't listen on {path}: {error.strerror}") from error
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener


def remove_unix(listener: socket.socket, path: str, inode: int | None) -> None:
    """Take the socket's file away, unless it is another one's by now."""
    listener.close()
    with contextlib.suppress(OSError):
        if inode is not None and Path(path).lstat().st_ino == inode:
            Path(path).unlink()


def inode_of(path: str) -> int | None:
    """The file at `path`."""
    try:
        return Path(path).lstat().st_ino
    except OSError:
        return None


def _make_room(path: str) -> None:
    try:
        mode = Path(path).lstat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise CannotListen(f"can't listen on {path}: something that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            with contextlib.suppress(FileNotFoundError):
                Path(path).unlink()
            return
        except OSError as error:
            if error.errno == errno.ENOENT:
                return
            raise CannotListen(f"can't listen on {path}: {error.strerror or 'it is in use'}") from error
    raise CannotListen(f"can't listen on {path}: somebody does", "Stop it first, or take another path.")
