"""Names of files in settings."""

import pytest

from gateway.config.files import MAX_SOCKET_PATH, secret_file, socket_path, toml_file
from gateway.config.problems import Refused


@pytest.mark.parametrize("text", ["/run/undertone/handover", "/" + "x" * (MAX_SOCKET_PATH - 1)])
def test_an_absolute_path_is_taken_as_it_is(text: str) -> None:
    """The next process may run elsewhere, and means the same file."""
    assert socket_path(text) == text


@pytest.mark.parametrize(
    "text", ["handover", "./handover", "/run/", "/run/a\0b", "/" + "x" * MAX_SOCKET_PATH, "/" + "ä" * 60]
)
def test_what_can_not_be_a_sockets_path_is_refused(text: str) -> None:
    """Relative, a directory, or longer than the kernel takes."""
    with pytest.raises(Refused):
        socket_path(text)


@pytest.mark.parametrize("text", ["token", "./token", "/etc/", "/etc/a\0b"])
def test_a_secret_has_a_file_of_its_own(text: str) -> None:
    """Wherever the process is started, it is the same one."""
    assert secret_file("/etc/undertone/sidecar.token") == "/etc/undertone/sidecar.token"
    with pytest.raises(Refused):
        secret_file(text)


@pytest.mark.parametrize("text", ["model.toml", "/etc/undertone/tone.TOML"])
def test_a_toml_file_is_taken_by_its_name(text: str) -> None:
    """Whether it is there, and what is in it, is seen when it is read."""
    assert toml_file(text) == text


@pytest.mark.parametrize("text", ["model", "model.json", "a\0.toml", "*/?!"])
def test_another_file_is_refused(text: str) -> None:
    """The model itself, for example."""
    with pytest.raises(Refused):
        toml_file(text)
