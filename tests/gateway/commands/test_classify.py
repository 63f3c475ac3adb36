"""`undertone classify`: flags are settings, by other names."""

import os
import socket

import pytest

from gateway.commands.classify import announcement, given
from gateway.commands.parsers import parse
from gateway.settings import LocalClassifier, Settings


def test_flags_are_settings() -> None:
    """Each of them, and only those given; paths begin where the command is given."""
    words = "classify --host 127.0.0.2 --port 0 --uds s --token-file t --classifier acoustic --workers 3"
    settings = Settings.load(given(parse(words.split())))
    assert (settings.sidecar_host, settings.sidecar_port) == ("127.0.0.2", 0)
    assert settings.sidecar_uds == f"{os.getcwd()}/s"
    assert settings.sidecar_token_file == f"{os.getcwd()}/t"
    assert settings.sidecar_classifier is LocalClassifier.ACOUSTIC
    assert settings.classify_workers == 3
    assert given(parse(["classify"])) == {}


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_what_it_says_when_it_is_up(family: socket.AddressFamily) -> None:
    """Where it listens."""
    with socket.socket(family) as listener:
        base = "http://127.0.0.1:1" if family is socket.AF_INET else ""
        told = announcement(listener, base, "acoustic")
        assert f"UNDERTONE_CLASSIFIER_URL={base or 'unix://'}" in told
        assert f"POST {base}/classify" in told
