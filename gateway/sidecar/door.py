"""Who may come in: callers that address this sidecar by its own name, come from no foreign page, and have
the token where one is asked for."""

import hashlib
import hmac
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api.origin import OriginPolicy
from gateway.api.problems import Problem, foreign_page
from gateway.config.problems import Problem as WrongSetting
from gateway.config.problems import SettingsError

OPEN = frozenset(("/healthz", "/readyz", "/metrics"))
"""Asked by machines that have no token; nothing there is about anybody."""
PROBES = frozenset(("/healthz", "/readyz", "/health"))
"""Load balancers ask these by whatever name they have."""
MIN_TOKEN, MAX_TOKEN = 16, 512
"""Characters."""


class Token:
    """The secret that callers present; compared in constant time, and never shown."""

    def __init__(self, secret: str) -> None:
        self._digest = hashlib.sha256(secret.encode()).digest()

    def __repr__(self) -> str:
        return "Token(hidden)"

    def opens(self, presented: str) -> bool:
        """Whether that is it."""
        return hmac.compare_digest(hashlib.sha256(presented.encode()).digest(), self._digest)


def read_token(path: str) -> Token:
    """The token in the file.

    Raises:
        SettingsError: it can't be read, or holds none.
    """
    name = "UNDERTONE_SIDECAR_TOKEN_FILE"
    try:
        secret = Path(path).read_text(encoding="ascii").strip()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError([WrongSetting(name, path, f"can't be read: {reason}")]) from None
    except ValueError:
        secret = ""
    if not MIN_TOKEN <= len(secret) <= MAX_TOKEN or not secret.isprintable() or " " in secret:
        message = f"must hold one line of {MIN_TOKEN} to {MAX_TOKEN} ASCII characters without blanks"
        hint = f"make one: (umask 077; openssl rand -hex 32 > {path})"
        raise SettingsError([WrongSetting(name, path, message, hint)])
    return Token(secret)


class Door:
    """Refuses requests before anything of their bodies is read."""

    def __init__(self, app: ASGIApp, policy: OriginPolicy, token: Token | None) -> None:
        self._app = app
        self._policy = policy
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem.response()(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        path: str = scope["path"]
        if path not in PROBES and not self._policy.believes_host(scope):
            detail = "this sidecar has another name; address it as 127.0.0.1 or localhost"
            return Problem(HTTPStatus.MISDIRECTED_REQUEST, "unknown_host", detail)
        if not self._policy.admits(scope):
            return foreign_page()
        if self._token is None or path in OPEN or self._presented(scope, self._token):
            return None
        detail = "a token is needed, as Authorization: Bearer"
        headers = {"www-authenticate": 'Bearer realm="undertone"'}
        return Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, headers=headers)

    @staticmethod
    def _presented(scope: Scope, token: Token) -> bool:
        values = Headers(scope=scope).getlist("authorization")
        scheme, _, secret = (values[0] if len(values) == 1 else "").partition(" ")
        return token.opens(secret.strip()) and scheme.lower() == "bearer"
