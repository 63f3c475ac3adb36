"""The transcriber out of the settings."""

import io
from pathlib import Path

import pytest

from gateway.commands.check_config import check_config
from gateway.settings import Settings, SettingsError
from gateway.transcribe.whisper.configured import check_whisper, configured_whisper


def whisper(**given: str) -> Settings:
    return Settings.load({f"UNDERTONE_{name}": value for name, value in given.items()})


def test_the_settings_make_a_transcriber(tiny_whisper: Path) -> None:
    """Which has launched nothing yet."""
    made = configured_whisper(whisper(TRANSCRIBER="whisper", WHISPER_MODEL=str(tiny_whisper)))
    assert made.decoders() == {"idle": 0, "busy": 0, "loading": 0}


def test_a_model_that_isnt_there_is_a_problem_of_its_setting(tmp_path: Path) -> None:
    """Of the transcriber, and of the check."""
    settings = whisper(TRANSCRIBER="whisper", WHISPER_MODEL=str(tmp_path))
    for look in (configured_whisper, check_whisper):
        with pytest.raises(SettingsError, match=r"UNDERTONE_WHISPER_MODEL: .*model\.bin can't be read"):
            look(settings)


def test_no_model_is_a_problem_where_another_one_transcribes_by_default() -> None:
    """A namespace may ask for Whisper although the settings don't."""
    with pytest.raises(SettingsError, match="must be set"):
        configured_whisper(whisper(TRANSCRIBER="none"))


def test_what_isnt_asked_for_isnt_looked_at(tmp_path: Path) -> None:
    """Another transcriber, or a model that may be downloaded at start."""
    check_whisper(whisper(TRANSCRIBER="none", WHISPER_MODEL=str(tmp_path)))
    check_whisper(whisper(TRANSCRIBER="whisper", WHISPER_MODEL="small", WHISPER_DOWNLOAD="1"))


def test_check_config_tells(tmp_path: Path) -> None:
    """With the status of a wrong setting."""
    errors = io.StringIO()
    environ = {"UNDERTONE_TRANSCRIBER": "whisper", "UNDERTONE_WHISPER_MODEL": str(tmp_path)}
    assert check_config(environ, None, io.StringIO(), errors, check_whisper) == 2
    assert "model.bin can't be read" in errors.getvalue()
