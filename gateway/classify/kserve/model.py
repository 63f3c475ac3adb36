"""The small TOML file that says which model of a server to ask, how to feed it and what its numbers mean.

    model = "undertone_tone"
    licence = "Apache-2.0"

    [input]
    type = "int16"

    [classes]
    output = "logits"
    labels = ["neutral", "happy", "angry", "sad"]

Every field is checked while the gateway starts, and one that nobody knows is refused. What only the server
can tell (names, types and shapes of its tensors) is checked by `gateway.classify.kserve.agreement`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from gateway.classify.activation import Activation
from gateway.classify.kserve.protocol import Named
from gateway.config.kinds import Choice, Flag, Kind, Many, Number, Text
from gateway.config.problems import Problem, Refused, SettingsError, did_you_mean, shown

DIMENSIONS = ("arousal", "dominance", "valence")
MAX_BYTES = 256 * 1024
"""Of the file, and of a file of labels."""
MAX_TEXT = 200
"""Characters of a name, a label or a note."""
MAX_CLASSES = 1_000


class Wire(StrEnum):
    """How tensors travel."""

    AUTO = "auto"
    """In binary where the server can do that, else as JSON."""
    BINARY = "binary"
    JSON = "json"


class SampleType(StrEnum):
    """What the model's input holds."""

    AUTO = "auto"
    """What the server says."""
    INT16 = "int16"
    FLOAT32 = "float32"
    """-1 to 1."""


class Pad(StrEnum):
    """Where silence goes, for a model that always hears the same length."""

    BEFORE = "before"
    AFTER = "after"


class Keep(StrEnum):
    """Which part of a window stays that is longer than the model hears."""

    NEWEST = "newest"
    OLDEST = "oldest"


class Normalize(StrEnum):
    """What is done to a window before the model hears it."""

    NONE = "none"
    ZERO_MEAN_UNIT_VARIANCE = "zero-mean-unit-variance"


class GateKind(StrEnum):
    """What decides whether there is anything for the model to hear."""

    SPEECH = "speech"
    """Sound, in which somebody speaks."""
    ENERGY = "energy"
    """Any sound."""
    NONE = "none"
    """Nothing does: it hears all windows."""


SILENCE_DBFS = -60.0
"""Below it nobody speaks, and an emotion model would still say something."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How the model is fed."""

    name: str | None = None
    """None: its only input."""
    type: SampleType = SampleType.AUTO
    samples: int | None = None
    """How many the model always hears, at 16 kHz; None: as many as a window has, unless the server says."""
    pad: Pad = Pad.AFTER
    keep: Keep = Keep.NEWEST
    normalize: Normalize = Normalize.NONE
    gate: GateKind = GateKind.NONE
    silence_dbfs: float = SILENCE_DBFS
    """Quieter windows hold no sound, for the gate."""


@dataclass(frozen=True, slots=True)
class ClassesSpec:
    """An output [windows, labels]."""

    output: str
    labels: tuple[str, ...]
    activation: Activation = Activation.SOFTMAX


@dataclass(frozen=True, slots=True)
class DimensionsSpec:
    """An output [windows, dimensions]."""

    output: str
    order: tuple[str, ...] = DIMENSIONS
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class EventsSpec:
    """An output [windows] of texts, each a JSON list of a sidecar's events."""

    output: str
    words: bool = False
    """Whether there are transcripts among them."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything about one model of a server."""

    at: Named
    input: InputSpec = field(default_factory=InputSpec)
    classes: ClassesSpec | None = None
    dimensions: DimensionsSpec | None = None
    events: EventsSpec | None = None
    wire: Wire = Wire.AUTO
    batch: int = 32
    """Most windows in one request."""
    deadline_s: float = 5.0
    """The longest that a call may take, seconds."""
    licence: str = ""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs that are read."""
        parts = (self.classes, self.dimensions, self.events)
        return tuple(part.output for part in parts if part is not None)


def read_spec(path: Path, *, most_s: float = 60.0) -> ModelSpec:
    """The description in the file at `path`.

    Args:
        path: of the TOML file.
        most_s: seconds after which nobody waits for an answer any more.

    Raises:
        SettingsError: with everything that is wrong with it.
    """
    try:
        given = tomllib.loads(_text_of(path))
    except ValueError as error:
        raise SettingsError([Problem(str(path), None, f"is not valid TOML: {shown(error)}")]) from None
    problems: list[Problem] = []
    top = _Table("", given, path, problems)
    spec = _spec(top)
    if spec.deadline_s > most_s:
        hint = "lower it, or raise UNDERTONE_CLASSIFY_TIMEOUT_S"
        top.blame("deadline_seconds", f"must not be more than {most_s:g}, after which nobody waits", hint)
    if problems:
        raise SettingsError(problems)
    return spec


class _Table:
    """The fields of one table. What is wrong is gathered, so that all of it can be told at once."""

    def __init__(self, name: str, given: Mapping[str, Any], path: Path, problems: list[Problem]) -> None:
        self.name = name
        self.path = path
        self.problems = problems
        self._given = given
        self._known: list[str] = []

    def take(self, key: str, kind: Kind, default: Any = None, *, needed: bool = False) -> Any:
        """The value of `key`; `default` where it isn't given or is wrong."""
        self._known.append(key)
        value = self._given.get(key)
        if value is None:
            if needed:
                self.blame(key, "is missing", kind.describe())
            return default
        try:
            return kind.check(value)
        except Refused as refused:
            self.blame(key, refused.message, refused.hint, value)
            return default

    def table(self, key: str) -> "_Table | None":
        """The table inside, where there is one."""
        self._known.append(key)
        value = self._given.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.blame(key, "must be a table")
            return None
        return _Table(key, value, self.path, self.problems)

    def blame(self, key: str, message: str, hint: str = "", value: object = None) -> None:
        full = f"{self.name}.{shown(key)}" if self.name else shown(key)
        given = None if value is None else shown(value)
        self.problems.append(Problem(f"{full} in {self.path}", given, message, hint))

    def finish(self) -> None:
        """Refuse what nobody asked for."""
        for key in self._given:
            if key not in self._known:
                self.blame(key, "is not a field", did_you_mean(key, self._known))


def _line(text: str) -> str:
    if not text or len(text) > MAX_TEXT or not text.isprintable():
        raise Refused(f"must be one line of 1 to {MAX_TEXT} characters")
    return text


_LINE = Text(_line, "a line of text")


def _spec(top: _Table) -> ModelSpec:
    model, version = top.take("model", _LINE, "", needed=True), top.take("version", _LINE)
    classes, dimensions, events = (top.table(name) for name in ("classes", "dimensions", "events"))
    if classes is None and dimensions is None and events is None:
        top.blame("classes", "is missing, and so are dimensions and events", "say what the output means")
    source = top.table("input") or _Table("input", {}, top.path, top.problems)
    spec = ModelSpec(
        at=Named(model, version),
        input=_input(source, tonal=events is None),
        classes=_classes(classes) if classes else None,
        dimensions=_dimensions(dimensions) if dimensions else None,
        events=_events(events) if events else None,
        wire=top.take("wire", Choice(Wire), Wire.AUTO),
        batch=top.take("batch", Number(1, 32, whole=True), 32),
        deadline_s=top.take("deadline_seconds", Number(0.1, 60), 5.0),
        licence=top.take("licence", _LINE, ""),
    )
    top.finish()
    if len(set(spec.outputs)) < len(spec.outputs):
        top.blame("output", "is the same in two tables", "an output has one meaning")
    return spec


def _input(table: _Table, *, tonal: bool) -> InputSpec:
    """The table's fields; a model that is `tonal` says something of any noise."""
    silence_dbfs = table.take("silence_dbfs", Number(-100, 0))
    gate = GateKind.SPEECH if tonal else GateKind.NONE if silence_dbfs is None else GateKind.ENERGY
    spec = InputSpec(
        name=table.take("name", _LINE),
        type=table.take("type", Choice(SampleType), SampleType.AUTO),
        samples=table.take("samples", Number(160, 16_000 * 60, whole=True)),
        pad=table.take("pad", Choice(Pad), Pad.AFTER),
        keep=table.take("keep", Choice(Keep), Keep.NEWEST),
        normalize=table.take("normalize", Choice(Normalize), Normalize.NONE),
        gate=table.take("gate", Choice(GateKind), gate),
        silence_dbfs=SILENCE_DBFS if silence_dbfs is None else silence_dbfs,
    )
    table.finish()
    if spec.gate is GateKind.NONE and silence_dbfs is not None:
        table.blame("silence_dbfs", "goes with a gate alone", 'leave it out, or set gate = "energy"')
    if spec.type is SampleType.INT16 and spec.normalize is not Normalize.NONE:
        table.blame("normalize", "goes with no int16 samples", 'leave it out, or set type = "float32"')
    return spec


def _classes(table: _Table) -> ClassesSpec:
    output = table.take("output", _LINE, "", needed=True)
    listed = table.take("labels", Many(_line, "labels"))
    file = table.take("labels_file", _LINE)
    activation = table.take("activation", Choice(Activation), Activation.SOFTMAX)
    table.finish()
    labels: tuple[str, ...] = listed or ()
    if (listed is None) == (file is None):
        table.blame("labels", "or labels_file must be given, one of the two")
    else:
        found = labels if file is None else _labels_of(table, file)
        if found is not None and not 1 <= len(found) <= MAX_CLASSES:
            table.blame("labels", f"must be 1 to {MAX_CLASSES}")
        labels = found or ()
    if len(set(labels)) < len(labels):
        table.blame("labels", "has one of them twice")
    return ClassesSpec(output, labels, activation)


def _labels_of(table: _Table, file: str) -> tuple[str, ...] | None:
    """The lines of the file, which is named from where the TOML file is; None where that can't be used."""
    path = table.path.parent / file
    try:
        return tuple(_line(line.strip()) for line in _text_of(path).splitlines() if line.strip())
    except SettingsError as error:
        table.problems.extend(error.problems)
    except Refused as refused:
        table.problems.append(Problem(str(path), None, f"has a label that {refused.message}"))
    return None


def _dimensions(table: _Table) -> DimensionsSpec:
    output = table.take("output", _LINE, "", needed=True)
    order = table.take("order", Many(_dimension, "dimensions"), DIMENSIONS)
    bounds = table.take("range", Many(str, "numbers"), ("0", "1"))
    table.finish()
    if "arousal" not in order or len(set(order)) < len(order):
        table.blame("order", "must name arousal, and each dimension once", "a tone's label goes by arousal")
    try:
        low, high = (float(one) for one in bounds)
    except ValueError:
        low, high = 0.0, 0.0
    if not -1e6 <= low < high <= 1e6:
        table.blame("range", "must be two numbers that rise, such as [0.0, 1.0]")
    return DimensionsSpec(output, order, low, high)


def _dimension(text: str) -> str:
    if text not in DIMENSIONS:
        raise Refused(f"knows {', '.join(DIMENSIONS)}", did_you_mean(text, DIMENSIONS))
    return text


def _events(table: _Table) -> EventsSpec:
    spec = EventsSpec(table.take("output", _LINE, "EVENTS"), table.take("words", Flag(), False))
    table.finish()
    return spec


def _text_of(path: Path) -> str:
    """What stands in the file at `path`; raises SettingsError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError([Problem(str(path), None, f"can't be read: {reason}")]) from None
    if len(data) > MAX_BYTES:
        raise SettingsError([Problem(str(path), None, f"is over {MAX_BYTES} bytes")])
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SettingsError([Problem(str(path), None, "is not UTF-8 text")]) from None
