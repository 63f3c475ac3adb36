"""The file and the server are compared before the first window, and disagreements are told in plain words."""

from typing import Any

import pytest

from gateway.classify.kserve.agreement import DisagreementError, agree
from gateway.classify.kserve.model import (
    ClassesSpec,
    DimensionsSpec,
    EventsSpec,
    InputSpec,
    ModelSpec,
    Normalize,
    SampleType,
)
from gateway.classify.kserve.protocol import Metadata, Named, TensorSpec

AUDIO = TensorSpec("AUDIO", "INT16", (-1, -1))
LOGITS = TensorSpec("logits", "FP32", (-1, 2))


def spec(**changes: Any) -> ModelSpec:
    return ModelSpec(Named("m"), **{"classes": ClassesSpec("logits", ("a", "b")), **changes})


def told(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = (LOGITS,)) -> Metadata:
    return Metadata(inputs, outputs)


def test_what_the_server_says_is_enough() -> None:
    """Name, type and length are its to know."""
    found = agree(spec(), told(AUDIO))
    assert (found.name, found.whole, found.input.samples, found.batch) == ("AUDIO", True, None, 32)
    found = agree(spec(), told(TensorSpec("x", "FP32", (-1, 16_000))))
    assert (found.name, found.whole, found.input.samples) == ("x", False, 16_000)
    assert agree(spec(), told(TensorSpec("x", "FP32", (1, -1)))).batch == 1


def test_a_server_that_says_nothing_leaves_it_to_the_file() -> None:
    """Some describe a model only where somebody wrote it down."""
    silent = Metadata((), ())
    found = agree(spec(input=InputSpec(name="x", type=SampleType.FLOAT32, samples=800)), silent)
    assert (found.name, found.whole, found.input.samples) == ("x", False, 800)
    for given, missing in (
        (InputSpec(), "input.name"),
        (InputSpec(name="x"), "input.type"),
    ):
        with pytest.raises(DisagreementError, match=missing):
            agree(spec(input=given), silent)


@pytest.mark.parametrize(
    ("changes", "metadata", "message"),
    [
        ({"input": InputSpec(name="x")}, told(AUDIO), "no input x, but AUDIO"),
        ({}, told(AUDIO, TensorSpec("y", "FP32", (1,))), "several inputs"),
        (
            {"input": InputSpec(name="AUDIO")},
            told(AUDIO, TensorSpec("y", "FP32", (1,))),
            "wants more than AUDIO",
        ),
        ({}, told(TensorSpec("x", "BYTES", (-1, -1))), "takes BYTES"),
        ({"input": InputSpec(type=SampleType.FLOAT32)}, told(AUDIO), "input.type says float32"),
        ({}, told(TensorSpec("x", "INT16", (-1,))), "not \\[windows, samples\\]"),
        ({}, told(TensorSpec("x", "INT16", (-1, 0))), "no room"),
        ({}, told(TensorSpec("x", "INT16", (4, -1))), "4 windows at a time"),
        ({"input": InputSpec(samples=800)}, told(TensorSpec("x", "INT16", (-1, 900))), "900 samples"),
        (
            {"input": InputSpec(normalize=Normalize.ZERO_MEAN_UNIT_VARIANCE)},
            told(AUDIO),
            "can't be normalised",
        ),
        ({"classes": ClassesSpec("other", ("a",))}, told(AUDIO), "no output other, but logits"),
        ({"classes": ClassesSpec("logits", ("a",))}, told(AUDIO), "not \\[windows, 1\\]"),
        ({"dimensions": DimensionsSpec("logits")}, told(AUDIO), "not \\[windows, 3\\]"),
        ({"classes": None, "events": EventsSpec("logits")}, told(AUDIO), "FP32, not BYTES"),
    ],
)
def test_disagreements_are_told(changes: dict[str, Any], metadata: Metadata, message: str) -> None:
    """Each names what to change."""
    with pytest.raises(DisagreementError, match=message):
        agree(spec(**changes), metadata)


def test_names_of_a_server_are_shown_as_one_short_line() -> None:
    """They go to logs and to people."""
    with pytest.raises(DisagreementError) as caught:
        agree(spec(), told(AUDIO, outputs=(TensorSpec("a\n\x1b[31m" + "x" * 500, "FP32", (-1, 2)),)))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
