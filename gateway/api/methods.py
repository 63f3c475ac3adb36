"""`OPTIONS`, and methods that a path has no answer for: both name all that it has (RFC 9110 section 10.2.1).

A path with a route for each method is otherwise told by the first of its routes alone.
"""

from http import HTTPStatus

from starlette.responses import Response
from starlette.routing import Match, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api.problems import Problem


class Methods:
    """Answers `OPTIONS`, and refuses what no route of the path takes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = self._allowed(scope) if scope["type"] == "http" else set()
        if not allowed or scope["method"] in allowed - {"OPTIONS"}:
            await self._app(scope, receive, send)
            return
        headers = {"allow": ", ".join(sorted(allowed))}
        answer = Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        if scope["method"] != "OPTIONS":
            detail = "nothing here answers to that method"
            answer = Problem(
                HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", detail, headers=headers
            ).response()
        await answer(scope, receive, send)

    @staticmethod
    def _allowed(scope: Scope) -> set[str]:
        """All that the path answers to; nothing where there is no such path.

        One that a route names as it is belongs to that route, however many patterns it fits.
        """
        named: set[str] = set()
        fitting: set[str] = set()
        for route in scope["app"].routes:
            if route.matches(scope)[0] is Match.NONE:
                continue
            if isinstance(route, Mount):
                for below in route.routes:
                    fitting |= (isinstance(below, Route) and below.methods) or set()
            elif isinstance(route, Route):
                found = fitting if route.param_convertors else named
                found |= route.methods or set()
        allowed = named or fitting
        return allowed | {"OPTIONS"} if allowed else allowed
