"""For every test."""

from pathlib import Path

import pytest

import gateway  # noqa: F401 - sets what must be set before anybody imports numpy
from tests.needs import need_module


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a multilingual Whisper model that hears everybody speak German."""
    return _made(tmp_path_factory, english=False)


@pytest.fixture(scope="session")
def tiny_whisper_english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an English-only Whisper model."""
    return _made(tmp_path_factory, english=True)


def _made(folders: pytest.TempPathFactory, *, english: bool) -> Path:
    need_module("faster_whisper")
    from tests.tiny_whisper import make

    return make(folders.mktemp("whisper"), english=english)
