"""Live, ready, metrics."""

from http import HTTPStatus

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.context import Gateway
from gateway.api.problems import Problem
from gateway.telemetry.metrics import CONTENT_TYPE


class HealthRoutes:
    """The handlers that need no session."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def healthz(self, _: Request) -> Response:
        """`GET /healthz`: the process answers."""
        return Response(orjson.dumps({"status": "ok"}), media_type="application/json")

    async def readyz(self, _: Request) -> Response:
        """`GET /readyz`: whether new sessions are welcome, and if not, why."""
        readiness = self._gateway.readiness()
        status = HTTPStatus.OK if readiness.ready else HTTPStatus.SERVICE_UNAVAILABLE
        body = {"status": "ready" if readiness.ready else "not_ready", "checks": readiness.checks}
        return Response(orjson.dumps(body), status, media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        """`GET /metrics`: Prometheus text format. Several processes on one port each tell their own."""
        self._check_alone(request)
        await self._gateway.census()
        return Response(self._gateway.telemetry.render(), headers={"content-type": CONTENT_TYPE})

    def _check_alone(self, request: Request) -> None:
        settings = self._gateway.settings
        if settings.processes == 1:
            return
        first = settings.metrics_port
        here = (request.scope.get("server") or ("", None))[1]
        if first is None:
            raise Problem(HTTPStatus.MISDIRECTED_REQUEST, _CODE, f"{_SHARED}; set UNDERTONE_METRICS_PORT")
        ports = range(first, first + settings.processes)
        if here not in ports:
            told = f"{_SHARED}: ask each at its own, {ports[0]} to {ports[-1]}"
            raise Problem(HTTPStatus.MISDIRECTED_REQUEST, _CODE, told)


_CODE = "metrics_of_each"
_SHARED = "several processes share this port, and which of them answers is chance"
