"""The Triton model repository in `deploy/`: its configuration, and what its model does.

That Triton itself loads and serves it is shown in `tests/e2e/test_kserve.py`.
"""

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.needs import need_module
from tests.peers import ask
from tests.triton_models import REPOSITORY, deployed, graph

MODEL = REPOSITORY / "undertone_tone"
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

_PARSE = """
import sys
from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig
print(json_format.MessageToJson(text_format.Parse(sys.stdin.read(), ModelConfig())))
"""


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """`config.pbtxt`, parsed by Triton's own schema: a field that it doesn't have is an error."""
    found: dict[str, Any] = json.loads(ask(_PARSE, data=(MODEL / "config.pbtxt").read_bytes()))
    return found


def test_the_configuration_is_what_the_gateway_asks_for(config: dict[str, Any]) -> None:
    """Windows as int16 of any length, as many as the gateway puts into a batch, and they are batched."""
    assert config["name"] == MODEL.name
    assert config["backend"] == "python"
    assert config["maxBatchSize"] == 32
    assert config["input"] == [{"name": "AUDIO", "dataType": "TYPE_INT16", "dims": ["-1"]}]
    batching = config["dynamicBatching"]
    assert max(batching["preferredBatchSize"]) <= config["maxBatchSize"]
    assert 0 < int(batching["maxQueueDelayMicroseconds"]) <= 10_000
    assert int(batching["defaultQueuePolicy"]["defaultTimeoutMicroseconds"]) < 5_000_000


def test_the_labels_are_as_many_as_the_output_is_wide(config: dict[str, Any]) -> None:
    """The same file serves Triton's classification and the gateway."""
    (output,) = config["output"]
    labels = (MODEL / output["labelFilename"]).read_text(encoding="utf-8").split()
    assert output["dims"] == [str(len(labels))]
    assert len(set(labels)) == len(labels)


# The model, with a small stand-in for what Triton gives to its Python backend -------------------------------


@dataclass
class FakeTensor:
    name: str
    values: Any

    def as_numpy(self) -> Any:
        return self.values


class TritonModelException(Exception):
    pass


def fake_utils() -> ModuleType:
    """As much of `triton_python_backend_utils` as a model uses."""
    found: Any = ModuleType("triton_python_backend_utils")
    found.Tensor = FakeTensor
    found.TritonError = lambda message: message
    found.TritonModelException = TritonModelException
    found.InferenceResponse = lambda output_tensors, error=None: SimpleNamespace(
        outputs=output_tensors, error=error
    )
    found.get_input_tensor_by_name = lambda request, name: request[name]
    found.get_output_config_by_name = lambda config, name: next(
        one for one in config["output"] if one["name"] == name
    )
    module: ModuleType = found
    return module


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class in `1/model.py`."""
    need_module("onnxruntime")
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", fake_utils())
    spec = importlib.util.spec_from_file_location("undertone_tone_model", MODEL / "1" / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TritonPythonModel()


def arguments(folder: Path, classes: int = 4, **parameters: str) -> dict[str, str]:
    """What Triton hands to `initialize`."""
    config = {
        "output": [{"name": "logits", "dims": [classes]}],
        "parameters": {key: {"string_value": value} for key, value in parameters.items()},
    }
    return {
        "model_config": json.dumps(config),
        "model_repository": str(folder / "repository" / "undertone_tone"),
        "model_version": "1",
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
    }


def requests(*batches: list[list[int]]) -> list[dict[str, FakeTensor]]:
    return [{"AUDIO": FakeTensor("AUDIO", np.array(batch, np.int16))} for batch in batches]


def test_requests_of_a_batch_are_one_run_and_have_their_own_back(model: Any, tmp_path: Path) -> None:
    """Samples go in from -1 to 1: the tiny graph's logits are the peak times the class."""
    deployed(tmp_path)
    model.initialize(arguments(tmp_path))
    first, second = model.execute(requests([[0, 16_384], [0, 0]], [[-32_768, 8_192]]))
    (tensor,) = first.outputs
    assert tensor.name == "logits"
    np.testing.assert_allclose(tensor.values, [[0.5, 1.0, 1.5, 2.0], [0.0] * 4])
    np.testing.assert_allclose(second.outputs[0].values, [[0.25, 0.5, 0.75, 1.0]])
    assert tensor.values.dtype == np.float32


@pytest.mark.parametrize(
    ("kind", "available", "chosen"),
    [
        ("GPU", ["TensorrtExecutionProvider", CUDA, CPU], [(CUDA, {"device_id": "1"}), CPU]),
        ("KIND_GPU", [CUDA, CPU], [(CUDA, {"device_id": "1"}), CPU]),
        ("GPU", ["TensorrtExecutionProvider", CPU], [CPU]),
        ("CPU", ["TensorrtExecutionProvider", CUDA, CPU], [CPU]),
    ],
)
def test_the_graph_runs_where_triton_says(
    model: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    available: list[str],
    chosen: list[Any],
) -> None:
    """An instance's own GPU, or the CPU: never each provider that happens to be there."""
    import onnxruntime

    given: list[Any] = []
    session = onnxruntime.InferenceSession

    def opened(path: str, providers: list[Any]) -> Any:
        given.extend(providers)
        return session(path, providers=[CPU])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    deployed(tmp_path)
    placed = {"model_instance_kind": kind, "model_instance_device_id": "1"}
    model.initialize(arguments(tmp_path) | placed)
    assert given == chosen


def test_windows_are_normalised_each_by_itself(model: Any, tmp_path: Path) -> None:
    """As the configuration in the repository says."""
    deployed(tmp_path)
    model.initialize(arguments(tmp_path, normalize="zero-mean-unit-variance"))
    (answer,) = model.execute(requests([[-20_000, 20_000], [-2_000, 2_000]]))
    np.testing.assert_allclose(answer.outputs[0].values[:, 0], [1, 1], rtol=1e-4)


def test_a_run_that_fails_is_told_to_each_request(model: Any, tmp_path: Path) -> None:
    """And not by a crash of the backend."""
    deployed(tmp_path)
    model.initialize(arguments(tmp_path))
    model.input = "another"
    assert all(one.error and not one.outputs for one in model.execute(requests([[1]], [[2]])))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"onnx_file": "other.onnx"}, "put the ONNX graph there"),
        ({"onnx_input": "x"}, "inputs are"),
        ({"onnx_output": "x"}, "outputs are"),
        ({"normalize": "loud"}, "normalize must be"),
    ],
)
def test_what_does_not_fit_is_told_while_it_loads(
    model: Any, tmp_path: Path, parameters: dict[str, str], message: str
) -> None:
    """Not at the first window."""
    deployed(tmp_path)
    with pytest.raises(TritonModelException, match=message):
        model.initialize(arguments(tmp_path, classes=4, **parameters))


def test_a_graph_of_other_classes_is_refused(model: Any, tmp_path: Path) -> None:
    """Or the labels would be made up."""
    deployed(tmp_path)
    graph(tmp_path / "repository" / "undertone_tone" / "1" / "model.onnx", classes=3)
    with pytest.raises(TritonModelException, match=r"3 classes, config\.pbtxt 4"):
        model.initialize(arguments(tmp_path))
