"""The Whisper transcriber as the settings describe it."""

import importlib.util
import logging

from gateway.config.options import variable
from gateway.eventloop import on_event_loop
from gateway.settings import Problem, Settings, SettingsError, TranscriberKind
from gateway.transcribe.port import TranscriberUnavailable
from gateway.transcribe.whisper.model import WhisperModelFiles, find
from gateway.transcribe.whisper.transcriber import WhisperOptions, WhisperTranscriber, ready_to_cut

log = logging.getLogger(__name__)


_FOUND: dict[tuple[str, bool], WhisperModelFiles] = {}
"""Models that were looked at, by name and whether they might be fetched."""


def prepare_whisper(settings: Settings) -> None:
    """Look at the model that the settings name, if they do, before the event loop runs.

    A namespace may choose Whisper later, and looking takes longer than the loop may be kept. What is wrong
    with it is told then.
    """
    if settings.transcriber is TranscriberKind.WHISPER:
        return  # it is looked at anyway
    if settings.whisper_model is not None and importlib.util.find_spec("faster_whisper") is not None:
        try:
            _find(settings, settings.whisper_model)
            ready_to_cut()
        except TranscriberUnavailable as error:
            log.warning("no namespace can have transcripts by whisper: %s", error)


def configured_whisper(settings: Settings) -> WhisperTranscriber:
    """The transcriber, not started. Reads files, and may download; on a running event loop it takes only a
    model that was looked at before.

    Raises:
        SettingsError: there is no such model, or no package to run it.
    """
    options = WhisperOptions(
        model=_model(settings),
        device=settings.whisper_device,
        compute_type=settings.whisper_compute_type,
        threads=settings.whisper_threads,
        decoders=settings.transcribe_decoders,
        prompt=settings.whisper_prompt or "",
        download=settings.whisper_download,
    )
    try:
        return WhisperTranscriber(options, model=_find(settings, options.model))
    except TranscriberUnavailable as error:
        raise _problem(settings, error) from None


def check_whisper(settings: Settings) -> None:
    """Look whether the model is there, where one is needed and may not be fetched; raises SettingsError."""
    if settings.transcriber is TranscriberKind.WHISPER and not settings.whisper_download:
        try:
            find(_model(settings))
        except TranscriberUnavailable as error:
            raise _problem(settings, error) from None


def _find(settings: Settings, name: str) -> WhisperModelFiles:
    key = (name, settings.whisper_download)
    if key not in _FOUND:
        if on_event_loop():
            raise TranscriberUnavailable("the model was not there when the gateway started; start it anew")
        _FOUND[key] = find(name, download=settings.whisper_download)
    return _FOUND[key]


def _model(settings: Settings) -> str:
    if settings.whisper_model is None:
        raise SettingsError(
            [Problem(variable("whisper_model"), None, "must be set to transcribe with whisper")]
        )
    return settings.whisper_model


def _problem(settings: Settings, error: TranscriberUnavailable) -> SettingsError:
    return SettingsError([Problem(variable("whisper_model"), settings.whisper_model, str(error))])
