"""One gateway a lane, for the whole run."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conformance.served import COMMANDS, Lane, Served
from tests.e2e.conftest import GatewayProcess, start_gateway

_SETTINGS = {
    "TRANSCRIBER": "none",
    "SESSION_DETACHED_TTL_S": "2",
    "CLOSED_RETENTION_S": "5",
    "CONNECT_DEADLINE_S": "2",
    "CLASSIFY_WORKERS": "1",
}
"""A run leaves a thousand sessions behind; they are not to be kept."""


@pytest.fixture(scope="session", params=list(Lane))
def running(request: pytest.FixtureRequest) -> Iterator[tuple[Lane, GatewayProcess]]:
    """The process behind `served`."""
    lane: Lane = request.param
    gateway = start_gateway(*COMMANDS[lane], **_SETTINGS)
    yield lane, gateway
    status = gateway.stop()
    if lane is Lane.FAST:  # stock uvicorn ends by its signal
        assert status == 0
    for line in gateway.log:
        # Stock uvicorn logs one for text that is not UTF-8, Hypercorn for whoever is there still at its end.
        assert "Traceback" not in line or (lane is not Lane.FAST and '"logger":"gateway' not in line), line


@pytest.fixture(scope="session")
def served(running: tuple[Lane, GatewayProcess]) -> Iterator[Served]:
    """A gateway as its peers see it, over each lane in turn."""
    lane, gateway = running
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        yield Served(lane, gateway.port, client)
