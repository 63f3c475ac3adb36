"""Whether a model on its server is the one that the file describes. Pure."""

from dataclasses import dataclass, replace

from gateway.classify.kserve.model import InputSpec, ModelSpec, Normalize, SampleType
from gateway.classify.kserve.protocol import Metadata, TensorSpec
from gateway.classify.kserve.tensors import BYTES

_TYPES = {"INT16": SampleType.INT16, "FP32": SampleType.FLOAT32}


class DisagreementError(Exception):
    """The server's model isn't the one that the file describes; the message is for people."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the model is fed, with all that the server had to say."""

    name: str
    """The input's."""
    input: InputSpec
    """Its type and, where the model always hears the same length, its samples are known."""
    batch: int
    """Most windows in one request."""

    @property
    def whole(self) -> bool:
        """Whether samples are int16."""
        return self.input.type is SampleType.INT16


def agree(spec: ModelSpec, told: Metadata) -> Agreement:
    """Put together what the file and the server say.

    A server may say little: some describe their models only where somebody wrote it down for them. What
    neither says is a disagreement, too.

    Raises:
        DisagreementError: they contradict each other, or something is missing in both.
    """
    _check_outputs(spec, told)
    found = _input(spec.input.name, told)
    name = spec.input.name if found is None else found.name
    if name is None:
        raise DisagreementError("the server doesn't say what the model's input is called: set input.name")
    kind = _type(spec.input, found)
    if kind is SampleType.INT16 and spec.input.normalize is not Normalize.NONE:
        raise DisagreementError("the model takes INT16, which can't be normalised: leave out input.normalize")
    samples, batch = _shape(spec, found)
    return Agreement(name, replace(spec.input, type=kind, samples=samples), batch)


def _input(name: str | None, told: Metadata) -> TensorSpec | None:
    if not told.inputs:
        return None
    if name is None:
        if len(told.inputs) > 1:
            raise DisagreementError(f"the model has several inputs; set input.name: {_names(told.inputs)}")
        return told.inputs[0]
    for one in told.inputs:
        if one.name == name:
            if len(told.inputs) > 1:
                raise DisagreementError(f"the model wants more than {name}: {_names(told.inputs)}")
            return one
    raise DisagreementError(f"the model has no input {name}, but {_names(told.inputs)}")


def _type(spec: InputSpec, found: TensorSpec | None) -> SampleType:
    if found is None:
        if spec.type is SampleType.AUTO:
            raise DisagreementError("the server doesn't say what samples the model takes: set input.type")
        return spec.type
    kind = _TYPES.get(found.datatype)
    if kind is None:
        raise DisagreementError(f"the model takes {found.datatype}, and samples come as INT16 or FP32")
    if spec.type not in (SampleType.AUTO, kind):
        raise DisagreementError(f"the model takes {found.datatype}, and input.type says {spec.type.value}")
    return kind


def _shape(spec: ModelSpec, found: TensorSpec | None) -> tuple[int | None, int]:
    """Samples that the model always hears, and windows in a request."""
    if found is None:
        return spec.input.samples, spec.batch
    if len(found.shape) != 2:
        raise DisagreementError(f"the model's input is {list(found.shape)}, not [windows, samples]")
    windows, samples = found.shape
    if windows == 0 or samples == 0:
        raise DisagreementError("the model's input has no room for anything")
    if samples == -1:
        fixed = spec.input.samples
    elif spec.input.samples in (None, samples):
        fixed = samples
    else:
        raise DisagreementError(
            f"the model hears {samples} samples, not input.samples = {spec.input.samples}"
        )
    if windows > 1:
        raise DisagreementError(f"the model takes {windows} windows at a time; let it take any number")
    return fixed, spec.batch if windows == -1 else windows


def _check_outputs(spec: ModelSpec, told: Metadata) -> None:
    if not told.outputs:
        return
    known = {one.name: one for one in told.outputs}
    for name in spec.outputs:
        if name not in known:
            raise DisagreementError(f"the model has no output {name}, but {_names(told.outputs)}")
    for part, width in (
        (spec.classes, len(spec.classes.labels) if spec.classes else 0),
        (spec.dimensions, len(spec.dimensions.order) if spec.dimensions else 0),
    ):
        if part is None:
            continue
        shape = known[part.output].shape
        if len(shape) != 2 or shape[1] not in (-1, width):
            raise DisagreementError(f"output {part.output} is {list(shape)}, not [windows, {width}]")
    if spec.events is not None and known[spec.events.output].datatype != BYTES:
        raise DisagreementError(
            f"output {spec.events.output} is {known[spec.events.output].datatype}, not BYTES"
        )


def _names(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join("".join(char for char in one.name if char.isprintable())[:60] for one in specs[:8])
