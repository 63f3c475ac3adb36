"""The small TOML file beside a model that says how to feed it and what its numbers mean. Pure.

    model = "model.onnx"        # relative to this file
    context_seconds = 4.0       # what the model hears at once

    [input]
    name = "signal"
    normalize = "none"          # or "zero-mean-unit-variance", over the whole context

    [dimensions]                # or [classes]
    output = "logits"
    order = ["arousal", "dominance", "valence"]

Every field is checked, and one that nobody knows is refused. What only the graph can tell (names, types,
widths) is checked by `gateway.classify.onnx.model`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from gateway.classify.activation import Activation
from gateway.classify.onnx.errors import ModelError
from gateway.classify.onnx.table import Table
from gateway.classify.port import SAMPLE_RATE
from gateway.config.problems import shown

DIMENSIONS = ("arousal", "dominance", "valence")

MIN_CONTEXT_S, MAX_CONTEXT_S = 0.5, 10.0
DEFAULT_CONTEXT_S, DEFAULT_LEAST_S = 4.0, 1.0
MAX_BATCH = 256
MAX_BYTES = 256 * 1024
"""Of the file: it holds a few lines and some labels."""


class SampleType(StrEnum):
    """What the graph's input holds."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT16 = "int16"


class Normalize(StrEnum):
    """What is done to a context before the model hears it."""

    NONE = "none"
    ZERO_MEAN_UNIT_VARIANCE = "zero-mean-unit-variance"


class GateKind(StrEnum):
    """What decides whether there is anything for the model to hear."""

    SPEECH = "speech"
    """Sound, in which somebody speaks."""
    ENERGY = "energy"
    """Any sound."""


class Keep(StrEnum):
    """Where the context of a session is kept from one window to the next."""

    PROCESS = "process"
    """In this process, by the session's name."""
    SESSION = "session"
    """In the session's own analysis state, which travels with it."""


class Provider(StrEnum):
    """What computes."""

    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How samples become the graph's input."""

    name: str
    type: SampleType = SampleType.FLOAT32
    scale: float = 1.0 / 32768.0
    """Times a 16-bit sample; 1 for an input of integers."""
    normalize: Normalize = Normalize.NONE


@dataclass(frozen=True, slots=True)
class DimensionsSpec:
    """An output whose columns are dimensions."""

    output: str
    order: tuple[str, ...]
    """Which column is which of `DIMENSIONS`."""
    low: float = 0.0
    high: float = 1.0
    """The range of each, brought to 0..1; values beyond it count as its end."""


@dataclass(frozen=True, slots=True)
class Told:
    """What people are told of a class."""

    label: str
    affect: str | None = None
    """The word for it; None derives it from the label."""


@dataclass(frozen=True, slots=True)
class ClassesSpec:
    """An output whose columns are classes."""

    output: str
    labels: tuple[str, ...]
    """Which column is which class."""
    activation: Activation = Activation.SOFTMAX
    told: Mapping[str, Told] = field(default_factory=dict)
    """By class; those not named here are told as they are called."""

    def tell(self, column: int) -> Told:
        """What to say of the class in `column`."""
        label = self.labels[column]
        return self.told.get(label) or Told(label)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """All that the file says, checked as far as it can be without the graph."""

    model: Path
    """Absolute."""
    name: str
    """Signs every tone."""
    input: InputSpec
    dimensions: DimensionsSpec | None = None
    classes: ClassesSpec | None = None
    context_s: float = DEFAULT_CONTEXT_S
    least_s: float = DEFAULT_LEAST_S
    """Seconds of context below which the model isn't asked."""
    gate: GateKind = GateKind.SPEECH
    keep: Keep = Keep.PROCESS
    licence: str = ""
    """A note for people: under which terms the weights may be used."""
    threads: int | None = None
    """Threads of one call on the CPU; None shares the cores among the workers."""
    batch: int = 32
    """Most rows in one call."""
    providers: tuple[Provider, ...] = (Provider.CPU,)
    """In order of preference."""

    @property
    def context_samples(self) -> int:
        return round(self.context_s * SAMPLE_RATE)

    @property
    def least_samples(self) -> int:
        return round(self.least_s * SAMPLE_RATE)

    @property
    def outputs(self) -> dict[str, int]:
        """Width of each output that is read, by its name."""
        wanted: dict[str, int] = {}
        if self.dimensions is not None:
            wanted[self.dimensions.output] = len(self.dimensions.order)
        if self.classes is not None:
            wanted[self.classes.output] = len(self.classes.labels)
        return wanted


def read_spec(path: Path) -> ModelSpec:
    """The description in the file at `path`.

    Raises:
        ModelError: it can't be read, or isn't one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(str(path), f"can't be read: {error.strerror or type(error).__name__}") from None
    if len(data) > MAX_BYTES:
        raise ModelError(str(path), f"is over {MAX_BYTES} bytes", "name the TOML file, not the model")
    try:
        given = tomllib.loads(data.decode())
    except RecursionError:
        raise ModelError(str(path), "is nested too deep") from None
    except ValueError as error:
        hint = "name the TOML file, not the model" if isinstance(error, UnicodeDecodeError) else ""
        raise ModelError(str(path), f"is not valid TOML: {shown(error)}", hint) from None
    return parse_spec(given, path.absolute())


def parse_spec(given: Mapping[str, object], path: Path) -> ModelSpec:
    """The description that stands in the file at `path` as `given`.

    Raises:
        ModelError: names the first field that is wrong.
    """
    top = Table("", given)
    model = path.parent / top.text("model")
    context_s = top.number("context_seconds", MIN_CONTEXT_S, MAX_CONTEXT_S, DEFAULT_CONTEXT_S)
    least_s = top.number("least_seconds", 0.02, context_s, min(DEFAULT_LEAST_S, context_s))
    dimensions, classes = top.table("dimensions"), top.table("classes")
    if dimensions is None and classes is None:
        raise ModelError("dimensions", "is missing, and so is classes", "say what the model's output means")
    run = top.table("run") or Table("run", {})
    spec = ModelSpec(
        model=model,
        name=top.text("name", path.stem),
        input=_input(top.required("input")),
        dimensions=None if dimensions is None else _dimensions(dimensions),
        classes=None if classes is None else _classes(classes),
        context_s=context_s,
        least_s=least_s,
        gate=top.choice("gate", GateKind, GateKind.SPEECH),
        keep=top.choice("keep", Keep, Keep.PROCESS),
        licence=top.text("licence", ""),
        threads=run.whole("threads", 1, 256, None),
        batch=run.whole("batch", 1, MAX_BATCH, 32) or 32,
        providers=run.choices("providers", Provider, (Provider.CPU,)),
    )
    for table in (run, top):
        table.finish()
    if dimensions is not None and classes is not None and len(spec.outputs) < 2:
        raise ModelError("classes.output", "is the output of dimensions, too", "an output is one of the two")
    if not model.is_file():
        raise ModelError("model", f"is no file: {model}", "a relative path begins at the TOML file")
    return spec


def _input(table: Table) -> InputSpec:
    kind = table.choice("type", SampleType, SampleType.FLOAT32)
    usual = 1.0 if kind is SampleType.INT16 else 1.0 / 32768.0
    spec = InputSpec(
        name=table.text("name"),
        type=kind,
        scale=table.number("scale", 1e-9, 1.0, usual),
        normalize=table.choice("normalize", Normalize, Normalize.NONE),
    )
    table.finish()
    if kind is SampleType.INT16 and (spec.scale != 1.0 or spec.normalize is not Normalize.NONE):
        raise ModelError("input.type", "int16 goes with no scale and no normalize", "leave those out")
    return spec


def _dimensions(table: Table) -> DimensionsSpec:
    output, order = table.text("output"), table.texts("order", DIMENSIONS)
    for name in order:
        if name not in DIMENSIONS:
            hint = f"it takes {', '.join(DIMENSIONS)}"
            raise ModelError("dimensions.order", f"knows no {shown(name)}", hint)
    if "arousal" not in order:
        raise ModelError("dimensions.order", "has no arousal, which the labels are led by")
    low, high = table.pair("range", (0.0, 1.0))
    table.finish()
    if not low < high:
        raise ModelError("dimensions.range", f"must rise: [{low:g}, {high:g}]")
    return DimensionsSpec(output, order, low, high)


def _classes(table: Table) -> ClassesSpec:
    output, labels = table.text("output"), table.texts("labels", None)
    activation = table.choice("activation", Activation, Activation.SOFTMAX)
    told: dict[str, Told] = {}
    mapped = table.table("map")
    if mapped is not None:
        for label in mapped.names:
            if label not in labels:
                raise ModelError(f"classes.map.{shown(label)}", "is none of classes.labels")
            told[label] = _told(mapped, label)
    table.finish()
    return ClassesSpec(output, labels, activation, told)


def _told(mapped: Table, label: str) -> Told:
    """`"Happy"`, or `{label = "Happy", affect = "cheerful"}`."""
    if mapped.holds_text(label):
        return Told(mapped.text(label))
    inner = mapped.required(label)
    found = Told(inner.text("label"), inner.text("affect", "") or None)
    inner.finish()
    return found
