"""Writes tiny.onnx and tiny.toml into a folder: a model that hears nothing but how loud it is.

pip install onnx
python docs/examples/tiny_onnx.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
weights = {
    "axis": np.array([1], np.int64),
    "gains": np.array([[4.0, 2.0, 0.0]], np.float32),  # arousal and dominance grow with the level
    "biases": np.array([[0.3, 0.4, 0.5]], np.float32),  # of valence it knows nothing: always 0.5
}
nodes = [
    helper.make_node("Abs", ["signal"], ["size"]),
    helper.make_node("ReduceMean", ["size", "axis"], ["level"], keepdims=1),
    helper.make_node("MatMul", ["level", "gains"], ["scaled"]),
    helper.make_node("Add", ["scaled", "biases"], ["logits"]),
]
graph = helper.make_graph(
    nodes,
    "tiny",
    [helper.make_tensor_value_info("signal", TensorProto.FLOAT, ["batch", "samples"])],
    [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
    [numpy_helper.from_array(value, name) for name, value in weights.items()],
)
save(
    helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder / "tiny.onnx"
)
(folder / "tiny.toml").write_text("""\
model = "tiny.onnx"
licence = "none needed"

[input]
name = "signal"

[dimensions]
output = "logits"
order = ["arousal", "dominance", "valence"]
""")
print(folder / "tiny.toml")
