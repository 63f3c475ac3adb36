"""A graph that was loaded, looked at and tried once, and that answers rows of samples with numbers.

onnxruntime is imported here alone. All that can be wrong with a file shows in `load`, before anything is
served: the graph's names, ranks and types against the description, then one dry run for what only a run can
tell. Calls may come from several threads at once.
"""

import importlib.util
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gateway.classify.onnx.errors import ModelError
from gateway.classify.onnx.spec import ModelSpec, Normalize, Provider, SampleType
from gateway.config.problems import did_you_mean, shown

Rows = npt.NDArray[np.int16]
Outputs = dict[str, npt.NDArray[np.float32]]
"""By the output's name; shape (B, width) each."""

INSTALL = "pip install 'undertone[onnx]' (in a clone of Undertone, pip install '.[onnx]')"
_TENSORS = {
    SampleType.FLOAT32: "tensor(float)",
    SampleType.FLOAT16: "tensor(float16)",
    SampleType.INT16: "tensor(int16)",
}
_DTYPES: dict[SampleType, Any] = {
    SampleType.FLOAT32: np.float32,
    SampleType.FLOAT16: np.float16,
    SampleType.INT16: np.int16,
}
_PROVIDERS = {Provider.CPU: "CPUExecutionProvider", Provider.CUDA: "CUDAExecutionProvider"}
_SILENT = 4
"""onnxruntime's severity `fatal`: what goes wrong is raised, and its own lines would stand between ours."""
_VARIANCE_FLOOR = 1e-7
"""Added to the variance, as the feature extractors of these models do."""


class Model(Protocol):
    """What the classifier needs of a model."""

    spec: ModelSpec
    device: Provider
    """Where it runs."""
    most: int
    """Rows in one call."""

    def run(self, rows: Rows) -> Outputs:
        """The outputs for `rows` of shape (B, T), 1 <= B <= `most`. Blocks; raises whatever goes wrong."""
        ...


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the graph says of its input; None where it takes any size."""

    rank: int
    batch: int | None
    length: int | None


class LoadedModel:
    """A graph in onnxruntime. Made by `load`."""

    def __init__(self, spec: ModelSpec, session: Any, shape: _Shape, device: Provider) -> None:
        self.spec = spec
        self.device = device
        self.most = spec.batch if shape.batch is None else min(spec.batch, shape.batch)
        self._session = session
        self._shape = shape
        self._outputs = list(spec.outputs)

    def run(self, rows: Rows) -> Outputs:
        fed = prepared(rows, self.spec)
        batch, length = self._shape.batch or len(fed), self._shape.length or fed.shape[1]
        if fed.shape != (batch, length):  # silence behind, as the models' own feature extractors pad
            padded = np.zeros((batch, length), fed.dtype)
            padded[: len(fed), : fed.shape[1]] = fed
            fed = padded
        if self._shape.rank == 3:
            fed = fed[:, None, :]
        found = self._session.run(self._outputs, {self.spec.input.name: fed})
        return {
            name: np.asarray(value, np.float32)[: len(rows)]
            for name, value in zip(self._outputs, found, strict=True)
        }


def prepared(rows: Rows, spec: ModelSpec) -> npt.NDArray[Any]:
    """Samples as the graph wants them: scaled, normalised over each whole row, in its type."""
    if spec.input.type is SampleType.INT16:
        return rows
    fed = np.multiply(rows, np.float32(spec.input.scale), dtype=np.float32)
    if spec.input.normalize is Normalize.ZERO_MEAN_UNIT_VARIANCE:
        fed -= fed.mean(axis=1, keepdims=True)
        fed /= np.sqrt(np.square(fed).mean(axis=1, keepdims=True) + np.float32(_VARIANCE_FLOOR))
    return fed.astype(_DTYPES[spec.input.type], copy=False)


def load(spec: ModelSpec, *, threads: int = 1) -> LoadedModel:
    """The model of `spec`, looked at and tried. Takes seconds for a large one.

    Args:
        threads: of one call, where `spec` doesn't say.

    Raises:
        ModelError: it isn't what `spec` says it is, or can't be run here.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise ModelError("onnxruntime", "is not installed", INSTALL)
    session, device = _opened(spec, threads)
    model = LoadedModel(spec, session, _looked_at(spec, session), device)
    _tried(model)
    return model


def _opened(spec: ModelSpec, threads: int) -> tuple[Any, Provider]:
    import onnxruntime

    there = onnxruntime.get_available_providers()
    wanted = [one for one in spec.providers if _PROVIDERS[one] in there]
    if not wanted:
        names = ", ".join(one.value for one, name in _PROVIDERS.items() if name in there)
        raise ModelError(
            "run.providers", f"asks for what this onnxruntime hasn't; it has {names}", "cuda: onnxruntime-gpu"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec.threads or threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    # A thread that spins for its next piece of work takes the core from the event loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            str(spec.model), options, providers=[_PROVIDERS[one] for one in wanted]
        )
    except Exception as error:
        raise ModelError("model", f"{spec.model.name} can't be loaded: {_said(error)}") from None
    running = session.get_providers()
    device = next((one for one in wanted if _PROVIDERS[one] in running), None)
    if device is None:  # onnxruntime falls back to the CPU where the driver or a library is missing
        wish = wanted[0].value
        hint = 'see to its driver and libraries, or allow the CPU: providers = ["cuda", "cpu"]'
        raise ModelError("run.providers", f"asks for {wish}, which onnxruntime can't start here", hint)
    return session, device


def _looked_at(spec: ModelSpec, session: Any) -> _Shape:
    """The graph against its description."""
    inputs = {one.name: one for one in session.get_inputs()}
    name = spec.input.name
    if name not in inputs:
        raise ModelError("input.name", f"is no input of the graph, which has {_names(inputs)}")
    others = [other for other in inputs if other != name]
    if others:
        hint = "export the model so that it takes samples alone"
        raise ModelError("model", f"wants more than samples: {_names(others)}", hint)
    found = inputs[name]
    if found.type != _TENSORS[spec.input.type]:
        types = {tensor: kind.value for kind, tensor in _TENSORS.items()}
        is_there = types.get(found.type, found.type)
        raise ModelError("input.type", f"is {spec.input.type}, but the graph takes {is_there}")
    outputs = [one.name for one in session.get_outputs()]
    for wanted in spec.outputs:
        if wanted not in outputs:
            field = _field_of(spec, wanted)
            message = f"{shown(wanted)} is no output of the graph, which has {_names(outputs)}"
            raise ModelError(f"{field}.output", message, did_you_mean(wanted, outputs))
    return _shape(spec, list(found.shape))


def _shape(spec: ModelSpec, sizes: list[Any]) -> _Shape:
    name = spec.input.name
    if len(sizes) not in (2, 3) or (len(sizes) == 3 and isinstance(sizes[1], int) and sizes[1] != 1):
        raise ModelError(
            "input.name", f"{shown(name)} has shape {sizes}, not [batch, samples] or [batch, 1, samples]"
        )
    batch, length = (size if isinstance(size, int) and size > 0 else None for size in (sizes[0], sizes[-1]))
    if length is not None and length != spec.context_samples:
        raise ModelError(
            "context_seconds",
            f"is {spec.context_s:g} ({spec.context_samples} samples), but the graph takes {length} samples",
            f"set it to {length / 16_000:g}",
        )
    return _Shape(len(sizes), batch, length)


def _tried(model: LoadedModel) -> None:
    """A dry run of a whole context, of the shortest one, and of two rows at once.

    The rows hold faint noise: of silence a sound model may rightly say nothing that is a number.
    """
    spec = model.spec
    noise = np.random.default_rng(0).normal(0.0, 300.0, (2, spec.context_samples)).astype(np.int16)
    outputs = _try(model, noise[:1], "model", "fails when it is run")
    for name, width in spec.outputs.items():
        field = _field_of(spec, name)
        counted = "dimensions.order" if field == "dimensions" else "classes.labels"
        shape = outputs[name].shape
        if len(shape) != 2 or shape[0] != 1:
            message = f"{shown(name)} has shape {list(shape)}, not [batch, numbers]"
            raise ModelError(f"{field}.output", message)
        if shape[1] != width:
            message = f"has {width} entries, but the output {shown(name)} has {shape[1]} numbers"
            raise ModelError(counted, message)
        if not np.isfinite(outputs[name]).all():
            raise ModelError("model", f"gives no numbers in {shown(name)}", "its weights may be damaged")
    if spec.least_samples != spec.context_samples:
        told = f"of {spec.least_s:g} s is too short for the model, which fails"
        _try(model, noise[:1, : spec.least_samples], "least_seconds", told, "raise it")
    if model.most > 1:
        outputs = _try(model, noise, "run.batch", "over 1 makes the model fail", "set it to 1")
        for name, found in outputs.items():
            if found.shape != (2, spec.outputs[name]):
                hint = "set run.batch to 1"
                raise ModelError("run.batch", f"of 2 gives {list(found.shape)} in {shown(name)}", hint)


def _try(model: LoadedModel, rows: Rows, where: str, message: str, hint: str = "") -> Outputs:
    try:
        return model.run(rows)
    except Exception as error:
        raise ModelError(where, f"{message}: {_said(error)}", hint) from None


def _field_of(spec: ModelSpec, output: str) -> str:
    return "dimensions" if spec.dimensions is not None and spec.dimensions.output == output else "classes"


def _names(names: Any) -> str:
    return ", ".join(shown(name) for name in names) or "none"


def _said(error: Exception) -> str:
    """The first line of what onnxruntime says, which may have many."""
    lines = str(error).strip().splitlines()
    return shown(lines[0]) if lines else type(error).__name__
