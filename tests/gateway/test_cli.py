"""The `undertone` command as a user meets it: help, errors and exit codes, in a real process where needed."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from gateway import build, cli
from gateway.commands.demo_audio import DIGITS
from gateway.commands.exits import MEANINGS, CommandError, ExitCode
from gateway.commands.invocation import undertone
from gateway.commands.parsers import build_parser, parse
from tests.gateway.commands.fake import Fake, unauthorized
from tests.gateway.commands.test_demo import started
from tests.gateway.commands.wavs import s16, simple, sine

ROOT = Path(__file__).parents[2]


@pytest.fixture
def talk(tmp_path: Path) -> str:
    """Half a second of sound."""
    path = tmp_path / "talk.wav"
    path.write_bytes(simple(s16(sine(16_000, 0.5))))
    return str(path)


def process(*arguments: str, **more: object) -> "subprocess.Popen[bytes]":
    """The command in a process of its own."""
    command = [sys.executable, "-m", "gateway", *arguments]
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT, **more}
    return subprocess.Popen(command, **given)  # type: ignore[call-overload, no-any-return]


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal everybody can count on."""
    monkeypatch.setenv("COLUMNS", "80")


def test_help_is_a_manual_page(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` says what it is, every command, examples, and every exit code, within 80 columns."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    for word in ("serve", "stream", "demo", "load", "keys", "check-config", "examples:", "exit codes:"):
        assert word in told
    for code in MEANINGS:
        assert f"\n  {int(code)}" in told
    assert max(len(line) for line in told.splitlines()) <= 80


@pytest.mark.parametrize("command", ["serve", "stream", "demo", "load", "keys", "check-config"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command explains itself within 80 columns, each option included."""
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert max(len(line) for line in told.splitlines()) <= 80


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` is one line."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"undertone {build.told()}\n"


def test_session_ids_may_begin_with_a_dash() -> None:
    """An id is random base64url text, so one in 64 begins with a dash."""
    assert parse(["stream", "--observe", "-abc"]).observe == "-abc"
    assert parse(["stream", "x.wav", "--session-id", "--x"]).session_id == "--x"


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (["--chaos", "talk.wav"], 3.0),
        (["talk.wav", "--chaos"], 3.0),
        (["--chaos", "0.5", "talk.wav"], 0.5),
        (["--chaos=2", "talk.wav"], 2.0),
        (["--chaos", "-"], 3.0),
        (["talk.wav"], None),
    ],
)
def test_the_seconds_of_chaos_may_be_left_out(words: list[str], seconds: float | None) -> None:
    """What follows is taken for a number only where it is one."""
    parsed = parse(["stream", *words])
    assert parsed.chaos == seconds
    assert parsed.file in ("talk.wav", "-")


def test_every_command_can_be_run() -> None:
    """Each command that can be parsed is also carried out."""
    actions = build_parser()._subparsers
    assert actions is not None
    choices = next(action.choices for action in actions._actions if isinstance(action.choices, dict))
    assert set(choices) == set(cli._COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["stream"], "nothing to stream"),
        (["stream", "--mic", "x.wav"], "one source"),
        (["stream", "none.wav"], "cannot read none.wav: No such file"),
        (["stream", "x.wav", "--rate", "7"], "--rate must be a whole number from 8000 to 48000"),
        (["stream", "x.wav", "--channels", "3"], "--channels must be"),
        (["stream", "x.wav", "--hop-ms", "5"], "--hop-ms must be"),
        (["stream", "x.wav", "--window-ms", "500", "--hop-ms", "600"], "--hop-ms must not be more"),
        (["stream", "x.wav", "--features", "tone,mood"], "--features must be"),
        (["stream", "x.wav", "--language", "!"], "--language must be"),
        (["stream", "--observe", "x", "--fast"], "--observe only watches"),
        (["stream", "x.wav", "--session-id", "x", "--elcor"], "has its settings already"),
        (["stream", "--mic", "--fast"], "its own pace"),
        (["stream", "--mic", "--encoding", "mulaw"], "--encoding"),
        (["load", "--expect", "speed=1"], "--expect does not understand"),
        (["load", "--rate", "5"], "--rate must be"),
        (["load", "--duration", "5", "--ramp", "5"], "--ramp must be shorter"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mistake exits with 2 and says what is wrong; nothing is printed on standard output."""
    assert cli.main(arguments) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert told in printed.err
    assert printed.err.startswith("undertone: ")
    assert len(printed.err.splitlines()) <= 2
    assert printed.out == ""


@pytest.mark.parametrize("arguments", [["fly"], [], ["load", "--sessions", "0"], ["load", "--duration", "x"]])
def test_unknown_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What the parser does not know is usage, too."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_usage_is_the_command_s(capsys: pytest.CaptureFixture[str]) -> None:
    """What a command does not know is answered with its own usage, not with that of all commands."""
    with pytest.raises(SystemExit):
        cli.main(["stream", "a.wav", "b.wav"])
    told = capsys.readouterr().err
    assert told.startswith("usage: undertone stream ")
    assert "unrecognized arguments: b.wav" in told


def test_address_in_use(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is taken: what to do, for `undertone serve` and for `make run`."""
    monkeypatch.setattr("gateway.telemetry.logging.configure", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["serve", "--port", str(port)]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert "--port" in told
    assert "UNDERTONE_PORT=8524 make run" in told


def test_banner_names_a_command_that_works(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The banner's next step is the command by which this installation is found."""
    monkeypatch.setattr(cli, "undertone", lambda arguments: f"here/undertone {arguments}")
    cli._announce("http://127.0.0.1:9000")
    assert "here/undertone stream --url http://127.0.0.1:9000 talk.wav" in capsys.readouterr().out


def test_nobody_there(talk: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a gateway: exit code 3 and a way to start one."""
    assert cli.main(["stream", talk, "--url", "127.0.0.1:1"]) == ExitCode.UNREACHABLE
    told = capsys.readouterr().err
    assert "connection refused" in told
    assert undertone("serve") in told


def test_refusal(talk: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A refusal: exit code 4, the gateway's code and message, and what to do."""
    with started(Fake(refuse=unauthorized())) as url:
        assert cli.main(["stream", talk, "--url", url]) == ExitCode.REFUSED
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "undertone: the gateway refused: unauthorized: the ticket has expired"
    assert told[1] == "  Get a new ticket or key, then connect again."


def test_hostile_messages_can_t_steer_the_terminal(talk: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences in a gateway's message stay text."""
    refusal = unauthorized()
    refusal.message = "no\x1b[2J\x07way"
    with started(Fake(refuse=refusal)) as url:
        cli.main(["stream", talk, "--url", url])
    assert "\x1b" not in capsys.readouterr().err


def test_json_through_a_process(talk: str) -> None:
    """`--json` prints events, one a line, and nothing else; the exit code is 0."""
    with started(Fake()) as url, process("stream", talk, "--url", url, "--json", "--fast") as running:
        out, errors = running.communicate(timeout=20)
    assert running.returncode == 0
    assert errors == b""
    types = [orjson.loads(line)["type"] for line in out.splitlines()]
    assert (types[0], types[-1]) == ("welcome", "summary")


def test_standard_input_through_a_process() -> None:
    """Raw PCM on standard input is streamed in the format named."""
    fake = Fake()
    arguments = ("stream", "-", "--rate", "8000", "--encoding", "alaw", "--fast")
    with started(fake) as url, process(*arguments, "--url", url, stdin=subprocess.PIPE) as running:
        out, _ = running.communicate(bytes(range(256)) * 10, timeout=20)
    assert running.returncode == 0
    assert bytes(fake.received) == bytes(range(256)) * 10
    assert b"8 kHz mono A-law" in out


def test_broken_pipe_is_quiet(talk: str) -> None:
    """When the reader goes away, so do we: exit code 141 and not a word."""
    with started(Fake()) as url, process("stream", talk, "--url", url, "--json") as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr is not None
        errors = running.stderr.read()
        assert running.wait(20) == ExitCode.BROKEN_PIPE
    assert errors == b""


def test_ctrl_c_through_a_process(tmp_path: Path) -> None:
    """Ctrl-C ends the session with its summary and exit code 130, without a traceback."""
    path = tmp_path / "long.wav"
    path.write_bytes(simple(bytes(32_000 * 60)))
    fake = Fake()
    with started(fake) as url, process("stream", str(path), "--url", url) as running:
        wait_for(lambda: bool(fake.arrivals))
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=20)
    assert running.returncode == ExitCode.INTERRUPTED
    assert errors == b""
    assert b"classified + gaps = audio" in out
    assert fake.ended == 1


def wait_for(condition, seconds: float = 15.0) -> None:  # type: ignore[no-untyped-def]
    """Poll another process's doings; there is no event to wait for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_demo_with_the_real_gateway() -> None:
    """The whole of it in one process: digits, ringing, music, two voices, and counts that add up."""
    with process("demo", "--fast", "--json") as running:
        out, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    events = [orjson.loads(line) for line in out.splitlines()]
    queue = [event for event in events if event["type"] == "queue"]
    assert "".join(event["digits"] or "" for event in queue) == DIGITS
    assert {"ringback", "hold_music"} <= {event["label"] for event in queue}
    assert sum(event["type"] == "tone" for event in events) >= 5
    summary = events[-1]
    assert summary["next_sample"] == summary["classified_samples"] + summary["gap_samples"]
    assert summary["gap_samples"] == 0
    assert b" serve " in errors, "what to do next goes to standard error"


def test_serve_says_where(tmp_path: Path) -> None:
    """`serve` prints the address to use, takes a session, and ends with 0 on SIGTERM."""
    with process("serve", "--port", "0") as running:
        assert running.stdout is not None
        url = running.stdout.readline().split()[-1].decode()
        path = tmp_path / "talk.wav"
        path.write_bytes(simple(s16(sine(16_000, 1.5))))
        assert cli.main(["stream", str(path), "--url", url, "--fast", "--features", "queue"]) == 0
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)
    assert running.returncode in (0, -signal.SIGTERM)


def test_help_is_quick() -> None:
    """Help and mistakes don't load the gateway, numpy or the terminal library first."""
    code = "import sys; from gateway.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([one for one in ('numpy', 'rich', 'starlette', 'uvicorn') if one in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert told.stdout.splitlines()[-1] == "[]"


def test_check_config(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Good settings are shown, bad ones are all named at once, with exit code 2."""
    for name in [name for name in os.environ if name.startswith("UNDERTONE_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "undertone.toml"
    config.write_text("port = 9000\n")
    assert cli.main(["check-config", "--config", str(config)]) == 0
    assert "UNDERTONE_PORT=9000\n" in capsys.readouterr().out
    monkeypatch.setenv("UNDERTONE_PORT", "many")
    monkeypatch.setenv("UNDERTONE_HOSTT", "x")
    monkeypatch.setenv("UNDERTONE_FOO", "x")
    assert cli.main(["check-config"]) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "UNDERTONE_PORT" in printed.err
    assert printed.err.count("did you mean") == 1
    assert "did you mean UNDERTONE_HOST?" in printed.err


def test_check_config_looks_at_the_keys_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `serve` would not start with is told, and how to make it good; what is in force is told whole."""
    for name in [name for name in os.environ if name.startswith("UNDERTONE_")]:
        monkeypatch.delenv(name)
    path = tmp_path / f"{'long' * 25}.toml"
    monkeypatch.setenv("UNDERTONE_NAMESPACES_FILE", str(path))
    assert cli.main(["check-config"]) == ExitCode.USAGE
    assert "undertone keys create" in capsys.readouterr().err
    assert cli.main(["keys", "create", "acme"]) == ExitCode.OK
    assert cli.main(["check-config"]) == ExitCode.OK
    assert f"UNDERTONE_NAMESPACES_FILE={path}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "store", ["valkey://a?bogus=1", "valkey://a/abc", "valkey+sentinel://a", "valkey://:s3cr3t/p@ss@a"]
)
def test_check_config_looks_at_the_store_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: str
) -> None:
    """As far as it can be seen without asking it."""
    for name in [name for name in os.environ if name.startswith("UNDERTONE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UNDERTONE_STORE", store)
    assert cli.main(["check-config"]) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("UNDERTONE_STORE = valkey")
    assert "s3cr3t" not in printed.err


def test_errors_are_told_in_lines() -> None:
    """An error is its message and, below it, what to do."""
    assert CommandError("a\nb", hint="c").lines() == ["undertone: a", "b", "  c"]
    assert CommandError("a").lines() == ["undertone: a"]


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """A command line as a shell runs it, `undertone` being this one."""
    return subprocess.run(
        ["sh", "-c", line.replace("undertone", f"{sys.executable} -m gateway")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("undertone check-config >/dev/full", "cannot write the output: No space left on device"),
        ("undertone check-config >&-", "standard output is closed"),
        ("undertone check-config 2>&-", ""),
        ("undertone stream --url 127.0.0.1:1 - <&-", "standard input is closed"),
    ],
)
def test_streams_that_are_closed_or_full_are_one_line(line: str, told: str) -> None:
    """Status 2 and a line where there is somewhere to write it; never a traceback."""
    done = shell(line)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
