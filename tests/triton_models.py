"""A Triton model repository for tests: the one of `deploy/`, with a tiny graph."""

import shutil
from pathlib import Path

import numpy as np

from tests.needs import need_module
from tests.peers import ROOT

REPOSITORY = ROOT / "deploy" / "triton" / "model_repository"
CPU = "instance_group [ { kind: KIND_CPU, count: 1 } ]"


def graph(path: Path, classes: int = 4) -> Path:
    """An ONNX graph of a few nodes: logits are the window's largest sample times 1, 2, 3 …"""
    need_module("onnx")
    from onnx import TensorProto, helper, numpy_helper, save_model

    nodes = [
        helper.make_node("ReduceMax", ["audio"], ["peak"], axes=[1], keepdims=1),
        helper.make_node("MatMul", ["peak", "weights"], ["classes"]),
    ]
    weights = np.arange(1, classes + 1, dtype=np.float32).reshape(1, classes)
    audio = helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["windows", "samples"])
    logits = helper.make_tensor_value_info("classes", TensorProto.FLOAT, ["windows", classes])
    made = helper.make_graph(nodes, "tiny", [audio], [logits], [numpy_helper.from_array(weights, "weights")])
    save_model(helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def deployed(folder: Path, *, classes: int = 4) -> Path:
    """A copy of the repository in `deploy/`, with a graph where its README says that one goes."""
    copied = folder / "repository"
    shutil.copytree(REPOSITORY, copied, ignore=shutil.ignore_patterns("__pycache__"))
    graph(copied / "undertone_tone" / "1" / "model.onnx", classes)
    return copied
