"""Tiny emotion models, made here: real graphs that answer with numbers one can foresee.

Their numbers come from the level of what they hear: the mean of |x| over the row. So a test can say what a
context held by what the model answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gateway.classify.onnx.model import LoadedModel, load
from gateway.classify.onnx.spec import ModelSpec, read_spec
from tests.needs import need_module

need_module("onnx")
need_module("onnxruntime")
from onnx import TensorProto, helper, numpy_helper, save  # noqa: E402 - not before it is known to be there

__all__ = ["CLASSES", "DIMENSIONS", "Graph", "TensorProto", "describe", "helper", "loaded", "spec", "write"]

Size = int | str


@dataclass(frozen=True)
class Graph:
    """What a graph is to be like."""

    gains: Sequence[float] = (1.0, 0.5, 0.25)
    """One for each output number: it is this times the level."""
    biases: Sequence[float] = (0.0, 0.0, 0.0)
    input: str = "signal"
    output: str = "logits"
    shape: Sequence[Size] = ("batch", "samples")
    type: int = TensorProto.FLOAT
    nodes: Sequence[Any] = ()
    """Between `level`, shape (B, 1), and `seen`, likewise; nothing by default."""
    extra: Sequence[str] = ()
    """Further inputs."""
    constants: dict[str, Any] = field(default_factory=dict)
    """Read by `nodes`."""
    output_shape: Sequence[Size] | None = None


def write(graph: Graph, path: Path) -> Path:
    """The graph as a file."""
    axes = list(range(1, len(graph.shape)))
    constants = {
        "gains": np.array([graph.gains], np.float32),
        "biases": np.array([graph.biases], np.float32),
        "axes": np.array(axes, np.int64),
        "flat": np.array([-1, 1], np.int64),
        **graph.constants,
    }
    nodes = [
        helper.make_node("Cast", [graph.input], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Abs", ["real"], ["size"]),
        helper.make_node("ReduceMean", ["size", "axes"], ["mean"], keepdims=1),
        helper.make_node("Reshape", ["mean", "flat"], ["level"]),
        *(graph.nodes or [helper.make_node("Identity", ["level"], ["seen"])]),
        helper.make_node("MatMul", ["seen", "gains"], ["scaled"]),
        helper.make_node("Add", ["scaled", "biases"], [graph.output]),
    ]
    shape = graph.output_shape or [graph.shape[0], len(graph.gains)]
    inputs = [helper.make_tensor_value_info(graph.input, graph.type, list(graph.shape))]
    inputs += [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch"]) for name in graph.extra]
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            inputs,
            [helper.make_tensor_value_info(graph.output, TensorProto.FLOAT, list(shape))],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    save(made, str(path))
    return path


DIMENSIONS = """
[dimensions]
output = "logits"
order = ["arousal", "dominance", "valence"]
"""

CLASSES = """
[classes]
output = "logits"
labels = ["neu", "hap", "ang", "sad"]
"""


def describe(
    folder: Path,
    graph: Graph | None = None,
    *,
    top: str = "",
    input: str = 'name = "signal"',
    rest: str = DIMENSIONS,
) -> Path:
    """A TOML file beside a graph."""
    if graph is not None:
        write(graph, folder / "model.onnx")
    path = folder / "tiny.toml"
    path.write_text(f'model = "model.onnx"\n{top}\n\n[input]\n{input}\n{rest}')
    return path


def spec(folder: Path, graph: Graph | None = None, **given: str) -> ModelSpec:
    return read_spec(describe(folder, graph or Graph(), **given))


def loaded(folder: Path, graph: Graph | None = None, **given: str) -> LoadedModel:
    return load(spec(folder, graph, **given))
