"""The file of namespaces: written for one reader, replaced as a whole, read again when it changed."""

import asyncio
import json
import logging
import os
import re
import stat
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.sessions.keys import MAX_KEYS, Choice, Key, Keyring, KeysError, Namespace
from gateway.sessions.limits import Limits
from gateway.settings import ClassifierKind, Settings, SettingsError, TranscriberKind
from gateway.stores import keyfile
from gateway.stores.keyfile import LOOK_S, KeyFile, configured_keys, load, locked, save
from gateway.stores.keytext import read_keyring, written

NOW = 1_700_000_000.0

_hex = st.text("0123456789abcdef", min_size=64, max_size=64)
_times = st.none() | st.integers(0, 4_000_000_000).map(float)
_counts = st.none() | st.integers(1, 1_000_000)
_classifiers = st.none() | st.sampled_from([kind.value for kind in ClassifierKind])
_transcribers = st.none() | st.sampled_from([kind.value for kind in TranscriberKind])
_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
_keys = st.builds(
    Key,
    prefix=st.from_regex(r"ut[a-z2-7]{8}", fullmatch=True),
    verifier=_hex,
    created_at=st.integers(0, 4_000_000_000).map(float),
    expires_at=_times,
    revoked_at=_times,
)


@st.composite
def rings(draw: st.DrawFn) -> Keyring:
    """Any keyring there can be."""
    keys = draw(st.lists(_keys, unique_by=lambda key: key.prefix, max_size=12))
    names = draw(st.lists(_names, unique=True, min_size=1 if keys else 0, max_size=4))
    spread = [keys[place :: len(names)] for place in range(len(names))]
    limits = [draw(st.builds(Limits, _counts, _counts)) for _ in names]
    choices = [draw(st.builds(Choice, _classifiers, _transcribers)) for _ in names]
    return Keyring(
        {
            name: Namespace(name, tuple(its[:MAX_KEYS]), its_limits, its_choice)
            for name, its, its_limits, its_choice in zip(names, spread, limits, choices, strict=True)
        }
    )


@settings(deadline=None)
@given(rings())
def test_what_is_written_is_read_back(ring: Keyring) -> None:
    """In both forms, by the standard library's parsers."""
    assert read_keyring(tomllib.loads(written(ring, as_json=False))) == ring
    assert read_keyring(json.loads(written(ring, as_json=True))) == ring


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["namespaces", "keys", "a", "prefix", "created_at"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(_json)
def test_anything_else_is_an_error_of_ours(value: object) -> None:
    """Never another exception."""
    for given_value in (value, {"namespaces": value}, {"namespaces": {"a": value}}):
        try:
            read_keyring(given_value)
        except KeysError:
            continue


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("namespaces = 1", "must be a table"),
        ("namespace = {}", "nobody knows: 'namespace'"),
        ("[namespaces.a]\nlimit = 1", "nobody knows: 'limit'"),
        ("[namespaces.a]\nmax_sessions = 0", "max_sessions must be"),
        ("[namespaces.a]\nmax_sessions = true", "max_sessions must be"),
        ("[namespaces.a]\nkeys = 1", "must be a list"),
        ("[[namespaces.a.keys]]\nverifier = '0'", "must have a prefix"),
        ("[[namespaces.a.keys]]\nprefix = 'utaaaaaaaa'\nverifier = 'secret'", "64 hexadecimal digits"),
        ("[namespaces.'a b']", "named by"),
        ("[[namespaces.a.keys]]\nprefix = 'utaaaaaaaa'\nverifier = '0'\nexpires_at = 'soon'", "expires_at"),
        ("hunter2", "is not valid TOML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, why: str) -> None:
    """In one line that names the file, and never quotes what may be a secret."""
    path = tmp_path / "namespaces.toml"
    path.write_text(text)
    with pytest.raises(KeysError, match=why) as refused:
        load(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_cant_be_read_or_written_is_an_error_of_ours(tmp_path: Path) -> None:
    """There is none, it is a folder, it is too large, or its folder is missing."""
    with pytest.raises(KeysError, match="No such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(KeysError, match="can't be read"):
        load(tmp_path)
    huge = tmp_path / "huge.toml"
    with huge.open("wb") as file:
        file.truncate(keyfile.MAX_BYTES + 1)
    with pytest.raises(KeysError, match="is over"):
        load(huge)
    missing = tmp_path / "missing" / "namespaces.toml"
    with pytest.raises(KeysError, match="can't be written"):
        save(missing, Keyring())
    with pytest.raises(KeysError, match="can't be used"), locked(missing):
        pass


@pytest.mark.parametrize("name", ["namespaces.toml", "namespaces.json"])
def test_only_its_owner_may_read_what_is_written(tmp_path: Path, name: str) -> None:
    """Nothing else is left in the folder."""
    path = tmp_path / name
    ring, made = Keyring().with_key("mine", NOW)
    save(path, ring)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert load(path) == ring
    assert made.secret not in path.read_text()
    assert made.key_hash not in path.read_text()


@pytest.mark.parametrize(
    ("before", "after"), [(0o640, 0o640), (0o666, 0o640), (0o604, 0o600), (0o400, 0o600)]
)
def test_the_group_that_could_read_it_still_can(tmp_path: Path, before: int, after: int) -> None:
    """That is how a gateway may read what root changes; nobody may write but the owner, and others not even
    read."""
    path = tmp_path / "namespaces.toml"
    save(path, Keyring())
    path.chmod(before)
    save(path, Keyring().with_key("mine", NOW)[0])
    assert stat.S_IMODE(path.stat().st_mode) == after


def _ours(path: Path, owner: int, group: int) -> None:
    """Give a file away, where the one who runs the tests may."""
    try:
        os.chown(path, owner, group)
    except PermissionError:
        pytest.skip("only root gives files away")


def test_what_root_changes_stays_its_owners_and_groups(tmp_path: Path) -> None:
    """With its group's permission: the gateway, which is neither root nor alone, reads on."""
    path = tmp_path / "namespaces.toml"
    save(path, Keyring())
    path.chmod(0o640)
    _ours(path, 12_345, 23_456)
    save(path, Keyring().with_key("mine", NOW)[0])
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12_345, 23_456, 0o640)


def test_a_group_that_is_not_kept_gets_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not give files away writes one of a group of its own, which had no say before."""
    path = tmp_path / "namespaces.toml"
    save(path, Keyring())
    path.chmod(0o640)
    _ours(path, 12_345, 23_456)
    monkeypatch.setattr("os.geteuid", lambda: 12_345)
    save(path, Keyring().with_key("mine", NOW)[0])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing beside it."""
    path = tmp_path / "namespaces.toml"
    ring, _ = Keyring().with_key("mine", NOW)
    save(path, ring)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(KeysError, match="No space left"):
        save(path, Keyring())
    assert load(path) == ring
    assert list(tmp_path.iterdir()) == [path]


class Watched:
    """A key file, a clock, and what is in force."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "namespaces.toml"
        self.clock = ManualClock()
        save(self.path, Keyring())
        self.file = KeyFile(self.path, self.clock)

    async def names(self, after_s: float = LOOK_S) -> set[str]:
        """The namespaces in force so many seconds later."""
        self.clock.advance(after_s)
        return set((await self.file.current()).namespaces)


def test_a_change_is_taken_over_within_a_second(tmp_path: Path) -> None:
    """And looked for no more often than that."""

    async def main() -> None:
        watched = Watched(tmp_path)
        ring, _ = Keyring().with_key("mine", NOW)
        save(watched.path, ring)
        assert await watched.names(LOOK_S - 0.01) == set()
        assert await watched.names(0.01) == {"mine"}

    asyncio.run(main())


def test_a_broken_file_leaves_the_last_good_one_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once, however often it is asked for; mended, it is read again."""

    async def main() -> None:
        watched = Watched(tmp_path)
        ring, _ = Keyring().with_key("mine", NOW)
        save(watched.path, ring)
        assert await watched.names() == {"mine"}
        caplog.clear()
        watched.path.write_text("[namespaces.a\nhunter2")
        for _ in range(5):
            assert await watched.names() == {"mine"}
        watched.path.unlink()
        for _ in range(5):
            assert await watched.names() == {"mine"}
        told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert len(told) == 2
        assert "hunter2" not in "".join(told)
        save(watched.path, Keyring())
        assert await watched.names() == set()

    asyncio.run(main())


def test_many_who_ask_at_once_share_one_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And all get what it found, one that gave up waiting aside."""
    reads = 0

    def counted(path: Path) -> Keyring:
        nonlocal reads
        reads += 1
        return load(path)

    async def main() -> None:
        watched = Watched(tmp_path)
        ring, _ = Keyring().with_key("mine", NOW)
        save(watched.path, ring)
        monkeypatch.setattr(keyfile, "load", counted)
        watched.clock.advance(LOOK_S)
        impatient = asyncio.create_task(watched.file.current())
        others = [asyncio.create_task(watched.file.current()) for _ in range(50)]
        await asyncio.sleep(0)
        impatient.cancel()
        found = await asyncio.gather(*others)
        assert all(set(one.namespaces) == {"mine"} for one in found)
        assert impatient.cancelled()
        assert reads == 1

    asyncio.run(main())


def test_a_gateway_does_not_start_without_its_file(tmp_path: Path) -> None:
    """It wouldn't know whom to let in; nor with older routes that serve a namespace that isn't there."""
    path, clock = tmp_path / "namespaces.toml", ManualClock()
    given_settings = Settings(namespaces_file=str(path))
    with pytest.raises(SettingsError, match="No such file"):
        configured_keys(given_settings, clock)
    save(path, Keyring().with_key("mine", NOW)[0])
    assert configured_keys(given_settings, clock) is not None
    with pytest.raises(SettingsError, match="is no namespace of"):
        configured_keys(replace(given_settings, legacy_namespace="theirs"), clock)
    assert configured_keys(replace(given_settings, legacy_namespace="mine"), clock) is not None
    assert configured_keys(Settings(), clock) is None


def test_a_link_stays_one(tmp_path: Path) -> None:
    """What it leads to is replaced, for whoever reads that by its own name."""
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    save(real, Keyring())
    link.symlink_to(real)
    ring, _ = Keyring().with_key("mine", NOW)
    with locked(link):
        save(link, ring)
    assert link.is_symlink()
    assert load(real) == load(link) == ring


def test_what_is_no_file_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    """A pipe would be waited for, and a device lost."""
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    with pytest.raises(KeysError, match="not a regular file"):
        load(pipe)
    with pytest.raises(KeysError, match="not a regular file"):
        save(pipe, Keyring())
    assert pipe.is_fifo()


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file before it stays."""
    path = tmp_path / "namespaces.toml"
    save(path, Keyring())
    monkeypatch.setattr(keyfile, "MAX_BYTES", 64)
    ring, _ = Keyring().with_key("mine", NOW)
    with pytest.raises(KeysError, match="over 64 bytes"):
        save(path, ring)
    monkeypatch.undo()
    assert load(path) == Keyring()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('classifier = "clairvoyant"', "classifier must be auto, "),
        ("classifier = 7", "classifier must be"),
        ('transcriber = ["none"]', "transcriber must be auto, "),
        ('clasifier = "acoustic"', "has a field that nobody knows: 'clasifier'"),
    ],
)
def test_a_choice_that_nobody_knows_is_refused(tmp_path: Path, line: str, why: str) -> None:
    """As every misspelt name is."""
    path = tmp_path / "namespaces.toml"
    path.write_text(f"[namespaces.acme]\n{line}\n")
    with pytest.raises(KeysError, match=re.escape(why)):
        load(path)


def test_a_choice_that_the_settings_lack_something_for_is_refused(tmp_path: Path) -> None:
    """At the start, with the namespace that made it; what they have is served."""
    path = tmp_path / "namespaces.toml"
    path.write_text('[namespaces.acme]\nclassifier = "remote"\ntranscriber = "none"\n')
    with pytest.raises(SettingsError, match=r"namespace acme: classifier must not be remote without"):
        configured_keys(Settings.load({"UNDERTONE_NAMESPACES_FILE": str(path)}), ManualClock())
    given = {"UNDERTONE_NAMESPACES_FILE": str(path), "UNDERTONE_CLASSIFIER_URL": "http://127.0.0.1:9"}
    found = configured_keys(Settings.load({**given, "UNDERTONE_CLASSIFIER": "acoustic"}), ManualClock())
    assert found is not None
    assert found.ring.choice("acme") == Choice("remote", "none")
    assert found.ring.choice("nobody") == found.ring.choice(None) == Choice()


def test_a_gateway_is_told_when_the_file_was_read_again(tmp_path: Path) -> None:
    """Once for each change that can be served; what can't be leaves the last choice in force."""
    path, clock = tmp_path / "namespaces.toml", ManualClock()
    path.write_text("[namespaces.acme]\n")
    found = configured_keys(Settings.load({"UNDERTONE_NAMESPACES_FILE": str(path)}), clock)
    assert found is not None
    read: list[Choice] = []
    found.on_read = lambda: read.append(found.ring.choice("acme"))

    async def look(text: str) -> None:
        path.write_text(f"[namespaces.acme]\n{text}\n")
        clock.advance(LOOK_S)
        await found.current()

    async def main() -> None:
        await look('transcriber = "none"')
        await look('classifier = "remote"')
        await look('classifier = "acoustic"')

    asyncio.run(main())
    assert read == [Choice(None, "none"), Choice("acoustic", None)]
