"""Which build runs is told where people and machines look."""

import importlib.util
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError

import pytest

from gateway import build, cli
from gateway.telemetry.metrics import Telemetry


def test_the_sources_are_interpreted() -> None:
    """What these tests import is Python."""
    assert (build.compiled(), build.kind(), build.told()) == (False, "interpreted", build.version())


def test_a_shared_object_is_compiled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--version` and the first line of `serve` say so."""
    found = ModuleSpec(
        "gateway.live.pipeline",
        None,
        origin="site-packages/gateway/live/pipeline.cpython-311-x86_64-linux-gnu.so",
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: found)
    assert (build.kind(), build.told()) == ("compiled", f"{build.version()}, compiled")
    cli._announce("http://127.0.0.1:9000")
    assert capsys.readouterr().out.startswith("Undertone (compiled) listens on http://127.0.0.1:9000\n")


def test_a_tree_that_was_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs all the same."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(build, "installed", missing)
    assert build.version() == "unreleased"


def test_the_metrics_tell_the_build() -> None:
    """One sample, always 1."""
    line = f'undertone_build_info{{kind="{build.kind()}",version="{build.version()}"}} 1.0'
    assert line in Telemetry().render().decode().splitlines()
