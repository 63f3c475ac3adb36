"""The classifier that the settings name: loaded before it serves, or behind it."""

import asyncio
from pathlib import Path

import pytest

from gateway.classify.acoustic.speaking import speaking
from gateway.classify.onnx.classifier import OnnxClassifier
from gateway.classify.onnx.configured import check_model, configured_onnx
from gateway.classify.port import HealthStatus
from gateway.clock import ManualClock
from gateway.settings import Problem, Settings, SettingsError
from tests.gateway.classify.onnx.graphs import CLASSES, Graph, describe


def settings(file: Path | None) -> Settings:
    named = {} if file is None else {"UNDERTONE_ONNX_MODEL_FILE": str(file)}
    return Settings.load(named)


def made(file: Path | None) -> OnnxClassifier:
    return configured_onnx(settings(file), ManualClock(), speaking)


def refused(file: Path | None) -> Problem:
    with pytest.raises(SettingsError) as error:
        made(file)
    (problem,) = error.value.problems
    return problem


def test_a_model_is_ready_before_it_is_served(tmp_path: Path) -> None:
    """Made outside of an event loop, it is loaded by then."""

    one = made(describe(tmp_path, Graph()))

    async def scenario() -> None:
        await one.start()
        assert one.health().status is HealthStatus.READY
        await one.aclose()

    asyncio.run(scenario())


def test_in_a_gateway_that_serves_it_is_loaded_behind(tmp_path: Path) -> None:
    """Made on the event loop, it doesn't hold that up."""
    file = describe(tmp_path, Graph())

    async def scenario() -> None:
        one, ready = made(file), asyncio.Event()
        one.notices.listen(lambda _, health: ready.set() if health.status is HealthStatus.READY else None)
        await one.start()
        assert one.health().status is not HealthStatus.READY
        async with asyncio.timeout(30):
            await ready.wait()
        await one.aclose()

    asyncio.run(scenario())


def test_what_is_wrong_is_the_setting_s(tmp_path: Path) -> None:
    """The variable, the file that it names, the field in it, and what to do."""
    file = describe(tmp_path, Graph(), input='name = "audio"')
    problem = refused(file)
    assert (problem.name, problem.value) == ("UNDERTONE_ONNX_MODEL_FILE", str(file))
    assert problem.message == "can't be used: input.name is no input of the graph, which has signal"
    (tmp_path / "model.onnx").unlink()
    assert refused(file).hint == "a relative path begins at the TOML file"
    assert refused(None).message == "is not set"


def test_a_check_looks_at_what_is_named(tmp_path: Path) -> None:
    """Whatever classifier is the default: a namespace may choose this one."""
    check_model(settings(None))
    check_model(settings(describe(tmp_path, Graph())))
    with pytest.raises(SettingsError):
        check_model(settings(describe(tmp_path, Graph(), rest=CLASSES)))
