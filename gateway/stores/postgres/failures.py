"""What the driver raises, in the gateway's terms and words: its own may quote values."""

import re
import ssl

import asyncpg  # type: ignore[import-untyped]

from gateway.errors import StoreUnavailable, StoreUnsuitable

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # TimeoutError is one
)
AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""Nothing was written, and the same may succeed at once."""

_TRANSIENT = {
    "08": "the connection was lost",
    "53": "the server has no room or no connection left",
    "57": "the server is going away, coming up, or cancelled it",
    "58": "the server had trouble with its files",
    "40": "too many others wrote the same",
    "55": "somebody else holds it",
    "25": "the server doesn't take writes",
    "XX": "the server failed",
    "0A": "the schema was just changed",
}
_LASTING = {
    "28": "the server refuses the user or the password",
    "3D": "there is no such database",
    "3F": "there is no such schema",
    "42": "the schema is not this gateway's, or the user lacks rights to it",
}
_OPTIONS = {
    "22023": "the URL has an option with a value that the server doesn't take",
    "42704": "the URL has an option that neither driver nor server knows",
    "55P02": "the URL has an option that only the server itself may set",
}
"""While connecting; the driver passes what it doesn't know on to the server."""
_TELLABLE = re.compile(r"root certificate file|`ssl|could not match \d+ port|direct TLS requires")
"""What the driver says of a URL without quoting what may be a password."""


def translated(error: BaseException, *, connecting: bool = False) -> StoreUnavailable | StoreUnsuitable:
    """What to raise in the place of one of `DRIVER_ERRORS`, or of a ValueError while `connecting`."""
    if isinstance(error, asyncpg.PostgresError):
        if connecting and error.sqlstate in _OPTIONS:
            return StoreUnsuitable(f"PostgreSQL: {_OPTIONS[error.sqlstate]} ({error.sqlstate})")
        return _refused(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return StoreUnsuitable("PostgreSQL's certificate can't be verified")
    if isinstance(error, ConnectionError) and "rejected SSL" in str(error):
        return StoreUnsuitable("PostgreSQL doesn't speak TLS, and the URL asks for it")
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError) or (
        connecting and isinstance(error, ValueError)
    ):
        said = str(error).partition("\n")[0]
        why = f": {said}" if _TELLABLE.match(said) else ""
        return StoreUnsuitable(f"the URL of PostgreSQL can't be used{why}")
    if isinstance(error, ValueError):
        return StoreUnsuitable("PostgreSQL can't hold such a value")
    if isinstance(error, TimeoutError):
        return StoreUnavailable("PostgreSQL doesn't answer in time")
    return StoreUnavailable(f"PostgreSQL can't be reached ({type(error).__name__})")


def demoted(error: BaseException) -> bool:
    """Whether the server takes no writes any more, so that its connections are worth nothing."""
    return isinstance(error, asyncpg.ReadOnlySQLTransactionError)


def _refused(error: asyncpg.PostgresError) -> StoreUnavailable | StoreUnsuitable:
    state = getattr(error, "sqlstate", None) or ""
    kind = state[:2]
    if kind in _TRANSIENT:
        return StoreUnavailable(f"PostgreSQL: {_TRANSIENT[kind]} ({state})")
    return StoreUnsuitable(f"PostgreSQL: {_LASTING.get(kind, 'it refuses what it was asked')} ({state})")
