"""Before anything starts: the place at the handover's path, and the socket of whoever has it now.

Everything here blocks, for a bounded time: there is no event loop yet.
"""

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.server.handover import MAX_BYTES, HandoverError, Message, Word, decode
from gateway.server.listening import CannotListen, adopted

ANSWER_S = 5.0
"""Seconds that whoever has the socket has to answer."""
_RETRY_S = 0.05
_BACKLOG = 8
_CREDENTIALS = struct.Struct("iII")
"""`struct ucred` of unix(7): process, user, group."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a process has by which the one after it can take over."""

    path: str
    control: socket.socket
    """Listens at `path`. Shared with the process before until that yields."""
    listener: socket.socket | None = None
    """The listening socket that was lent; None where nobody had one."""
    predecessor: socket.socket | None = None
    """The conversation with whoever lent it."""
    inode: tuple[int, int] | None = None
    """Device and number of what stands at `path`, by which it is known again."""

    def close(self) -> None:
        """Let go of it; whoever lent it, or was lent it, goes on."""
        for one in (self.predecessor, self.listener, self.control):
            if one is not None:
                one.close()

    def give_up(self) -> None:
        """The same before anybody was served: a path of our own goes, too."""
        if self.predecessor is None:
            self.vacate()
        self.close()

    def vacate(self) -> None:
        """Nobody is at the path any more. To be called while we still are; what another one has put there
        instead is left alone."""
        with contextlib.suppress(OSError):
            if self.inode is not None and _inode(self.path) == self.inode:
                os.unlink(self.path)


def take_place(path: str, patience_s: float = ANSWER_S) -> Place:
    """Our place at `path`: taken over where a gateway has it, new where none does, or none any more.

    Raises:
        CannotListen: somebody has it who doesn't give it, or there is something else at `path`.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with _only_one(path, deadline):
                channel = _call(path, patience_s)
                if channel is None:
                    return Place(path, _settle_at(path), inode=_inode(path))
            place = _ask(path, channel)
        except TimeoutError:
            raise CannotListen(f"the process at {path} does not answer", _STUCK) from None
        except HandoverError as error:
            raise CannotListen(f"the process at {path} can't be taken over from: {error}", _STOP_IT) from None
        except OSError as error:
            why = f"can't use {path} for the handover: {error.strerror or error}"
            raise CannotListen(why, _NO_PLACE) from error
        if place is not None:
            return place
        if time.monotonic() > deadline:
            raise CannotListen(f"the process at {path} ends again and again instead of answering")


_STUCK = "End it, then start this one again."
_STOP_IT = "Wait until it is done, or stop it first."
_NO_PLACE = "UNDERTONE_HANDOVER names a file in a directory that is there, and in which we may write."
_NOT_OURS = "UNDERTONE_HANDOVER names a path of its own for each gateway, which nothing else uses."


def uid_of_peer(channel: socket.socket) -> int:
    """The user whose process is at the other end, as the kernel knows it (SO_PEERCRED)."""
    raw = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _call(path: str, patience_s: float) -> socket.socket | None:
    """A conversation with whoever is at `path`; None where nobody is."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISSOCK(found.st_mode):
        raise CannotListen(f"{path} is there already, and is no socket", _NOT_OURS)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.settimeout(patience_s)
    try:
        channel.connect(path)
        if uid_of_peer(channel) != os.geteuid():
            raise CannotListen(f"the process at {path} is another user's", _NOT_OURS)
    except ConnectionRefusedError:  # nobody has it any more
        channel.close()
        if found.st_uid != os.geteuid():
            raise CannotListen(f"{path} was left behind by another user", "Remove it.") from None
        return None
    except OSError as error:
        channel.close()
        if error.errno == errno.EPROTOTYPE:
            raise CannotListen(f"the socket at {path} is another program's", _NOT_OURS) from None
        raise
    except CannotListen:
        channel.close()
        raise
    return channel


def _settle_at(path: str) -> socket.socket:
    """A control socket of our own at `path`, where nobody is."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.fchmod(control.fileno(), 0o600)  # what is bound has the mode that the socket had (Linux)
        control.bind(path)
        control.listen(_BACKLOG)
    except OSError:
        control.close()
        raise
    return control


def _ask(path: str, channel: socket.socket) -> Place | None:
    """What is lent over `channel`; None where the other side ends before it answers."""
    with contextlib.ExitStack() as undo:
        undo.callback(channel.close)
        try:
            channel.send(Message(Word.TAKE).encode())
            data, descriptors, _, _ = socket.recv_fds(channel, MAX_BYTES, 2)
        except (BrokenPipeError, ConnectionResetError):
            return None
        lent = [socket.socket(fileno=one) for one in descriptors]
        for one in lent:
            undo.callback(one.close)
            one.set_inheritable(False)
        if not data:
            return None
        answer = decode(data)
        if answer.word is Word.REFUSE:
            raise HandoverError(answer.payload.decode("utf-8", "replace"))
        if answer.word is not Word.LEND or len(lent) != 2:
            raise HandoverError(f"it answers with {answer.word.value!r} and {len(lent)} descriptor(s)")
        listener, control = adopted(lent[0]), lent[1]
        undo.pop_all()
        return Place(path, control, listener, channel, _inode(path))


@contextlib.contextmanager
def _only_one(path: str, deadline: float) -> Iterator[None]:
    """Of processes that look at `path` at the same moment, one at a time: the lock is on its directory."""
    directory = os.open(Path(path).parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while True:
            try:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError from None
                time.sleep(_RETRY_S)
        yield
    finally:
        os.close(directory)
