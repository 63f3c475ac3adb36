"""`undertone keys`, with a file and a clock of the test's own."""

import argparse
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from gateway.clock import ManualClock
from gateway.commands.dispatch import run_load, run_stream
from gateway.commands.exits import CommandError
from gateway.commands.keys import run_keys
from gateway.commands.parsers import parse
from gateway.sessions.keys import Choice
from gateway.sessions.limits import Limits
from gateway.stores import keyfile

Keys = Callable[..., tuple[str, str]]


def run_one(arguments: argparse.Namespace) -> None:
    """What `stream` and `load` do."""
    (run_load if arguments.command == "load" else run_stream)(arguments)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the keys are; nothing is there yet."""
    return tmp_path / "namespaces.toml"


@pytest.fixture
def clock() -> ManualClock:
    """The command's."""
    return ManualClock()


@pytest.fixture
def keys(path: Path, clock: ManualClock) -> Keys:
    """Runs the command; returns what went to standard output and to standard error."""

    def run(*arguments: str) -> tuple[str, str]:
        out, errors = StringIO(), StringIO()
        environ = {"UNDERTONE_NAMESPACES_FILE": str(path)}
        assert run_keys(parse(["keys", *arguments]), environ, keyfile, clock, out, errors) == 0
        return out.getvalue(), errors.getvalue()

    return run


def test_a_key_is_shown_once_and_kept_as_a_hash(keys: Keys, path: Path, clock: ManualClock) -> None:
    """What was shown opens the namespace, and nothing of it is in the file or in the list."""
    made = json.loads(keys("create", "acme", "--json", "--max-sessions-per-user", "5")[0])
    secret = made["key"].partition(".")[2]
    ring = keyfile.load(path)
    namespace = ring.by_bearer(made["key"], clock.time())
    assert namespace is not None
    assert (namespace.id, namespace.limits) == ("acme", Limits(None, 5))
    assert ring.by_hash("acme", made["key_hash"], clock.time()) == namespace
    listed = keys("list")[0] + keys("list", "--json")[0] + path.read_text()
    assert secret not in listed
    assert made["key_hash"] not in listed
    assert "acme  (at most 5 sessions a user)" in listed


def test_for_people_the_key_is_on_standard_output_and_the_advice_is_not(keys: Keys) -> None:
    """So that it can be piped."""
    out, errors = keys("create", "acme")
    assert [line.split()[0] for line in out.splitlines()] == ["namespace_id", "key", "key_hash"]
    assert "not shown again" in errors


def test_a_second_key_and_new_limits_leave_the_rest(keys: Keys, path: Path) -> None:
    """`create` adds."""
    keys("create", "acme", "--max-sessions", "10")
    keys("create", "acme", "--max-sessions-per-user", "2")
    namespace = keyfile.load(path).namespaces["acme"]
    assert (len(namespace.keys), namespace.limits) == (2, Limits(10, 2))


def test_rotation_and_revocation(keys: Keys, path: Path, clock: ManualClock) -> None:
    """The older key ends with the overlap; a revoked one at once, named by its prefix or as a whole."""
    old = json.loads(keys("create", "acme", "--json")[0])["key"]
    new = json.loads(keys("rotate", "acme", "--overlap", "2h", "--json")[0])["key"]
    assert "ending 2023-11-15T00:13:20Z" in keys("list")[0]
    clock.advance(7_200)
    ring = keyfile.load(path)
    assert ring.by_bearer(old, clock.time()) is None
    assert ring.by_bearer(new, clock.time()) is not None
    out, errors = keys("revoke", new)
    assert (out, errors) == ("", f"revoked {new.partition('.')[0]}\n")
    assert keyfile.load(path).by_bearer(new, clock.time()) is None
    newest = json.loads(keys("create", "acme", "--json")[0])["key"]
    keys("revoke", "--all", "acme")
    assert keyfile.load(path).by_bearer(newest, clock.time()) is None
    states = [key["state"] for key in json.loads(keys("list", "--json")[0])["namespaces"][0]["keys"]]
    assert states == ["revoked"] * 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("list",), "can't be read: No such file"),
        (("rotate", "acme"), "can't be read: No such file"),
        (("create", "a b"), "named by"),
    ],
)
def test_mistakes_are_one_line(keys: Keys, path: Path, arguments: tuple[str, ...], told: str) -> None:
    """And change nothing."""
    with pytest.raises(CommandError, match=told):
        keys(*arguments)
    assert not path.exists()


def test_a_key_that_nobody_has_seen_opens_nothing(keys: Keys, path: Path, clock: ManualClock) -> None:
    """Where it can't be shown, all is as before."""
    keys("create", "acme")
    before = keyfile.load(path)

    class Full(StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    for action in ("create", "rotate"):
        arguments = parse(["keys", action, "acme", "--file", str(path)])
        with pytest.raises(OSError, match="No space"):
            run_keys(arguments, {}, keyfile, clock, Full(), StringIO())
        assert keyfile.load(path) == before


@pytest.mark.parametrize("name", ["keys", "keys.yaml", "keys.toml.bak"])
def test_a_file_that_a_gateway_would_not_take_is_not_made(tmp_path: Path, name: str) -> None:
    """It tells TOML from JSON by the name."""
    path = tmp_path / name
    arguments = parse(["keys", "create", "acme", "--file", str(path)])
    with pytest.raises(CommandError, match=r"must name a \.toml or \.json file"):
        run_keys(arguments, {}, keyfile, ManualClock(), StringIO(), StringIO())
    assert not path.exists()


def test_without_a_file_it_says_how_to_name_one() -> None:
    """The setting and the option."""
    with pytest.raises(CommandError, match="no file of namespaces") as refused:
        run_keys(parse(["keys", "list"]), {}, keyfile, ManualClock(), StringIO(), StringIO())
    assert "--file" in (refused.value.hint or "")


@pytest.mark.parametrize("wrong", ["x", "-1", "1w", "367d", "1e9h", "nan"])
def test_an_overlap_is_a_time(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong ones are told with the usage of `undertone keys rotate`."""
    with pytest.raises(SystemExit):
        parse(["keys", "rotate", "acme", f"--overlap={wrong}"])
    assert "usage: undertone keys rotate" in capsys.readouterr().err


def test_an_action_is_needed_and_unknown_words_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """With the usage of the command at hand."""
    for arguments in (["keys"], ["keys", "list", "--shout"]):
        with pytest.raises(SystemExit):
            parse(arguments)
    assert "usage: undertone keys list" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\nb", b"\xff", b"x" * 513])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    """Before anything is sent, and without showing what is in it."""
    path = tmp_path / "key"
    path.write_bytes(content)
    for command in (["stream", "-"], ["load"]):
        with pytest.raises(CommandError, match="holds no key"):
            run_one(parse([*command, "--key-file", str(path)]))
    with pytest.raises(CommandError, match="can't be read"):
        run_one(parse(["load", "--key-file", str(tmp_path / "none")]))


def test_what_listens_is_chosen_with_a_key_and_kept_when_keys_change(keys: Keys, path: Path) -> None:
    """Shown in the list, and changed by naming another."""
    keys("create", "acme", "--classifier", "acoustic", "--transcriber", "none")
    assert "acme  (classifier acoustic, transcriber none)" in keys("list")[0]
    keys("rotate", "acme")
    keys("create", "acme", "--transcriber", "auto")
    assert keyfile.load(path).namespaces["acme"].choice == Choice("acoustic", "auto")
    (listed,) = json.loads(keys("list", "--json")[0])["namespaces"]
    assert (listed["classifier"], listed["transcriber"]) == ("acoustic", "auto")


def test_a_choice_that_nobody_knows_is_refused(keys: Keys, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is written."""
    with pytest.raises(SystemExit):
        keys("create", "acme", "--classifier", "clairvoyant")
    assert "clairvoyant" in capsys.readouterr().err
