"""How the REST routes write their answers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus

import orjson
from starlette.responses import Response


def json_answer(
    body: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """`body` as JSON."""
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def iso(seconds: float) -> str:
    """Seconds since the Unix epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
