"""Live, ready, metrics."""

from http import HTTPStatus

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.context import Gateway
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

    async def metrics(self, _: Request) -> Response:
        """`GET /metrics`: Prometheus text format."""
        await self._gateway.census()
        return Response(self._gateway.telemetry.render(), headers={"content-type": CONTENT_TYPE})
