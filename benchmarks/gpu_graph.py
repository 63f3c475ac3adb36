"""A network of wav2vec 2.0's shape as an ONNX graph with random weights, and the file that describes it.

`signal` [batch, samples] float32 in, `logits` [batch, 3] out: arousal, dominance and valence of nobody. Needs
numpy and onnx only.
"""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper, save

from benchmarks.gpu_shape import CONV, OUTPUTS, POSITION_GROUPS, POSITION_KERNEL, Shape

OPSET = 20
EXTERNAL_BYTES = 1 << 30
"""From so many bytes of weights on they lie in a file of their own: a graph holds 2 GiB at most."""

DESCRIPTION = """\
# Random weights: what it says means nothing. For measuring only.
model = "model.onnx"
name = "random-wav2vec2"
context_seconds = {context:g}

[input]
name = "signal"
normalize = "zero-mean-unit-variance"

[dimensions]
output = "logits"
order = ["arousal", "dominance", "valence"]

[run]
batch = 128
providers = ["cuda", "cpu"]
"""


class _Builder:
    """Nodes and weights, as they are added."""

    def __init__(self, shape: Shape) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._type = np.float16 if shape.half else np.float32
        self._random = np.random.default_rng(0)
        self._count = 0

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        self._count += 1
        name = f"{kind.lower()}_{self._count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any, kind: Any = np.int64) -> str:
        self._count += 1
        name = f"constant_{self._count}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def random(self, *shape: int) -> str:
        spread = 1.0 / np.sqrt(np.prod(shape[1:]) if len(shape) > 2 else shape[0])
        drawn = self._random.standard_normal(shape, np.float32) * np.float32(spread)
        return self.constant(drawn, self._type)

    def linear(self, seen: str, before: int, after: int) -> str:
        product = self.node("MatMul", seen, self.random(before, after))
        return self.node("Add", product, self.constant(np.zeros(after), self._type))

    def norm(self, seen: str, width: int) -> str:
        one, zero = self.constant(np.ones(width), self._type), self.constant(np.zeros(width), self._type)
        return self.node("LayerNormalization", seen, one, zero, axis=-1, epsilon=1e-5)


def graph(shape: Shape) -> ModelProto:
    """The network."""
    made = _Builder(shape)
    seen = made.node("Unsqueeze", "signal", made.constant([1]))
    if shape.half:
        seen = made.node("Cast", seen, to=TensorProto.FLOAT16)
    seen = _front(made, shape, seen)
    seen = _position(made, shape, seen)
    for _ in range(shape.layers):
        seen = _block(made, shape, seen)
    seen = made.node("ReduceMean", made.norm(seen, shape.hidden), made.constant([1]), keepdims=0)
    seen = made.node("Tanh", made.linear(seen, shape.hidden, shape.hidden))
    seen = made.linear(seen, shape.hidden, OUTPUTS)
    made.nodes.append(helper.make_node("Cast", [seen], ["logits"], to=TensorProto.FLOAT))
    inputs = [helper.make_tensor_value_info("signal", TensorProto.FLOAT, ["batch", "samples"])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", OUTPUTS])]
    whole = helper.make_graph(made.nodes, "wav2vec2", inputs, outputs, made.weights)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def write(shape: Shape, folder: Path, context_s: float) -> Path:
    """The graph and its description in `folder`; returns the latter's path."""
    folder.mkdir(parents=True, exist_ok=True)
    apart = shape.parameters * (2 if shape.half else 4) > EXTERNAL_BYTES
    weights = folder / "model.weights"
    weights.unlink(missing_ok=True)  # onnx would append to it
    save(
        graph(shape),
        str(folder / "model.onnx"),
        save_as_external_data=apart,
        location=weights.name if apart else None,
    )
    path = folder / "model.toml"
    path.write_text(DESCRIPTION.format(context=context_s), encoding="utf-8")
    return path


def _front(made: _Builder, shape: Shape, seen: str) -> str:
    """Samples to steps, [batch, steps, hidden]."""
    before = 1
    for kernel, stride in CONV:
        weight, bias = (
            made.random(shape.channels, before, kernel),
            made.constant(np.zeros(shape.channels), np.float16 if shape.half else np.float32),
        )
        seen = made.node("Conv", seen, weight, bias, strides=[stride], kernel_shape=[kernel])
        seen = made.norm(made.node("Transpose", seen, perm=[0, 2, 1]), shape.channels)
        seen = made.node("Gelu", made.node("Transpose", seen, perm=[0, 2, 1]))
        before = shape.channels
    seen = made.norm(made.node("Transpose", seen, perm=[0, 2, 1]), shape.channels)
    return made.linear(seen, shape.channels, shape.hidden)


def _position(made: _Builder, shape: Shape, seen: str) -> str:
    """Where each step is, by a wide convolution."""
    half = POSITION_KERNEL // 2
    turned = made.node("Transpose", seen, perm=[0, 2, 1])
    moved = made.node(
        "Conv",
        turned,
        made.random(shape.hidden, shape.hidden // POSITION_GROUPS, POSITION_KERNEL),
        kernel_shape=[POSITION_KERNEL],
        pads=[half, half - 1],
        group=POSITION_GROUPS,
    )
    back = made.node("Transpose", made.node("Gelu", moved), perm=[0, 2, 1])
    return made.node("Add", seen, back)


def _block(made: _Builder, shape: Shape, seen: str) -> str:
    """One layer of the transformer, normalised before each half."""
    hidden, heads = shape.hidden, shape.heads
    quiet = made.norm(seen, hidden)
    split = made.constant([0, 0, heads, hidden // heads])
    query, key, value = (made.node("Reshape", made.linear(quiet, hidden, hidden), split) for _ in range(3))
    query = made.node("Transpose", query, perm=[0, 2, 1, 3])
    key = made.node("Transpose", key, perm=[0, 2, 3, 1])
    value = made.node("Transpose", value, perm=[0, 2, 1, 3])
    scale = made.constant((hidden // heads) ** -0.5, np.float16 if shape.half else np.float32)
    weights = made.node("Softmax", made.node("MatMul", made.node("Mul", query, scale), key), axis=-1)
    told = made.node("Transpose", made.node("MatMul", weights, value), perm=[0, 2, 1, 3])
    told = made.node("Reshape", told, made.constant([0, 0, hidden]))
    seen = made.node("Add", seen, made.linear(told, hidden, hidden))
    inner = made.node("Gelu", made.linear(made.norm(seen, hidden), hidden, shape.inner))
    return made.node("Add", seen, made.linear(inner, shape.inner, hidden))
