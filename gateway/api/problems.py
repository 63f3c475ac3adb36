"""Problems over HTTP: RFC 9457 `application/problem+json` with a stable `code`."""

import logging
import math
import random
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import (
    STORE_ERRORS,
    BadDocument,
    LimitExceeded,
    NotFound,
    SessionGone,
    StoreUnavailable,
    StoreUnsuitable,
    Unauthorized,
    UndertoneError,
)
from gateway.seldom import Seldom
from protocol.errors import ErrorCode, ProtocolError

log = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
STORE_RETRY_S = 5
"""Seconds over which those are asked to come back for whom the store was away."""
STORE_AWAY = "what nodes share can't be reached now; try again a little later"
"""All that a client is told of a store that fails: what the store said names servers."""
_REFUSED_S = 60.0

_STATUS: tuple[tuple[type[UndertoneError], HTTPStatus], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (SessionGone, HTTPStatus.GONE),
    (Unauthorized, HTTPStatus.UNAUTHORIZED),
    (LimitExceeded, HTTPStatus.TOO_MANY_REQUESTS),
    (BadDocument, HTTPStatus.INTERNAL_SERVER_ERROR),
)

_refused = Seldom(_REFUSED_S)


class Problem(Exception):
    """Ends a request with a problem document."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        param: str | None = None,
        pointer: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.param = param
        self.pointer = pointer
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The problem as a response."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "code": self.code,
            "detail": self.detail,
        }
        if self.param is not None:
            body["param"] = self.param
        if self.pointer is not None:
            body["pointer"] = self.pointer
        return Response(orjson.dumps(body), self.status, {**self.headers, "content-type": PROBLEM_TYPE})


def foreign_page() -> Problem:
    """What a page is told whose origin is neither ours nor on the list."""
    detail = "pages of this origin may not use this gateway"
    return Problem(HTTPStatus.FORBIDDEN, "origin_not_allowed", detail)


def from_error(error: Exception) -> Problem:
    """The problem that tells of `error`; an unexpected one is logged and told as `internal`."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ProtocolError):
        return Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            error.code,
            error.message,
            param=error.param,
            pointer=_pointer(error.param),
        )
    if isinstance(error, LimitExceeded):
        retry = {"retry-after": str(max(1, math.ceil(error.retry_after_s)))}
        return Problem(HTTPStatus.TOO_MANY_REQUESTS, error.code, str(error), headers=retry)
    if isinstance(error, STORE_ERRORS):
        return _store_away(error)
    if isinstance(error, UndertoneError):
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.CONFLICT)
        return Problem(status, error.code, str(error), headers=_challenge(status))
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        return Problem(status, status.name.lower(), error.detail, headers=error.headers)
    log.error("a request failed unexpectedly", exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "the gateway failed; it has logged why")


def error_of(error: Exception) -> ProtocolError:
    """`error` as the fatal error that a socket is told."""
    if isinstance(error, ProtocolError):
        return ProtocolError(error.code, error.message, param=error.param, fatal=True)
    problem = from_error(error)
    if isinstance(error, UndertoneError) and problem.code in set(ErrorCode):
        return ProtocolError(ErrorCode(problem.code), problem.detail, fatal=True)
    failed = problem.status is HTTPStatus.INTERNAL_SERVER_ERROR
    return ProtocolError(ErrorCode.INTERNAL if failed else ErrorCode.OVERLOADED, problem.detail, fatal=True)


def _store_away(error: StoreUnavailable | StoreUnsuitable) -> Problem:
    """A store that refuses us is one that is away, to clients; the log has what it said."""
    said = str(error)
    if isinstance(error, StoreUnsuitable) and _refused.due(said):
        log.error("the store can't be used as it is: %s", said)
    headers = {"retry-after": str(random.randint(1, STORE_RETRY_S))}  # or all would come back at once
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, StoreUnavailable.code, STORE_AWAY, headers=headers)


def _pointer(param: str | None) -> str | None:
    """Where in the body a field stands that can't be taken (RFC 6901)."""
    return None if param is None else pointer(param)


def pointer(*path: str) -> str:
    """`path` as a JSON Pointer (RFC 6901)."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)


def _challenge(status: HTTPStatus) -> dict[str, str]:
    """What must come with a 401 (RFC 9110 section 11.6.1)."""
    return {"www-authenticate": 'Bearer realm="undertone"'} if status is HTTPStatus.UNAUTHORIZED else {}


async def on_error(_: Request, error: Exception) -> Response:
    """Starlette's handler for every exception of a route."""
    return from_error(error).response()
