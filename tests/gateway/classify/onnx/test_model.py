"""Graphs: what is wrong with one shows when it is loaded, and what it hears is what its file says."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.classify.onnx.errors import ModelError
from gateway.classify.onnx.model import load, prepared
from gateway.classify.onnx.spec import Provider, read_spec
from tests.gateway.classify.onnx.cuts import sound
from tests.gateway.classify.onnx.graphs import (
    CLASSES,
    DIMENSIONS,
    Graph,
    TensorProto,
    describe,
    helper,
    loaded,
    spec,
)

HALF_SECOND = "context_seconds = 0.5"


def refused(folder: Path, graph: Graph | None = None, **given: str) -> ModelError:
    with pytest.raises(ModelError) as error:
        loaded(folder, graph, **given)
    return error.value


def test_a_row_is_answered_with_its_numbers(tmp_path: Path) -> None:
    """Scaled samples go in, and each row's own numbers come out, in order."""
    model = loaded(tmp_path)
    assert (model.device, model.most) == (Provider.CPU, 32)
    rows = np.stack([np.full(64_000, value, np.int16) for value in (0, 8_192, -16_384)])
    (logits,) = model.run(rows).values()
    assert logits == pytest.approx(np.outer([0.0, 0.25, 0.5], [1.0, 0.5, 0.25]), abs=1e-6)


@pytest.mark.parametrize("length", [16_000, 33_333, 64_000])
def test_rows_of_any_length(tmp_path: Path, length: int) -> None:
    """A graph whose length is free takes every context from the shortest on."""
    rows = np.full((2, length), 16_384, np.int16)
    assert loaded(tmp_path).run(rows)["logits"][:, 0] == pytest.approx([0.5, 0.5])


def test_a_graph_of_fixed_length_is_padded_behind(tmp_path: Path) -> None:
    """A context that is still short is followed by silence."""
    graph = Graph(shape=("batch", 64_000))
    (level, *_), = loaded(tmp_path, graph).run(np.full((1, 16_000), 16_384, np.int16))["logits"]  # fmt: skip
    assert level == pytest.approx(0.125)


def test_a_graph_of_another_length_is_refused(tmp_path: Path) -> None:
    """With what to set."""
    error = refused(tmp_path, Graph(shape=("batch", 48_000)))
    assert (error.where, error.hint) == ("context_seconds", "set it to 3")


@pytest.mark.parametrize(("batch", "most"), [(1, 1), (4, 4), ("n", 32)])
def test_a_graph_of_fixed_batch(tmp_path: Path, batch: int | str, most: int) -> None:
    """It gets as many rows as it takes, filled up where there are fewer."""
    model = loaded(tmp_path, Graph(shape=(batch, "samples")))
    assert model.most == most
    for count in {1, most}:
        rows = np.stack([np.full(20_000, 1_000 * i, np.int16) for i in range(count)])
        expected = [1_000 * i / 32_768 for i in range(count)]
        assert model.run(rows)["logits"][:, 0] == pytest.approx(expected, abs=1e-6)


def test_samples_with_a_channel(tmp_path: Path) -> None:
    """[batch, 1, samples] is fed likewise."""
    model = loaded(tmp_path, Graph(shape=("batch", 1, "samples")))
    assert model.run(np.full((2, 20_000), 16_384, np.int16))["logits"][:, 1] == pytest.approx([0.25] * 2)


@pytest.mark.parametrize(
    ("tensor", "name", "level"),
    [(TensorProto.FLOAT16, "float16", 0.5), (TensorProto.INT16, "int16", 16_384.0)],
)
def test_other_types_of_samples(tmp_path: Path, tensor: int, name: str, level: float) -> None:
    """Half precision is scaled like floats; integers are left as they are."""
    model = loaded(tmp_path, Graph(type=tensor), input=f'name = "signal"\ntype = "{name}"')
    found = model.run(np.full((1, 20_000), 16_384, np.int16))["logits"][0, 0]
    assert found == pytest.approx(level, rel=1e-3)


def test_normalised_over_the_whole_row(tmp_path: Path) -> None:
    """Zero mean and unit variance, however soft; a constant becomes silence, not NaN."""
    description = spec(tmp_path, input='name = "signal"\nnormalize = "zero-mean-unit-variance"')
    rows = np.stack([sound(20_000, level=level) + 500 for level in (3_000.0, 100.0)]).astype(np.int16)
    fed = prepared(rows, description)
    assert fed.dtype == np.float32
    assert fed.mean(axis=1) == pytest.approx([0.0, 0.0], abs=1e-4)
    assert fed.std(axis=1) == pytest.approx([1.0, 1.0], abs=0.02)
    assert not prepared(np.full((1, 100), 7, np.int16), description).any()


@pytest.mark.parametrize(
    ("graph", "given", "where", "told"),
    [
        (Graph(), {"input": 'name = "audio"'}, "input.name", "signal"),
        (Graph(extra=["mask"]), {}, "model", "mask"),
        (Graph(type=TensorProto.FLOAT16), {}, "input.type", "float16"),
        (Graph(type=TensorProto.DOUBLE), {}, "input.type", "tensor(double)"),
        (Graph(shape=("batch", 2, "samples")), {}, "input.name", "[batch, 1, samples]"),
        (Graph(shape=("samples",)), {}, "input.name", "shape"),
        (Graph(output="scores"), {}, "dimensions.output", "scores"),
        (Graph(), {"rest": CLASSES}, "classes.labels", "has 4 entries, but the output logits has 3 numbers"),
        (Graph(gains=[1.0, 1.0], biases=[0.0, 0.0]), {}, "dimensions.order", "2 numbers"),
        (Graph(biases=[0.0, float("nan"), 0.0]), {}, "model", "no numbers"),
    ],
)
def test_what_the_graph_and_the_file_disagree_on(
    tmp_path: Path, graph: Graph, given: dict[str, Any], where: str, told: str
) -> None:
    """Names, ranks, types and widths are compared before anything is served."""
    error = refused(tmp_path, graph, **given)
    assert error.where == where
    assert told in error.message


def reshaping(rows: int) -> Graph:
    """A graph that says that it takes any batch, and takes one of `rows`."""
    nodes = [
        helper.make_node("Reshape", ["level", "fixed"], ["tight"]),
        helper.make_node("Reshape", ["tight", "flat"], ["seen"]),
    ]
    return Graph(nodes=nodes, constants={"fixed": np.array([rows, 1], np.int64)})


def test_a_batch_that_the_graph_only_claims_to_take(tmp_path: Path) -> None:
    """A graph that was exported for one row is found out, and runs with what the hint says."""
    error = refused(tmp_path, reshaping(1))
    assert (error.where, error.hint) == ("run.batch", "set it to 1")
    assert loaded(tmp_path, reshaping(1), rest=DIMENSIONS + "[run]\nbatch = 1\n").most == 1


def test_a_graph_that_fails_when_it_is_run(tmp_path: Path) -> None:
    """The dry run shows it."""
    error = refused(tmp_path, reshaping(3))
    assert error.where == "model"
    assert "fails when it is run" in error.message


def test_a_shortest_context_that_is_too_short(tmp_path: Path) -> None:
    """The model must take what comes first in a session."""
    nodes = [
        helper.make_node("Slice", ["real", "from", "to", "along"], ["tail"]),
        helper.make_node("Reshape", ["tail", "long"], ["same"]),
        helper.make_node("ReduceMean", ["same", "along"], ["seen"], keepdims=1),
    ]
    constants = {
        "from": np.array([0], np.int64),
        "to": np.array([20_000], np.int64),
        "along": np.array([1], np.int64),
        "long": np.array([-1, 20_000], np.int64),
    }
    error = refused(tmp_path, Graph(nodes=nodes, constants=constants))
    assert (error.where, error.hint) == ("least_seconds", "raise it")
    loaded(tmp_path, Graph(nodes=nodes, constants=constants), top="least_seconds = 2")


@pytest.mark.parametrize("content", [b"", b"not a graph at all", b"\x08\x0a" * 500])
def test_a_file_that_is_no_graph(tmp_path: Path, content: bytes) -> None:
    """One line says so, without onnxruntime's own."""
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError) as error:
        load(read_spec(describe(tmp_path)))
    assert error.value.where == "model"
    assert "model.onnx can't be loaded" in error.value.message
    assert "\n" not in str(error.value)
    assert str(tmp_path) not in error.value.message.replace("…", "") or len(error.value.message) < 200


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    """CUDA is asked for and this onnxruntime hasn't it: refused, or the CPU where that is allowed."""
    error = refused(tmp_path, rest=DIMENSIONS + '[run]\nproviders = ["cuda"]\n')
    assert error.where == "run.providers"
    assert "onnxruntime-gpu" in error.hint
    either = loaded(tmp_path, rest=DIMENSIONS + '[run]\nproviders = ["cuda", "cpu"]\n')
    assert either.device is Provider.CPU


def test_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra; where it is missing, the command that installs it is told."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    error = refused(tmp_path)
    assert (error.where, error.message) == ("onnxruntime", "is not installed")
    assert "pip install" in error.hint


def test_nobody_pays_for_it_who_does_not_use_it() -> None:
    """The gateway doesn't import onnxruntime unless a model is loaded."""
    code = "import sys, gateway.app; sys.exit('onnxruntime' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_nothing_of_onnxruntime_s_own_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What goes wrong is raised; standard error holds log lines only."""
    refused(tmp_path, reshaping(3))
    assert capfd.readouterr() == ("", "")
    assert load(spec(tmp_path), threads=2).most == 32
    assert capfd.readouterr() == ("", "")
