"""Live, ready, metrics, and the page at the root."""

import html
from http import HTTPStatus

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway import build
from gateway.api.context import Gateway
from gateway.telemetry.metrics import CONTENT_TYPE

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Undertone</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
 body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem;
        color: #1d2a33; background: #fbfbf9; }}
 h1 {{ font-weight: 600; }}
 code {{ font-size: .95em; background: #ecefee; padding: .1em .3em; border-radius: 3px; }}
 dt {{ margin-top: .8rem; }} dd {{ margin: 0; color: #4b5a63; }}
</style></head><body>
<h1>Undertone is running</h1>
<p>Send microphone audio over one WebSocket, and read how things are said while they are said.</p>
<p>Try it from a terminal: <code>undertone stream talk.wav</code></p>
<dl>
<dt><code>{websocket}</code></dt><dd>The WebSocket: binary PCM in, events out.</dd>
<dt><a href="/api/v1/sessions"><code>/api/v1/sessions</code></a></dt><dd>Sessions over REST.</dd>
<dt><a href="/docs"><code>/docs</code></a> <a href="/openapi.json"><code>/openapi.json</code></a></dt>
<dd>Everything over HTTP, described for people and for machines.</dd>
<dt><a href="/asyncapi.json"><code>/asyncapi.json</code></a></dt>
<dd>The WebSocket, described for machines.</dd>
<dt><a href="/healthz"><code>/healthz</code></a> <a href="/readyz"><code>/readyz</code></a>
<a href="/metrics"><code>/metrics</code></a></dt><dd>For whoever runs it.</dd>
</dl>
<p>Version {version}</p>
</body></html>
"""


class HealthRoutes:
    """The handlers that need no session."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def root(self, request: Request) -> Response:
        """`GET /`: what this is and where to go on."""
        address = self._gateway.origins.address(request.scope).websocket("/ws/voice")
        page = _PAGE.format(websocket=html.escape(address), version=html.escape(build.version()))
        return HTMLResponse(page)

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
