"""The Unix socket: for its owner only, in nobody's way, and gone afterwards."""

import os
import socket
import stat
from pathlib import Path

import pytest

from gateway.server.listening import CannotListen
from gateway.settings import Settings, SettingsError
from gateway.sidecar.entrance import inode_of, listen_unix, open_entrance, remove_unix


def test_only_the_owner_may_open_it(tmp_path: Path) -> None:
    """Whatever the umask says."""
    path = str(tmp_path / "s")
    before = os.umask(0)
    try:
        listener = listen_unix(path)
    finally:
        assert os.umask(before) == 0, "the umask is as it was"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(path)
    remove_unix(listener, path, inode_of(path))
    assert not os.path.exists(path)


def test_one_that_nobody_listens_on_makes_room(tmp_path: Path) -> None:
    """A process that was killed left it."""
    path = str(tmp_path / "s")
    listen_unix(path).close()
    assert os.path.exists(path)
    listener = listen_unix(path)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(path)
    listener.close()


def test_one_that_somebody_listens_on_stays(tmp_path: Path) -> None:
    """It goes on working."""
    path = str(tmp_path / "s")
    with listen_unix(path):
        with pytest.raises(CannotListen, match="somebody does"):
            listen_unix(path)
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(path)


def test_what_is_no_socket_stays(tmp_path: Path) -> None:
    """A wrong path must cost nobody a file; nor must a link to one."""
    file, link = tmp_path / "precious", tmp_path / "link"
    file.write_text("data")
    link.symlink_to(file)
    for path in (file, link):
        with pytest.raises(CannotListen, match="no socket"):
            listen_unix(str(path))
    assert file.read_text() == "data"


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    """One clear line."""
    with pytest.raises(CannotListen, match="No such file"):
        listen_unix(str(tmp_path / "nowhere" / "s"))


def test_only_our_own_file_is_removed(tmp_path: Path) -> None:
    """The next process may have taken the path by then."""
    path = str(tmp_path / "s")
    old = listen_unix(path)
    inode = inode_of(path)
    old.close()
    # An inode's number may be used again at once: another file keeps the old one.
    os.rename(path, tmp_path / "kept")
    new = listen_unix(path)
    remove_unix(old, path, inode)
    assert os.path.exists(path)
    new.close()


def test_tcp_by_default() -> None:
    """On this machine only."""
    with open_entrance(Settings(sidecar_port=0)).listener as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "more", [{}, {"allow_public_bind": True}, {"namespaces_file": "/etc/undertone/keys.toml"}], ids=str
)
def test_a_public_address_needs_a_token_or_a_word(more: dict[str, object]) -> None:
    """What opens the gateway doesn't open the sidecar."""
    with pytest.raises(SettingsError, match="UNDERTONE_SIDECAR_TOKEN_FILE"):
        Settings(sidecar_host="0.0.0.0", **more)  # type: ignore[arg-type]
    Settings(sidecar_host="0.0.0.0", sidecar_allow_public_bind=True)
    Settings(sidecar_host="0.0.0.0", sidecar_token_file="/etc/undertone/sidecar.token")
    Settings(sidecar_host="0.0.0.0", sidecar_uds="/run/undertone/sidecar")
