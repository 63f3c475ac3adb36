"""The TOML file: what it may say, and that each mistake in it is told by the field's name."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.activation import Activation
from gateway.classify.onnx.errors import ModelError
from gateway.classify.onnx.spec import (
    GateKind,
    Keep,
    ModelSpec,
    Normalize,
    Provider,
    SampleType,
    Told,
    parse_spec,
    read_spec,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"not looked at here")
    return tmp_path


def least(**more: Any) -> dict[str, Any]:
    """The least that a file may say."""
    return {
        "model": "model.onnx",
        "input": {"name": "signal"},
        "dimensions": {"output": "logits", "order": ["arousal"]},
        **more,
    }


def refused(given: dict[str, Any], folder: Path) -> ModelError:
    with pytest.raises(ModelError) as error:
        parse_spec(given, folder / "tiny.toml")
    return error.value


def test_the_defaults(folder: Path) -> None:
    """A file of a few lines gives a whole description."""
    spec = parse_spec(least(), folder / "tiny.toml")
    assert spec.model == folder / "model.onnx"
    assert spec.name == "tiny"
    assert (spec.context_s, spec.context_samples, spec.least_samples) == (4.0, 64_000, 16_000)
    assert (spec.gate, spec.keep, spec.threads, spec.batch) == (GateKind.SPEECH, Keep.PROCESS, None, 32)
    assert spec.providers == (Provider.CPU,)
    assert spec.input.type is SampleType.FLOAT32
    assert spec.input.scale == pytest.approx(1 / 32768)
    assert spec.input.normalize is Normalize.NONE
    assert spec.outputs == {"logits": 1}


def test_everything_that_may_be_said(folder: Path) -> None:
    """Each field is read into its place."""
    path = folder / "big.toml"
    path.write_text("""
model = "model.onnx"
name = "big-1"
licence = "CC-BY-NC-SA-4.0: not for commerce"
context_seconds = 3
least_seconds = 2
gate = "energy"
keep = "session"

[input]
name = "x"
type = "int16"

[dimensions]
output = "dims"
order = ["valence", "arousal"]
range = [-1, 1]

[classes]
output = "logits"
labels = ["neu", "hap", "生气/angry"]
activation = "sigmoid"

[classes.map]
neu = "Neutral"
hap = { label = "Happy", affect = "cheerful" }

[run]
threads = 2
batch = 8
providers = ["cuda", "cpu"]
""")
    spec = read_spec(path)
    assert (spec.name, spec.context_s, spec.least_s) == ("big-1", 3.0, 2.0)
    assert spec.licence.startswith("CC-BY")
    assert (spec.gate, spec.keep) == (GateKind.ENERGY, Keep.SESSION)
    assert (spec.input.name, spec.input.type, spec.input.scale) == ("x", SampleType.INT16, 1.0)
    assert spec.dimensions is not None
    assert (spec.dimensions.order, spec.dimensions.low) == (("valence", "arousal"), -1.0)
    assert spec.classes is not None
    assert spec.classes.activation is Activation.SIGMOID
    assert spec.classes.tell(0) == Told("Neutral")
    assert spec.classes.tell(1) == Told("Happy", "cheerful")
    assert spec.classes.tell(2) == Told("生气/angry")
    assert spec.outputs == {"dims": 2, "logits": 3}
    assert (spec.threads, spec.batch, spec.providers) == (2, 8, (Provider.CUDA, Provider.CPU))


CLASSES = {"output": "logits", "labels": ["a", "b"]}
DIMENSIONS = {"output": "logits", "order": ["arousal"]}


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"modle": "model.onnx"}, "modle"),
        ({"model": "gone.onnx"}, "model"),
        ({"model": ""}, "model"),
        ({"model": 3}, "model"),
        ({"model": "a\0b"}, "model"),
        ({"name": "x" * 300}, "name"),
        ({"licence": "a\nb"}, "licence"),
        ({"context_seconds": 0.4}, "context_seconds"),
        ({"context_seconds": 11}, "context_seconds"),
        ({"context_seconds": float("nan")}, "context_seconds"),
        ({"context_seconds": True}, "context_seconds"),
        ({"least_seconds": 5}, "least_seconds"),
        ({"gate": "loud"}, "gate"),
        ({"keep": "disk"}, "keep"),
        ({"input": 3}, "input"),
        ({"input": {}}, "input.name"),
        ({"input": {"name": "a", "type": "float64"}}, "input.type"),
        ({"input": {"name": "a", "scale": 0}}, "input.scale"),
        ({"input": {"name": "a", "normalise": "none"}}, "input.normalise"),
        ({"input": {"name": "a", "normalize": "peak"}}, "input.normalize"),
        ({"input": {"name": "a", "type": "int16", "normalize": "zero-mean-unit-variance"}}, "input.type"),
        ({"dimensions": {"order": ["arousal"]}}, "dimensions.output"),
        ({"dimensions": {**DIMENSIONS, "order": []}}, "dimensions.order"),
        ({"dimensions": {**DIMENSIONS, "order": "arousal"}}, "dimensions.order"),
        ({"dimensions": {**DIMENSIONS, "order": ["arousal", "arousal"]}}, "dimensions.order"),
        ({"dimensions": {**DIMENSIONS, "order": ["arousal", "mood"]}}, "dimensions.order"),
        ({"dimensions": {**DIMENSIONS, "order": ["valence"]}}, "dimensions.order"),
        ({"dimensions": {**DIMENSIONS, "order": [1]}}, "dimensions.order"),
        ({"dimensions": {**DIMENSIONS, "range": [1, 0]}}, "dimensions.range"),
        ({"dimensions": {**DIMENSIONS, "range": [0, float("inf")]}}, "dimensions.range"),
        ({"dimensions": {**DIMENSIONS, "range": 1}}, "dimensions.range"),
        ({"dimensions": {**DIMENSIONS, "range": [0, 10**400]}}, "dimensions.range"),
        ({"dimensions": {**DIMENSIONS, "scale": 1}}, "dimensions.scale"),
        ({"classes": {**CLASSES, "labels": []}}, "classes.labels"),
        ({"classes": CLASSES}, "classes.output"),
        ({"classes": {**CLASSES, "activation": "relu"}}, "classes.activation"),
        ({"classes": {**CLASSES, "map": {"c": "C"}}}, "classes.map.c"),
        ({"classes": {**CLASSES, "map": {"a": 1}}}, "classes.map.a"),
        ({"classes": {**CLASSES, "map": {"a": {"affect": "x"}}}}, "classes.map.a.label"),
        ({"run": {"threads": 0}}, "run.threads"),
        ({"run": {"threads": 1.5}}, "run.threads"),
        ({"run": {"batch": 257}}, "run.batch"),
        ({"run": {"providers": ["tpu"]}}, "run.providers"),
        ({"run": {"providers": []}}, "run.providers"),
        ({"run": {"cores": 1}}, "run.cores"),
    ],
)
def test_a_mistake_is_told_by_the_name_of_its_field(folder: Path, given: dict[str, Any], where: str) -> None:
    """Whatever is wrong, its place in the file is named."""
    assert refused({**least(), **given}, folder).where == where


def test_no_meaning_at_all(folder: Path) -> None:
    """A file that doesn't say what the model's output means is refused."""
    given = least()
    del given["dimensions"]
    assert "classes" in str(refused(given, folder))


def test_slips_are_pointed_at(folder: Path) -> None:
    """A misspelt field is told by the field it may have meant, whether that one is needed or not."""
    assert refused({**least(), "context_second": 4}, folder).hint == "did you mean context_seconds?"
    given = least()
    given["modell"] = given.pop("model")
    assert refused(given, folder).hint == "modell is no field"


def test_files_that_can_not_be_read(folder: Path) -> None:
    """No file, no TOML, and the model itself where the description was meant."""
    gone = folder / "gone.toml"
    with pytest.raises(ModelError, match="No such file"):
        read_spec(gone)
    gone.write_text("model = ")
    with pytest.raises(ModelError, match="not valid TOML"):
        read_spec(gone)
    gone.write_bytes(b"\x08\xff" * 100)
    with pytest.raises(ModelError, match="not valid TOML") as error:
        read_spec(gone)
    assert "not the model" in error.value.hint
    gone.write_bytes(b"#" * 300_000)
    with pytest.raises(ModelError, match="is over"):
        read_spec(gone)
    with pytest.raises(ModelError, match="Is a directory"):
        read_spec(folder)


NAMES = st.sampled_from(
    [
        "model",
        "name",
        "context_seconds",
        "input",
        "dimensions",
        "classes",
        "run",
        "output",
        "order",
        "range",
        "labels",
        "activation",
        "map",
        "label",
        "providers",
        "batch",
        "threads",
        "gate",
        "keep",
        "least_seconds",
        "scale",
        "type",
        "normalize",
    ]
) | st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_any_file_at_all(given: dict[str, Any]) -> None:
    """Whatever valid TOML says, it is a description or a ModelError."""
    with contextlib.suppress(ModelError):
        assert isinstance(
            parse_spec({**least(model=Path(__file__).name), **given}, Path(__file__)), ModelSpec
        )
