"""What the driver raises and servers answer, in the gateway's own terms."""

import ssl
from typing import Final

from valkey import exceptions

from gateway.errors import StoreUnavailable, StoreUnsuitable, UndertoneError

_LATER: Final = frozenset(
    {
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
        "UNBLOCKED",
    }
)
"""Answers after which the same may work a little later."""
_NEVER: Final = frozenset({"NOAUTH", "NOPERM", "WRONGPASS"})
_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.NoPermissionError, "NOPERM"),
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.AuthenticationError, "WRONGPASS"),
    (exceptions.AuthorizationError, "NOPERM"),
)
"""The driver takes these words off their messages."""
_SAID: Final = {
    "BUSY": "it is busy with a script",
    "CLUSTERDOWN": "its cluster is down",
    "LOADING": "it is loading its data",
    "MASTERDOWN": "its master is down",
    "MISCONF": "it can't save, and takes no writes",
    "NOREPLICAS": "it has too few replicas to take writes",
    "OOM": "its memory is full",
    "READONLY": "it is a read-only replica",
    "TRYAGAIN": "it is moving data",
    "UNBLOCKED": "its role has changed",
    "NOAUTH": "it wants a password",
    "NOPERM": "its user may not do this",
    "WRONGPASS": "it refuses the user or the password",
}


def code(error: Exception) -> str:
    """The word that a server's answer began with: `OOM`, `MOVED`; empty where there is none."""
    for kind, word in _WORDS:
        if isinstance(error, kind):
            return "NOAUTH" if word == "WRONGPASS" and "required" in str(error) else word
    if not isinstance(error, exceptions.ResponseError):
        return ""
    first = str(error).split(" ", 1)[0]
    return first if first.isupper() else "ERR"


def translated(error: BaseException, where: str) -> UndertoneError:
    """What is raised in place of `error`, which an exchange with the server `where` ended in."""
    if isinstance(error, exceptions.ValkeyError):
        word = code(error)
        if word in _LATER:
            return StoreUnavailable(f"the store at {where} says {word}: {_SAID[word]}")
        if word in _NEVER:
            detail = f" ({error})" if word == "NOPERM" else ""
            return StoreUnsuitable(f"the store at {where} says {word}: {_SAID[word]}{detail}")
        if word:
            said = str(error).partition(", with args")[0][:200]
            return StoreUnsuitable(f"the store at {where} refuses what it was told: {said}")
    if isinstance(error, ssl.SSLCertVerificationError) or isinstance(
        error.__context__, ssl.SSLCertVerificationError
    ):
        return StoreUnsuitable(f"the store at {where} has a certificate that isn't trusted")
    if isinstance(error, TimeoutError | exceptions.TimeoutError):
        return StoreUnavailable(f"the store at {where} didn't answer in time")
    return StoreUnavailable(f"the store at {where} can't be reached")
