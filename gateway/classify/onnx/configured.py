"""The classifier that the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from gateway.classify.onnx.classifier import Deferred, OnnxClassifier, Talking
from gateway.classify.onnx.errors import ModelError
from gateway.classify.onnx.model import load
from gateway.classify.onnx.spec import ModelSpec, read_spec
from gateway.clock import Clock
from gateway.config.options import variable
from gateway.eventloop import on_event_loop
from gateway.settings import Problem, Settings, SettingsError

_NAME = "onnx_model_file"


def check_model(settings: Settings) -> None:
    """Load and try the model that the settings name, if they name one. May take seconds.

    Raises:
        SettingsError: it can't be used.
    """
    if settings.onnx_model_file is not None:
        with _translated(settings.onnx_model_file):
            load(_spec(settings.onnx_model_file), threads=_threads(settings))


def configured_onnx(settings: Settings, clock: Clock, talking: Talking) -> OnnxClassifier:
    """The classifier of the model that the settings name, not started.

    The model is loaded and tried here, which may take seconds; on a running event loop it is loaded when the
    classifier has been started, in the background, and what is wrong with it is told by the notices.

    Args:
        talking: hears whether somebody speaks.

    Raises:
        SettingsError: no model is named, or it can't be used.
    """
    if settings.onnx_model_file is None:
        problem = Problem(variable(_NAME), None, "is not set", "name the TOML file that describes the model")
        raise SettingsError([problem])
    with _translated(settings.onnx_model_file):
        spec = _spec(settings.onnx_model_file)
        later = partial(load, spec, threads=_threads(settings))
        model = Deferred(spec, later) if on_event_loop() else later()
    return OnnxClassifier(model, clock, talking=talking, workers=settings.side_by_side)


def _spec(file: str) -> ModelSpec:
    return read_spec(Path(file))


def _threads(settings: Settings) -> int:
    """The cores, shared among the workers."""
    return max(1, settings.cores // settings.side_by_side)


@contextmanager
def _translated(file: str) -> Iterator[None]:
    """What is wrong with the model is wrong with the setting that names it."""
    try:
        yield
    except ModelError as error:
        problem = Problem(variable(_NAME), file, f"can't be used: {error}", error.hint)
        raise SettingsError([problem]) from None
