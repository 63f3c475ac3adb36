"""The file that describes a model is checked as a whole, before anything opens."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.classify.activation import Activation
from gateway.classify.kserve.model import (
    GateKind,
    Keep,
    Normalize,
    Pad,
    SampleType,
    Wire,
    read_spec,
)
from gateway.config.problems import SettingsError
from tests.triton_models import REPOSITORY

FULL = """
model = "tone"
version = "3"
licence = "CC-BY-NC-SA-4.0: research only"
wire = "json"
batch = 8
deadline_seconds = 2

[input]
name = "signal"
type = "float32"
samples = 64_000
pad = "before"
keep = "oldest"
normalize = "zero-mean-unit-variance"
gate = "speech"
silence_dbfs = -50

[classes]
output = "logits"
labels_file = "labels.txt"
activation = "sigmoid"

[dimensions]
output = "dimensions"
order = ["valence", "arousal"]
range = [-1, 1]

[events]
output = "told"
words = true
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "model.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_spec(written(folder, text))
    return [f"{one.name.split(' in ')[0]} {one.message} {one.hint}" for one in caught.value.problems]


def test_every_field(tmp_path: Path) -> None:
    """All of them at once."""
    (tmp_path / "labels.txt").write_text("Neutral\n\n Happy \n", encoding="utf-8")
    spec = read_spec(written(tmp_path, FULL))
    assert (spec.at.path, spec.wire, spec.batch, spec.deadline_s) == (
        "/v2/models/tone/versions/3",
        Wire.JSON,
        8,
        2.0,
    )
    heard = spec.input
    assert (heard.name, heard.type, heard.samples) == ("signal", SampleType.FLOAT32, 64_000)
    assert (heard.pad, heard.keep) == (Pad.BEFORE, Keep.OLDEST)
    assert (heard.gate, heard.silence_dbfs) == (GateKind.SPEECH, -50)
    assert heard.normalize is Normalize.ZERO_MEAN_UNIT_VARIANCE
    assert spec.classes is not None
    assert (spec.classes.labels, spec.classes.activation) == (("Neutral", "Happy"), Activation.SIGMOID)
    assert spec.dimensions is not None
    assert (spec.dimensions.order, spec.dimensions.low, spec.dimensions.high) == (
        ("valence", "arousal"),
        -1.0,
        1.0,
    )
    assert spec.events is not None
    assert spec.events.words
    assert spec.outputs == ("logits", "dimensions", "told")


def test_the_least(tmp_path: Path) -> None:
    """A name and what one output means; a model of tones hears speech alone, and one of events all."""
    spec = read_spec(written(tmp_path, 'model = "m"\n[classes]\noutput = "o"\nlabels = ["a", "b"]\n'))
    assert (spec.input.gate, spec.input.silence_dbfs) == (GateKind.SPEECH, -60)
    assert spec.at.version is None
    assert read_spec(written(tmp_path, 'model = "m"\n[events]\n')).input.gate is GateKind.NONE
    quiet = read_spec(written(tmp_path, 'model = "m"\n[input]\nsilence_dbfs = -40\n[events]\n')).input
    assert (quiet.gate, quiet.silence_dbfs) == (GateKind.ENERGY, -40)
    every = read_spec(written(tmp_path, 'model = "m"\n[input]\ngate = "none"\n' + CLASSES)).input
    assert every.gate is GateKind.NONE


def test_the_file_in_deploy_is_good() -> None:
    """What the documentation tells people to start with."""
    spec = read_spec(REPOSITORY.parent / "undertone.toml")
    assert spec.at.model == "undertone_tone"
    assert spec.classes is not None
    assert len(spec.classes.labels) == 4


CLASSES = '[classes]\noutput = "o"\nlabels = ["a", "b"]\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "model is missing"),
        ('model = "m"', "classes is missing, and so are dimensions and events"),
        ('model = "m"\nmodle = 1\n' + CLASSES, "modle is not a field did you mean model?"),
        ('model = ""\n' + CLASSES, "model must be one line"),
        ("model = 1\n" + CLASSES, "model must be text"),
        ('model = "m"\nclasses = 1\n', "classes must be a table"),
        ('model = "m"\nwire = "grpc"\n' + CLASSES, "wire must be auto, binary or json"),
        ('model = "m"\nbatch = 33\n' + CLASSES, "batch must be a whole number from 1 to 32"),
        ('model = "m"\ndeadline_seconds = 0\n' + CLASSES, "deadline_seconds must be a number"),
        ('model = "m"\n[input]\nsamples = 1\n' + CLASSES, "input.samples must be a whole number"),
        (
            'model = "m"\n[input]\ntype = "int16"\nnormalize = "zero-mean-unit-variance"\n' + CLASSES,
            "input.normalize goes with no int16 samples",
        ),
        ('model = "m"\n[input]\ngate = "voice"\n' + CLASSES, "input.gate must be speech, energy or none"),
        (
            'model = "m"\n[input]\ngate = "none"\nsilence_dbfs = -50\n' + CLASSES,
            "input.silence_dbfs goes with a gate alone",
        ),
        ('model = "m"\n[classes]\nlabels = ["a"]', "classes.output is missing"),
        ('model = "m"\n[classes]\noutput = "o"', "classes.labels or labels_file must be given"),
        ('model = "m"\n[classes]\noutput = "o"\nlabels = []', "classes.labels must be 1 to 1000"),
        ('model = "m"\n[classes]\noutput = "o"\nlabels = ["a", "a"]', "classes.labels has one of them twice"),
        ('model = "m"\n[classes]\noutput = "o"\nlabels_file = "no.txt"', "can't be read"),
        (
            'model = "m"\n[dimensions]\noutput = "o"\norder = ["valence"]',
            "dimensions.order must name arousal",
        ),
        ('model = "m"\n[dimensions]\noutput = "o"\norder = ["arousel"]', "did you mean arousal?"),
        ('model = "m"\n[dimensions]\noutput = "o"\nrange = [1, 0]', "dimensions.range must be two numbers"),
        ('model = "m"\n[dimensions]\noutput = "o"\nrange = [0]', "dimensions.range must be two numbers"),
        (
            'model = "m"\n[dimensions]\noutput = "o"\nrange = ["a", "b"]',
            "dimensions.range must be two numbers",
        ),
        ('model = "m"\n[dimensions]\noutput = "o"\n' + CLASSES, "output is the same in two tables"),
        ("model = ", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_told_by_its_name(tmp_path: Path, text: str, told: str) -> None:
    """With what to do about it."""
    found = problems(tmp_path, text)
    assert any(told in one for one in found), found


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Nobody mends a file ten times."""
    assert len(problems(tmp_path, 'wire = "x"\nbatch = 0\nfoo = 1\n[input]\npad = "up"\n' + CLASSES)) == 5


def test_a_deadline_ends_before_nobody_waits(tmp_path: Path) -> None:
    """The gateway gives a batch up by itself; a longer deadline would only be confusing."""
    path = written(tmp_path, 'model = "m"\ndeadline_seconds = 8\n' + CLASSES)
    assert read_spec(path, most_s=8).deadline_s == 8
    with pytest.raises(SettingsError, match="must not be more than 7"):
        read_spec(path, most_s=7)


def test_files_that_are_none(tmp_path: Path) -> None:
    """Missing, not text, or far too large."""
    path = tmp_path / "model.toml"
    with pytest.raises(SettingsError, match="can't be read"):
        read_spec(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not UTF-8"):
        read_spec(path)
    path.write_bytes(b"#" * 300_000)
    with pytest.raises(SettingsError, match="over 262144 bytes"):
        read_spec(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet='model=lsabe[]"\n 1.-truciv', max_size=80))
def test_any_text_is_a_description_or_refused(tmp_path: Path, text: str) -> None:
    """And never another error."""
    with suppress(SettingsError):
        read_spec(written(tmp_path, 'model = "m"\n' + text))
