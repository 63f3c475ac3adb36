"""The Whisper transcriber as the settings describe it."""

from gateway.config.options import variable
from gateway.settings import Problem, Settings, SettingsError, TranscriberKind
from gateway.transcribe.port import TranscriberUnavailable
from gateway.transcribe.whisper.model import find
from gateway.transcribe.whisper.transcriber import WhisperOptions, WhisperTranscriber


def configured_whisper(settings: Settings) -> WhisperTranscriber:
    """The transcriber, not started. Reads files, and may download: not for the event loop's thread.

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
        return WhisperTranscriber(options)
    except TranscriberUnavailable as error:
        raise _problem(settings, error) from None


def check_whisper(settings: Settings) -> None:
    """Look whether the model is there, where one is needed and may not be fetched; raises SettingsError."""
    if settings.transcriber is TranscriberKind.WHISPER and not settings.whisper_download:
        try:
            find(_model(settings))
        except TranscriberUnavailable as error:
            raise _problem(settings, error) from None


def _model(settings: Settings) -> str:
    if settings.whisper_model is None:
        raise SettingsError(
            [Problem(variable("whisper_model"), None, "must be set to transcribe with whisper")]
        )
    return settings.whisper_model


def _problem(settings: Settings, error: TranscriberUnavailable) -> SettingsError:
    return SettingsError([Problem(variable("whisper_model"), settings.whisper_model, str(error))])
