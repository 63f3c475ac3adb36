"""Files that let us in are read before anything opens; what is wrong is told, not what stands in them."""

from pathlib import Path

import pytest

from gateway.classify.remote.access import MAX_TOKEN, Access, AccessError


def test_nothing_is_needed_by_default() -> None:
    assert Access.load() == Access()


def test_the_system_vouches_unless_told_otherwise() -> None:
    """TLS without a file trusts what the machine trusts, and checks names."""
    trust = Access.load(tls=True).trust
    assert trust is not None
    assert trust.check_hostname


@pytest.mark.parametrize("text", ["token", "token\n", "  a.b-c_d~e+f/g==\r\n"])
def test_a_token_is_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(text.encode())
    assert Access.load(token_file=str(file)).token == text.strip()


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"canary one\n", b"canary\nline", b"canary\xff", b"canary\x00", b"c" * (MAX_TOKEN + 1)],
)
def test_what_is_no_token(data: bytes, tmp_path: Path) -> None:
    """Is refused, without being shown."""
    file = tmp_path / "file"
    file.write_bytes(data)
    with pytest.raises(AccessError, match="holds no token") as error:
        Access.load(token_file=str(file))
    assert "canary" not in error.value.message
    assert error.value.setting == "classifier_token_file"


def test_files_that_are_not_there_or_not_what_they_should_be(tmp_path: Path) -> None:
    """Each is named, with its setting."""
    with pytest.raises(AccessError, match="can't be read: No such file"):
        Access.load(token_file=str(tmp_path / "missing"))
    with pytest.raises(AccessError, match="can't be read: No such file") as error:
        Access.load(tls=True, ca_file=str(tmp_path / "missing"))
    assert error.value.setting == "classifier_ca_file"
    (tmp_path / "ca.pem").write_text("canary")
    with pytest.raises(AccessError, match="no PEM file"):
        Access.load(tls=True, ca_file=str(tmp_path / "ca.pem"))
