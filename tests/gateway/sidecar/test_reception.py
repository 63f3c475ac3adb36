"""The sidecar over ASGI: how it tells of itself, and who may come in."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from gateway.classify.port import (
    Health,
    HealthStatus,
)
from gateway.config.problems import SettingsError
from gateway.settings import Settings
from gateway.sidecar.app import create_sidecar
from tests.gateway.sidecar.kit import Here, body, sidecar, turns

Steps = Callable[[Here], Coroutine[Any, Any, None]]


def run(steps: Steps, **settings: Any) -> None:
    """Run `steps` with a sidecar of these settings."""

    async def main() -> None:
        async with sidecar(**settings) as here:
            await steps(here)

    asyncio.run(main())


# How it is -----------------------------------------------------------------------------------------------


def test_health_tells_of_each_model() -> None:
    """200 is ready; a warning is no reason to stay away, an error and loading are."""

    async def steps(here: Here) -> None:
        answer = await here.client.get("/health")
        offer = {"path": "/v1/classify/batch", "max": 32}
        assert answer.status_code == 200
        assert answer.json() == {
            "status": "ready",
            "classifier": "held",
            "models": {"held": "ready"},
            "warnings": [],
            "batch": offer,
        }
        here.classifier.notices.tell("emotion", Health(HealthStatus.WARNING, "slow"))
        here.classifier.now = Health(HealthStatus.WARNING, "slow")
        answer = await here.client.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (200, "ready")
        assert answer.json()["models"] == {"emotion": "ready"}
        assert answer.json()["warnings"] == ["emotion: slow"]
        for status in (HealthStatus.LOADING, HealthStatus.ERROR):
            here.classifier.now = Health(status, "x")
            here.classifier.notices.tell("emotion", Health(status, "x"))
            answer = await here.client.get("/health")
            assert (answer.status_code, answer.json()["status"]) == (503, status.value)
            assert answer.json()["models"] == {"emotion": status.value}
            assert (await here.client.get("/readyz")).status_code == 503
        assert (await here.client.get("/healthz")).status_code == 200

    run(steps)


def test_once_it_goes_away_nobody_is_let_in() -> None:
    """They are told so, and so are those who ask how it is."""

    async def steps(here: Here) -> None:
        here.classifier.may.clear()
        held = asyncio.create_task(here.single(session_id="a"))
        await turns()
        here.app.state.drain.begin()
        assert (await here.client.get("/readyz")).status_code == 503
        health = await here.client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "draining")
        refused = await here.single(session_id="b")
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        assert await here.metric("undertone_sidecar_draining") == 1
        here.classifier.may.set()
        assert (await held).status_code == 200

    run(steps)


# The door ------------------------------------------------------------------------------------------------


def test_the_token_opens(tmp_path: Path) -> None:
    """Nothing else does: not a wrong one, none, two of them, another scheme. Probes need none."""
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")

    async def steps(here: Here) -> None:
        good = "Bearer 0123456789abcdef"
        for wrong in (
            None,
            "Bearer x",
            "Bearer",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
            "Bearer Ä" * 2,
        ):
            headers = {} if wrong is None else {b"authorization": wrong.encode()}
            for path in ("/classify", "/v1/classify/batch"):
                answer = await here.client.post(path, content=b"{}", headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), wrong
                assert answer.headers["www-authenticate"].startswith("Bearer")
            assert (await here.client.get("/health", headers=headers)).status_code == 401
        twice = [("authorization", good), ("authorization", good)]
        assert (await here.client.get("/health", headers=twice)).status_code == 401
        assert (
            await here.client.post("/classify", json=body(), headers={"authorization": good})
        ).status_code == 200
        assert (await here.client.get("/health", headers={"authorization": good})).status_code == 200
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await here.client.get(path)).status_code == 200

    run(steps, sidecar_token_file=str(file))


@pytest.mark.parametrize(
    "content", [None, b"", b"short", b"with blanks in the middle", b"\xff" * 32, b"x" * 600]
)
def test_a_token_that_is_none_is_refused_at_the_start(tmp_path: Path, content: bytes | None) -> None:
    """With the setting's name, and never with what stands in the file."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as error:
        create_sidecar(Settings(sidecar_token_file=str(file)))
    (problem,) = error.value.problems
    assert problem.name == "UNDERTONE_SIDECAR_TOKEN_FILE"
    assert not content or content.decode("latin-1") not in str(error.value)


def test_strangers_stay_outside() -> None:
    """A page's origin, and a name that is made to point here; there is nothing for pages."""

    async def steps(here: Here) -> None:
        page = await here.client.post("/classify", json=body(), headers={"origin": "https://evil.example"})
        assert page.status_code == 403
        assert "access-control-allow-origin" not in page.headers
        rebound = await here.client.post("/classify", json=body(), headers={"host": "evil.example:8523"})
        assert rebound.status_code == 421
        assert (await here.client.get("/healthz", headers={"host": "balancer"})).status_code == 200
        assert here.classifier.batches == []

    run(steps)


def test_methods_and_paths() -> None:
    """What is not there is told as everywhere."""

    async def steps(here: Here) -> None:
        assert (await here.client.get("/classify")).status_code == 405
        missing = await here.client.get("/nowhere")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
        assert (await here.client.get("/healthz")).headers["cache-control"] == "no-store"

    run(steps)
