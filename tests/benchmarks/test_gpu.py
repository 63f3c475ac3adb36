"""The GPU benchmark, run small on the CPU, and the network that it measures."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.gpu_shape import Shape
from gateway.classify.onnx.model import load
from gateway.classify.onnx.spec import read_spec
from tests.needs import need_module

need_module("onnx")
need_module("onnxruntime")
from benchmarks.gpu_graph import graph, write  # noqa: E402 - not before it is known to be there

SMALL = "--layers 1 --hidden 64 --heads 4 --inner 128 --channels 32 --context 0.5 --batches 1,2 --gather 2"
ENGINES = ["onnx", *(["torch"] if gpu.is_installed("torch") else [])]
"""PyTorch is no dependency of ours."""
SHAPE = Shape(layers=1, hidden=64, heads=4, inner=128, channels=32)


def test_the_default_is_wav2vec2_large() -> None:
    """315 million weights, and 199 steps of 20 ms in 4 s."""
    assert round(Shape().parameters / 1e6) == pytest.approx(316, abs=2)
    assert Shape().steps(64_000) == 199


def test_the_graph_has_as_many_weights_as_its_shape_says() -> None:
    """So that what is printed is what was measured."""
    weights = sum(int(np.prod(one.dims)) for one in graph(SHAPE).graph.initializer if len(one.dims))
    constants = SHAPE.layers * (4 + 3) + 2  # shapes to reshape to, and axes
    assert weights - SHAPE.parameters <= constants
    assert weights >= SHAPE.parameters - SHAPE.hidden  # the graph's positional convolution has no bias


@pytest.mark.parametrize("half", [False, True])
def test_the_model_can_be_served(tmp_path: Path, half: bool) -> None:
    """It loads like any other, and gives different numbers for different sounds."""
    shape = Shape(1, 64, 4, 128, 32, half)
    model = load(read_spec(write(shape, tmp_path, 1.0)))
    rows = np.random.default_rng(0).normal(0, 1_000, (3, 16_000)).astype(np.int16)
    told = model.run(rows)["logits"]
    assert np.isfinite(told).all()
    assert len({tuple(row) for row in np.round(told, 4).tolist()}) == 3
    assert model.run(rows[1:2])["logits"] == pytest.approx(told[1:2], abs=0.02 if half else 1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_it_measures(tmp_path: Path, engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A small network, for a moment: calls of each batch, and a live load."""
    figures = tmp_path / "figures.json"
    given = [
        *SMALL.split(),
        "--engine",
        engine,
        "--seconds",
        "0.05",
        "--sessions-s",
        "0.2",
        "--json",
        str(figures),
    ]
    assert gpu.main(given) == 0
    told = json.loads(figures.read_text())
    assert {"batch 1, throughput", "batch 2, throughput"} <= {row["name"] for row in told["rows"]}
    assert all(row["value"] >= 0.0 for row in told["rows"])
    assert told["tried"]
    assert "windows/s" in capsys.readouterr().out


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without PyTorch or onnx it says which one, and ends."""

    def missing(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(gpu, "_engine", missing)
    assert gpu.main(SMALL.split()) == 1
    assert capsys.readouterr().err == "can't be measured here: torch is not installed\n"


def test_it_writes_a_model_and_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a gateway to be started with."""
    assert gpu.main([*SMALL.split(), "--write", str(tmp_path / "m")]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert read_spec(path).context_s == 0.5
